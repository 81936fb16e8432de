//! The hand-off: claims that are already written in their rows, passed in memory from ingest to dispatch.
//!
//! Invariant: it may drop anything at any time; the lease in the row then runs out and a claim finds it again.
//! A [`Slot`] bounds what a process holds of one endpoint and in all, from the claim to the end of its POST,
//! so that one endpoint's backlog stays in the database and not in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::domain::delivery::Claim;
use crate::domain::id::{EndpointId, EnvironmentId, WorkerId};

/// One endpoint of one environment.
pub type EndpointKey = (EnvironmentId, EndpointId);

/// How much a process may hold.
#[derive(Debug, Clone, Copy)]
pub struct HoldLimits {
    pub claims_max: usize,
    pub claims_per_endpoint_max: usize,
    pub bytes_max: usize,
}

/// Counts what is held.
#[derive(Clone)]
pub struct Gate {
    limits: HoldLimits,
    held: Arc<Mutex<Holdings>>,
}

#[derive(Default)]
struct Holdings {
    claims: usize,
    bytes: usize,
    by_endpoint: HashMap<EndpointKey, usize>,
}

/// Room for one claim; gives itself back.
pub struct Slot {
    gate: Gate,
    endpoint: EndpointKey,
    bytes: usize,
}

impl Gate {
    pub fn new(limits: HoldLimits) -> Self {
        Self {
            limits,
            held: Arc::default(),
        }
    }

    fn holdings(&self) -> MutexGuard<'_, Holdings> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for one claim of `bytes`, if there is any.
    pub fn reserve(&self, endpoint: EndpointKey, bytes: usize) -> Option<Slot> {
        let mut holdings = self.holdings();
        let full =
            holdings.claims >= self.limits.claims_max || holdings.bytes >= self.limits.bytes_max;
        let of_endpoint = holdings.by_endpoint.get(&endpoint).copied().unwrap_or(0);
        if full || of_endpoint >= self.limits.claims_per_endpoint_max {
            return None;
        }
        holdings.claims += 1;
        holdings.bytes += bytes;
        holdings.by_endpoint.insert(endpoint, of_endpoint + 1);
        Some(Slot {
            gate: self.clone(),
            endpoint,
            bytes,
        })
    }

    /// How many more claims of this endpoint there is room for.
    pub fn room_for(&self, endpoint: EndpointKey) -> usize {
        let holdings = self.holdings();
        let of_endpoint = holdings.by_endpoint.get(&endpoint).copied().unwrap_or(0);
        if holdings.bytes >= self.limits.bytes_max {
            return 0;
        }
        let in_all = self.limits.claims_max.saturating_sub(holdings.claims);
        in_all.min(
            self.limits
                .claims_per_endpoint_max
                .saturating_sub(of_endpoint),
        )
    }

    /// How many claims are held in all.
    pub fn held(&self) -> usize {
        self.holdings().claims
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut holdings = self.gate.holdings();
        holdings.claims = holdings.claims.saturating_sub(1);
        holdings.bytes = holdings.bytes.saturating_sub(self.bytes);
        if let Some(count) = holdings.by_endpoint.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                holdings.by_endpoint.remove(&self.endpoint);
            }
        }
    }
}

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

    /// Says that there are due rows that were not handed over.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(number: u128) -> EndpointKey {
        (EnvironmentId::at(1, 1), EndpointId::at(1, number))
    }

    #[test]
    fn one_endpoint_cannot_take_all_the_room() {
        let gate = Gate::new(HoldLimits {
            claims_max: 3,
            claims_per_endpoint_max: 2,
            bytes_max: 1000,
        });
        let first = [gate.reserve(endpoint(1), 1), gate.reserve(endpoint(1), 1)];

        assert!(first.iter().all(Option::is_some));
        assert!(gate.reserve(endpoint(1), 1).is_none());
        assert_eq!(
            (gate.room_for(endpoint(1)), gate.room_for(endpoint(2))),
            (0, 1)
        );
        drop(first);
        assert_eq!((gate.held(), gate.room_for(endpoint(1))), (0, 2));
    }

    #[test]
    fn large_bodies_fill_the_gate_by_their_bytes() {
        let gate = Gate::new(HoldLimits {
            claims_max: 100,
            claims_per_endpoint_max: 100,
            bytes_max: 1000,
        });
        let slot = gate.reserve(endpoint(1), 1000);

        assert!(slot.is_some());
        assert!(gate.reserve(endpoint(2), 1).is_none());
        assert_eq!(gate.room_for(endpoint(2)), 0);
    }
}
