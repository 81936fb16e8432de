//! The hand-off: claims that are already written in their rows, passed in memory from ingest to dispatch.
//!
//! Invariant: it may drop anything at any time; the lease in the row then runs out and a claim finds it again.
//! What is passed holds a slot of the gate, so the channel needs no bound of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::agenda::Agenda;
use super::gate::{Gate, HoldLimits, Slot};
use crate::domain::delivery::Claim;
use crate::domain::id::{EndpointId, EnvironmentId, WorkerId};

/// One endpoint of one environment.
pub type EndpointKey = (EnvironmentId, EndpointId);

/// A claim in the hands of this process.
pub struct Held {
    pub claim: Claim,
    /// The POST must have begun by then: the lease may run out before a later one ends.
    pub start_by: Instant,
    pub slot: Slot,
}

/// Ingest's end of the hand-off.
#[derive(Clone)]
pub struct Handoff {
    pub worker: WorkerId,
    pub gate: Gate,
    pub agenda: Agenda,
    pub lease: Duration,
    /// How long after the transaction began a POST may still begin.
    pub start_within: Duration,
    sender: mpsc::UnboundedSender<Held>,
    wake: Arc<Notify>,
}

impl Handoff {
    /// Makes both ends. The channel needs no bound of its own: every claim in it holds a slot.
    pub fn new(
        worker: WorkerId,
        limits: HoldLimits,
        lease: Duration,
        start_within: Duration,
    ) -> (Self, mpsc::UnboundedReceiver<Held>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self {
                worker,
                gate: Gate::new(limits),
                agenda: Agenda::default(),
                lease,
                start_within,
                sender,
                wake: Arc::default(),
            },
            receiver,
        )
    }

    /// Whether somebody still takes claims.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Says that there may be due rows of endpoints that the agenda does not know of.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until somebody says so.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Passes a claim on; drops it when nobody takes claims any more.
    pub fn pass(&self, held: Held) {
        if let Err(dropped) = self.sender.send(held) {
            tracing::debug!(delivery.id = %dropped.0.claim.delivery, "hand-off closed; the lease will run out");
        }
    }
}
