//! The courier: what the dispatcher's tasks share, and how work is found and taken.
//!
//! Invariant: a round takes no more than there is room for when it begins, dealt out one by one to the endpoints
//! that are owed something, so an endpoint that is owed a million deliveries takes no more of a round than one
//! that is owed ten. What was claimed in one environment is handed over before the next is looked at. A round goes
//! by the agenda; what is not on it is found by `look`, which nobody waits for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breakers::Breakers;
use super::deliver::{self, Ended};
use super::settle;
use super::world::World;
use crate::domain::breaker::BreakerState;
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, LeaseId};
use crate::domain::retry::RetrySchedule;
use crate::store::claims::{Owed, Taken, Wanted};
use crate::store::gate::Slot;
use crate::store::handoff::{EndpointKey, Handoff, Held};
use crate::store::outbox::Lease;
use crate::store::{StoreError, reconnecting};

/// Endpoints that one round looks at.
const ENDPOINTS_PER_ROUND: usize = 10_000;
/// Endpoints that one look through the outbox brings back.
const OWED_MAX: i64 = 100_000;
/// How long an endpoint is left alone on another server's word before its breaker is asked anew.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(30);
/// When endpoints are asked again that could not be.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Deliveries that one statement takes: their bodies are in memory before their bytes can be counted.
const CLAIMS_AT_ONCE: usize = 64;
/// How long giving back is tried; then the leases run out by themselves.
const RELEASE_FOR: Duration = Duration::from_secs(10);

/// How deliveries are sent.
#[derive(Debug, Clone)]
pub struct CourierSettings {
    /// For endpoints without one of their own.
    pub schedule: RetrySchedule,
    /// For one POST, as a whole.
    pub timeout: Duration,
}

/// What a claim round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoundEnd {
    pub(super) claimed: usize,
    /// Something was due, whether or not there was room for it.
    pub(super) found_work: bool,
}

/// Finds, sends and settles deliveries.
pub struct Courier {
    pub(super) world: World,
    pub(super) handoff: Handoff,
    pub(super) breakers: Breakers,
    pub(super) settings: CourierSettings,
}

impl Courier {
    pub fn new(world: World, handoff: Handoff, settings: CourierSettings) -> Self {
        let (gate, agenda) = (handoff.gate.clone(), handoff.agenda.clone());
        let breakers = Breakers::new(world.clock.clone(), gate, agenda);
        Self {
            world,
            handoff,
            breakers,
            settings,
        }
    }

    /// Looks through the outbox, and puts on the agenda what is owed.
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let owed = self.world.ledger.find_owed(OWED_MAX).await?;
        self.breakers.learn(&owed);
        let now = Instant::now();
        let place = |one: Owed| {
            let wait = Duration::from_millis(one.due_in_ms.unsigned_abs());
            let at = if one.due_in_ms > 0 {
                now + wait
            } else {
                now.checked_sub(wait).unwrap_or(now)
            };
            // One that is left alone for now would only be put off again.
            let at = match one.breaker {
                BreakerState::Open { probe_at, .. } => {
                    let wait = (probe_at - self.world.clock.now())
                        .to_std()
                        .unwrap_or_default();
                    at.max(now + wait.min(PROBE_WAIT_MAX))
                }
                BreakerState::HalfOpen { .. } | BreakerState::Closed => at,
            };
            (one.endpoint, at, one.floor)
        };
        self.handoff.agenda.found(owed.into_iter().map(place));
        Ok(())
    }

    /// Claims what is due by the agenda, as far as there is room, and hands it to `take`, environment by environment.
    ///
    /// Shape: an environment that fails is passed over, and asked again a little later.
    pub(super) async fn claim_round(&self, mut take: impl FnMut(Held) + Send) -> RoundEnd {
        let mut endpoints = self.handoff.agenda.due(ENDPOINTS_PER_ROUND);
        let is_part = endpoints.len() == ENDPOINTS_PER_ROUND;
        endpoints.retain(|&endpoint| self.breakers.may_claim(endpoint));
        let mut by_environment: BTreeMap<EnvironmentId, Vec<Slot>> = BTreeMap::new();
        for slot in self.handoff.gate.deal(&endpoints) {
            by_environment
                .entry(slot.endpoint().0)
                .or_default()
                .push(slot);
        }
        if is_part {
            // Those that there is no room for must not keep others from being looked at.
            let now = Instant::now();
            let agenda = &self.handoff.agenda;
            endpoints.iter().for_each(|&one| agenda.postpone(one, now));
        }
        let mut claimed = 0;
        for (environment, mut slots) in by_environment {
            while !slots.is_empty() && !self.handoff.gate.is_full_of_bytes() {
                let rest = slots.split_off(slots.len().min(CLAIMS_AT_ONCE));
                let asked: HashSet<EndpointKey> = slots.iter().map(Slot::endpoint).collect();
                match self.claim(environment, slots).await {
                    Ok(held) => {
                        claimed += held.len();
                        held.into_iter().for_each(&mut take);
                    }
                    Err(error) => {
                        tracing::warn!(%environment, error = %error, "nothing claimed in an environment");
                        let again = Instant::now() + ASK_AGAIN_AFTER;
                        let left = rest.iter().map(Slot::endpoint);
                        let asked: HashSet<_> = asked.into_iter().chain(left).collect();
                        self.handoff.agenda.put_off(asked, again);
                        break;
                    }
                }
                slots = rest;
            }
        }
        RoundEnd {
            claimed,
            found_work: !endpoints.is_empty(),
        }
    }

    /// Claims for each slot one delivery of its endpoint, if it has one due.
    async fn claim(
        &self,
        environment: EnvironmentId,
        slots: Vec<Slot>,
    ) -> Result<Vec<Held>, StoreError> {
        let start_by = Instant::now() + self.handoff.start_within;
        let lease = Lease {
            id: LeaseId::new(self.world.clock.now()),
            worker: self.handoff.worker,
            lasts: self.handoff.lease,
        };
        let mut free: BTreeMap<EndpointId, Vec<Slot>> = BTreeMap::new();
        for slot in slots {
            free.entry(slot.endpoint().1).or_default().push(slot);
        }
        let wanted: Vec<Wanted> = free
            .iter()
            .map(|(&endpoint, slots)| Wanted {
                endpoint,
                count: slots.len(),
                floor: self.handoff.agenda.take((environment, endpoint)),
            })
            .collect();
        let ledger = &self.world.ledger;
        let claimed = ledger.claim_due(environment, lease, &wanted).await?;
        self.note_taken(environment, &wanted, &claimed.taken);
        let mut held = Vec::with_capacity(claimed.claims.len());
        for claim in claimed.claims {
            if let Some(mut slot) = free.get_mut(&claim.endpoint).and_then(Vec::pop) {
                slot.weigh(claim.body.len());
                held.push(Held {
                    claim,
                    start_by,
                    slot,
                });
            }
        }
        if !claimed.expired.is_empty() {
            // What was claimed is sent all the same; these come up again when their lease has run out.
            match ledger.expire(environment, lease.id, &claimed.expired).await {
                Ok(count) => {
                    tracing::warn!(%environment, count, "deliveries cancelled: their events are gone");
                }
                Err(error) => {
                    tracing::warn!(%environment, error = %error, "deliveries without an event not cancelled");
                }
            }
        }
        Ok(held)
    }

    /// Notes how far a claim went: where all that was wanted was there, there may be more.
    fn note_taken(
        &self,
        environment: EnvironmentId,
        wanted: &[Wanted],
        taken: &BTreeMap<EndpointId, Taken>,
    ) {
        let agenda = &self.handoff.agenda;
        for wanted in wanted {
            let key = (environment, wanted.endpoint);
            match taken.get(&wanted.endpoint) {
                Some(taken) if taken.count >= wanted.count => {
                    agenda.raise(key, taken.through);
                    agenda.note_quietly(key, Instant::now());
                }
                Some(taken) => agenda.raise(key, taken.emptied),
                None => {}
            }
        }
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

    /// Gives claims of one environment back, on another connection when the first turns out to be dead.
    pub(super) async fn release_in(
        &self,
        environment: EnvironmentId,
        claims: &[(DeliveryId, LeaseId)],
    ) -> Result<usize, StoreError> {
        let release = || self.world.ledger.release(environment, claims);
        reconnecting(RELEASE_FOR, || self.world.unit(), release).await
    }

    /// Sends everything that is due now and settles it; answers how many attempts that were.
    ///
    /// For tests that move time by hand; the dispatcher does the same without end.
    pub async fn dispatch_due(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut attempts = 0;
        loop {
            // Time that moves by hand is not this process's time: what the agenda knows of it is of no use.
            self.handoff.agenda.clear();
            self.look().await?;
            let mut held = Vec::new();
            if self.claim_round(|one| held.push(one)).await.claimed == 0 {
                return Ok(attempts);
            }
            let sending = held.into_iter().map(|held| deliver::deliver(self, held));
            let ended: Vec<Ended> = futures_util::future::join_all(sending).await;
            attempts += ended.iter().filter(|ended| ended.result.is_ok()).count();
            settle::settle_now(self, ended).await;
        }
    }
}
