//! The courier: what the dispatcher's tasks share, and the two reads that find work.
//!
//! Claims are made endpoint by endpoint, each as far as this process has room for it, so an endpoint that is
//! owed a million deliveries takes no more of a round than one that is owed ten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deliver::{self, Ended};
use super::settle;
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, LeaseId};
use crate::domain::retry::RetrySchedule;
use crate::domain::time::Clock;
use crate::egress::Sender;
use crate::store::handoff::{Handoff, Held};
use crate::store::outbox::{self, Lease};
use crate::store::{Store, StoreError};

/// Endpoints that one round looks at.
const ENDPOINTS_PER_ROUND: i64 = 1_000;
/// Deliveries of one endpoint that one round takes.
const CLAIMS_PER_ENDPOINT: usize = 128;

/// How deliveries are sent.
#[derive(Debug, Clone)]
pub struct CourierSettings {
    /// For endpoints without one of their own.
    pub schedule: RetrySchedule,
    /// For one POST, as a whole.
    pub timeout: Duration,
}

/// Finds, sends and settles deliveries.
pub struct Courier {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) sender: Sender,
    pub(super) handoff: Handoff,
    pub(super) settings: CourierSettings,
}

impl Courier {
    pub fn new(
        store: Store,
        clock: Clock,
        sender: Sender,
        handoff: Handoff,
        settings: CourierSettings,
    ) -> Self {
        Self {
            store,
            clock,
            sender,
            handoff,
            settings,
        }
    }

    /// Claims what is due, as far as there is room.
    pub(super) async fn claim_round(&self) -> Result<Vec<Held>, StoreError> {
        let now = self.clock.for_database();
        let mut conn = self.store.conn().await?;
        let work = outbox::find_work(&mut conn, now, ENDPOINTS_PER_ROUND).await?;
        let mut by_environment: BTreeMap<EnvironmentId, Vec<(EndpointId, usize)>> = BTreeMap::new();
        for work in work {
            let room = self
                .handoff
                .gate
                .room_for((work.environment, work.endpoint))
                .min(CLAIMS_PER_ENDPOINT);
            if room > 0 {
                by_environment
                    .entry(work.environment)
                    .or_default()
                    .push((work.endpoint, room));
            }
        }
        let mut held = Vec::new();
        for (environment, wanted) in by_environment {
            let start_by = Instant::now() + self.handoff.start_within;
            let lease = Lease {
                id: LeaseId::new(self.clock.now()),
                worker: self.handoff.worker,
                lasts: self.handoff.lease,
            };
            let claims = outbox::claim_due(&mut conn, environment, now, lease, &wanted).await?;
            let mut surplus = Vec::new();
            for claim in claims {
                match self
                    .handoff
                    .gate
                    .reserve((environment, claim.endpoint), claim.body.len())
                {
                    Some(slot) => held.push(Held {
                        claim,
                        start_by,
                        slot,
                    }),
                    None => surplus.push((claim.delivery, claim.lease)),
                }
            }
            if !surplus.is_empty() {
                outbox::release(&mut conn, environment, now, &surplus).await?;
            }
        }
        Ok(held)
    }

    /// Gives claims back unsent.
    pub(super) async fn release(&self, held: Vec<Held>) -> usize {
        let mut by_environment: BTreeMap<EnvironmentId, Vec<(DeliveryId, LeaseId)>> =
            BTreeMap::new();
        for held in held {
            by_environment
                .entry(held.claim.environment)
                .or_default()
                .push((held.claim.delivery, held.claim.lease));
        }
        let mut released = 0;
        for (environment, claims) in by_environment {
            match self.release_in(environment, &claims).await {
                Ok(count) => released += count,
                Err(error) => {
                    tracing::warn!(%environment, error = %error, "claims not released; their leases will run out");
                }
            }
        }
        released
    }

    pub(super) async fn release_in(
        &self,
        environment: EnvironmentId,
        claims: &[(DeliveryId, LeaseId)],
    ) -> Result<usize, StoreError> {
        let mut conn = self.store.conn().await?;
        outbox::release(&mut conn, environment, self.clock.for_database(), claims).await
    }

    /// Sends everything that is due now and settles it; answers how many attempts that were.
    ///
    /// For tests that move time by hand; the dispatcher does the same without end.
    pub async fn dispatch_due(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut attempts = 0;
        loop {
            let held = self.claim_round().await?;
            if held.is_empty() {
                return Ok(attempts);
            }
            let sending = held.into_iter().map(|held| deliver::deliver(self, held));
            let ended: Vec<Ended> = futures_util::future::join_all(sending).await;
            attempts += ended.len();
            settle::settle_now(self, ended).await;
        }
    }
}
