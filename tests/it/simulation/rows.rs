//! The rows of the simulated database: outbox, history, attempts, endpoints and breakers, and what statements do to them.
//!
//! Invariant: each verb here means what the statement of the same name in `store/` means; `conformance` holds the
//! two against each other. Does not fail and takes no time: that is for `ledger` to add.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tidings::domain::breaker::BreakerState;
use tidings::domain::delivery::{Claim, Settlement, StateName};
use tidings::domain::endpoint::Endpoint;
use tidings::domain::id::{DeliveryId, EnvironmentId, EventId, LeaseId, WorkerId};
use tidings::store::claims::{Claimed, Owed, Taken, Wanted};
use tidings::store::handoff::EndpointKey;
use tidings::store::outbox::{Cancelled, Lease, NewDelivery};
use tidings::store::settlements::Settled;

const SEEN_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// No id is before the one, or after the other.
const FIRST: DeliveryId = DeliveryId::at(0, 0);
const LAST: DeliveryId = DeliveryId::at(u64::MAX >> 16, u128::MAX);
const LOOKS_AHEAD: TimeDelta = TimeDelta::seconds(60);

/// A delivery that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: EndpointKey,
    pub(super) event: EventId,
    pub(super) attempts: u32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) due_at: DateTime<Utc>,
    pub(super) lease: Option<(LeaseId, WorkerId)>,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) state: StateName,
    pub(super) attempts: u32,
}

/// Everything that is committed.
#[derive(Default)]
pub(super) struct Rows {
    owed: BTreeMap<DeliveryId, Row>,
    by_due: BTreeSet<(EndpointKey, DateTime<Utc>, DeliveryId)>,
    pub(super) ended: BTreeMap<DeliveryId, Ending>,
    pub(super) attempts: BTreeSet<(DeliveryId, LeaseId)>,
    pub(super) endpoints: BTreeMap<EndpointKey, Endpoint>,
    pub(super) breakers: BTreeMap<EndpointKey, BreakerState>,
    pub(super) bodies: BTreeMap<EventId, Bytes>,
}

impl Rows {
    pub(super) fn owed(&self) -> &BTreeMap<DeliveryId, Row> {
        &self.owed
    }

    /// When the first delivery of each endpoint is due: from endpoint to endpoint, as the statement does it.
    pub(super) fn first_due(&self) -> BTreeMap<EndpointKey, DateTime<Utc>> {
        let mut first = BTreeMap::new();
        let mut next = self.by_due.first();
        while let Some((key, due_at, _)) = next {
            first.insert(*key, *due_at);
            let end = (*key, DateTime::<Utc>::MAX_UTC, LAST);
            next = self.by_due.range((Excluded(end), Unbounded)).next();
        }
        first
    }

    fn put(&mut self, id: DeliveryId, row: Row) {
        self.take(id);
        self.by_due.insert((row.key, row.due_at, id));
        self.owed.insert(id, row);
    }

    fn take(&mut self, id: DeliveryId) -> Option<Row> {
        let row = self.owed.remove(&id)?;
        self.by_due.remove(&(row.key, row.due_at, id));
        Some(row)
    }

    fn change(&mut self, id: DeliveryId, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.take(id) {
            change(&mut row);
            self.put(id, row);
        }
    }

    fn is_held(&self, id: DeliveryId, lease: LeaseId) -> bool {
        let held = self.owed.get(&id).and_then(|row| row.lease);
        held.is_some_and(|(held, _)| held == lease)
    }

    pub(super) fn insert(
        &mut self,
        environment: EnvironmentId,
        now: DateTime<Utc>,
        lease: Option<Lease>,
        new: &[NewDelivery],
    ) {
        for one in new {
            let lease = lease.filter(|_| one.leased);
            let row = Row {
                key: (environment, one.endpoint),
                event: one.event,
                attempts: 0,
                created_at: now,
                due_at: lease.map_or(now, |lease| now + lease.lasts),
                lease: lease.map(|lease| (lease.id, lease.worker)),
            };
            self.put(one.id, row);
        }
    }

    pub(super) fn find_owed(&self, now: DateTime<Utc>, limit: usize) -> Vec<Owed> {
        let is_enabled =
            |key: &EndpointKey| self.endpoints.get(key).is_some_and(Endpoint::is_enabled);
        let mut owed: Vec<(DateTime<Utc>, Owed)> = self
            .first_due()
            .into_iter()
            .filter(|(key, due_at)| is_enabled(key) && *due_at <= now + LOOKS_AHEAD)
            .map(|(key, due_at)| {
                let owed = Owed {
                    endpoint: key,
                    due_in_ms: (due_at - now).num_milliseconds(),
                    floor: due_at.min(now - SEEN_WITHIN),
                    breaker: self.breaker(key),
                };
                (due_at, owed)
            })
            .collect();
        owed.sort_by_key(|(due_at, _)| *due_at);
        owed.into_iter().take(limit).map(|(_, owed)| owed).collect()
    }

    pub(super) fn breaker(&self, key: EndpointKey) -> BreakerState {
        match self.breakers.get(&key) {
            None => BreakerState::Closed,
            // How much a half-open breaker lets through is not written down.
            Some(BreakerState::HalfOpen { since, .. }) => BreakerState::HalfOpen {
                since: *since,
                room: 1,
            },
            Some(state) => *state,
        }
    }

    pub(super) fn set_breaker(&mut self, key: EndpointKey, state: BreakerState) {
        if state == BreakerState::Closed {
            self.breakers.remove(&key);
        } else {
            self.breakers.insert(key, state);
        }
    }

    pub(super) fn claim_due(
        &mut self,
        environment: EnvironmentId,
        now: DateTime<Utc>,
        lease: Lease,
        wanted: &[Wanted],
    ) -> Claimed {
        let mut chosen: Vec<(DeliveryId, DateTime<Utc>)> = Vec::new();
        for wanted in wanted {
            let key = (environment, wanted.endpoint);
            let floor = wanted.floor.unwrap_or(DateTime::<Utc>::MIN_UTC);
            if floor > now {
                continue;
            }
            let due = self.by_due.range((key, floor, FIRST)..=(key, now, LAST));
            chosen.extend(due.take(wanted.count).map(|(_, due_at, id)| (*id, *due_at)));
        }
        chosen.sort_unstable();
        let emptied = now - SEEN_WITHIN;
        let mut claimed = Claimed::default();
        for (id, was_due_at) in chosen {
            let mut row = self.owed[&id].clone();
            row.lease = Some((lease.id, lease.worker));
            row.due_at = now + lease.lasts;
            self.put(id, row.clone());
            let through = was_due_at.min(emptied);
            let taken = claimed.taken.entry(row.key.1).or_insert(Taken {
                count: 0,
                through,
                emptied,
            });
            taken.count += 1;
            taken.through = taken.through.max(through);
            match self.bodies.get(&row.event) {
                Some(body) => claimed.claims.push(Claim {
                    environment,
                    delivery: id,
                    event: row.event,
                    endpoint: row.key.1,
                    lease: lease.id,
                    number: row.attempts + 1,
                    body: body.clone(),
                }),
                None => claimed.expired.push(id),
            }
        }
        claimed
    }

    pub(super) fn expire(&mut self, lease: LeaseId, ids: &[DeliveryId]) -> usize {
        let held: Vec<DeliveryId> = ids
            .iter()
            .copied()
            .filter(|id| self.is_held(*id, lease))
            .collect();
        held.iter()
            .for_each(|id| self.end(*id, StateName::Cancelled, 0));
        held.len()
    }

    fn end(&mut self, id: DeliveryId, state: StateName, more_attempts: u32) {
        let row = self.take(id).expect("an ended delivery was owed");
        let attempts = row.attempts + more_attempts;
        let before = self.ended.insert(id, Ending { state, attempts });
        assert_eq!(before, None, "{id} has ended before");
    }

    pub(super) fn release(
        &mut self,
        now: DateTime<Utc>,
        claims: &[(DeliveryId, LeaseId)],
    ) -> usize {
        let held: Vec<DeliveryId> = claims
            .iter()
            .filter(|(id, lease)| self.is_held(*id, *lease))
            .map(|(id, _)| *id)
            .collect();
        held.iter().for_each(|id| self.make_due(*id, now));
        held.len()
    }

    fn make_due(&mut self, id: DeliveryId, now: DateTime<Utc>) {
        self.change(id, |row| {
            row.due_at = row.created_at.min(now);
            row.lease = None;
        });
    }

    /// How many deliveries `worker` holds under leases that last.
    pub(super) fn leased_to(&self, worker: WorkerId, now: DateTime<Utc>) -> usize {
        let is_held =
            |row: &&Row| row.due_at > now && row.lease.is_some_and(|(_, held)| held == worker);
        self.owed.values().filter(is_held).count()
    }

    pub(super) fn release_worker(&mut self, worker: WorkerId, now: DateTime<Utc>) -> usize {
        let is_its =
            |(_, row): &(&DeliveryId, &Row)| row.lease.is_some_and(|(_, held)| held == worker);
        let held: Vec<DeliveryId> = self.owed.iter().filter(is_its).map(|(id, _)| *id).collect();
        held.iter().for_each(|id| self.make_due(*id, now));
        held.len()
    }

    pub(super) fn settle(&mut self, now: DateTime<Utc>, settled: &[Settled]) -> usize {
        let (delayed, ended): (Vec<&Settled>, Vec<&Settled>) = settled
            .iter()
            .partition(|one| matches!(one.settlement, Settlement::RetryAfter(_)));
        let mut in_time = 0;
        for one in ended.into_iter().chain(delayed) {
            let held = self.is_held(one.delivery, one.lease);
            in_time += usize::from(held);
            self.attempts.insert((one.delivery, one.lease));
            if !held {
                continue;
            }
            match one.settlement {
                Settlement::Delivered => self.end(one.delivery, StateName::Delivered, 1),
                Settlement::Exhausted => self.end(one.delivery, StateName::Exhausted, 1),
                Settlement::Cancelled(_) => self.end(one.delivery, StateName::Cancelled, 1),
                Settlement::RetryAfter(delay) => self.change(one.delivery, |row| {
                    row.due_at = now + delay;
                    row.attempts += 1;
                    row.lease = None;
                }),
            }
        }
        in_time
    }

    pub(super) fn cancel(&mut self, environment: EnvironmentId, which: Cancelled) -> usize {
        let meets = |(id, row): &(&DeliveryId, &Row)| {
            row.key.0 == environment
                && which.endpoint.is_none_or(|endpoint| row.key.1 == endpoint)
                && which
                    .created_before
                    .is_none_or(|before| row.created_at < before)
                && which
                    .event_before
                    .is_none_or(|before| row.event < before && id.to_bytes() < before.to_bytes())
        };
        let chosen: Vec<DeliveryId> = self.owed.iter().filter(meets).map(|(id, _)| *id).collect();
        chosen
            .iter()
            .for_each(|id| self.end(*id, StateName::Cancelled, 0));
        chosen.len()
    }
}
