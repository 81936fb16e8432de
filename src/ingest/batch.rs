//! One batch: the rows of one transaction, drawn under the environment's lock.
//!
//! Invariant: called between the lock and the commit. Draws ids and positions, writes events with all their
//! deliveries, and makes the claims that may be handed over once the commit is confirmed, never before.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::fanout::Fanout;
use super::trails::{NewItem, Trails, trees_of};
use crate::domain::audit::NewAuditEntry;
use crate::domain::delivery::Claim;
use crate::domain::event::{Event, NewEvent, Place};
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, LeaseId};
use crate::store::events::{self, EnvironmentLock};
use crate::store::handoff::{Handoff, Held};
use crate::store::outbox::{self, Lease, NewDelivery};
use crate::store::{Conn, StoreError};

/// What one batch has written.
pub(super) struct Batch {
    /// In the order of the new items.
    pub(super) events: Vec<Event>,
    /// To be handed over after the commit.
    pub(super) held: Vec<Held>,
    /// The endpoints of deliveries that are due and were not claimed.
    pub(super) left_due: BTreeSet<EndpointId>,
}

/// Where a batch begins.
pub(super) struct Start {
    pub(super) last: Place,
    pub(super) now: DateTime<Utc>,
    /// When the transaction began, by this process.
    pub(super) began: Instant,
}

/// A batch and its rows, which are not written yet.
pub(super) struct Drawn {
    environment: EnvironmentId,
    pub(super) batch: Batch,
    pub(super) now: DateTime<Utc>,
    trails: Trails,
    lease: Option<Lease>,
    deliveries: Vec<NewDelivery>,
}

impl Drawn {
    /// Draws `items` with their deliveries: the caller holds the environment's lock and those of `trails`, and
    /// `fanout` is current under it.
    pub(super) fn of(
        environment: EnvironmentId,
        mut trails: Trails,
        fanout: &mut Fanout,
        start: &Start,
        items: &[&NewItem],
        handoff: Option<&Handoff>,
    ) -> Result<Self, StoreError> {
        let placed = place(environment, &mut trails, start, items)?;
        let lease = handoff.map(|handoff| Lease {
            id: LeaseId::new(start.now),
            worker: handoff.worker,
            lasts: handoff.lease,
        });
        let mut deliveries: Vec<NewDelivery> = Vec::new();
        let mut held = Vec::new();
        let mut left_due = BTreeSet::new();
        for (event, new) in &placed {
            fanout.targets(new, |endpoint| {
                let id = DeliveryId::for_event(event.id);
                let slot = handoff.and_then(|handoff| {
                    handoff
                        .gate
                        .reserve((environment, endpoint), event.body.len())
                });
                let leased = slot.is_some();
                if !leased {
                    left_due.insert(endpoint);
                }
                deliveries.push(NewDelivery {
                    id,
                    event: event.id,
                    endpoint,
                    leased,
                    replay_of: None,
                });
                if let (Some(slot), Some(lease), Some(handoff)) = (slot, lease, handoff) {
                    let claim = Claim {
                        environment,
                        delivery: id,
                        event: event.id,
                        endpoint,
                        lease: lease.id,
                        number: 1,
                        body: event.body.clone(),
                    };
                    held.push(Held {
                        claim,
                        start_by: start.began + handoff.start_within,
                        slot,
                    });
                }
            });
        }
        let batch = Batch {
            events: placed.into_iter().map(|(event, _)| event).collect(),
            left_due,
            held,
        };
        Ok(Self {
            environment,
            batch,
            now: start.now,
            trails,
            lease,
            deliveries,
        })
    }

    /// Writes all rows.
    ///
    /// Shape: each statement takes its place in the connection's line when this is first polled; a commit that is
    /// polled after it comes last.
    pub(super) async fn save(&self, conn: &Conn) -> Result<(), StoreError> {
        futures_util::try_join!(
            self.trails.save(conn),
            events::insert(conn, self.environment, &self.batch.events),
            outbox::insert(
                conn,
                self.environment,
                self.now,
                self.lease,
                &self.deliveries
            ),
        )?;
        Ok(())
    }
}

/// Gives each item its place, and each audit log event its leaf.
fn place<'a>(
    environment: EnvironmentId,
    trails: &mut Trails,
    start: &Start,
    items: &[&'a NewItem],
) -> Result<Vec<(Event, Cow<'a, NewEvent>)>, StoreError> {
    let mut last = start.last;
    let mut placed = Vec::with_capacity(items.len());
    for &item in items {
        last = last.next(start.now, rand::random());
        let new = match item {
            NewItem::Event(new) => Cow::Borrowed(new),
            NewItem::Entry(entry) => Cow::Owned(trails.append(entry, last.id)?),
        };
        let event = Event::place(environment, last.id, last.position, &new);
        placed.push((event, new));
    }
    Ok(placed)
}

/// Records events inside a transaction that does more: the caller holds `lock`, and wakes dispatch afterwards.
pub async fn record_within(
    conn: &Conn,
    lock: &EnvironmentLock,
    now: Option<DateTime<Utc>>,
    new: &[&NewEvent],
) -> Result<Vec<Event>, StoreError> {
    let items: Vec<NewItem> = new.iter().map(|&new| NewItem::Event(new.clone())).collect();
    record_items_within(conn, lock, now, &items).await
}

/// Records audit log events as [`record_within`] records events; answers the events that tell of them.
pub async fn record_entries_within(
    conn: &Conn,
    lock: &EnvironmentLock,
    now: Option<DateTime<Utc>>,
    new: Vec<NewAuditEntry>,
) -> Result<Vec<Event>, StoreError> {
    let entries = new.into_iter();
    let items: Vec<NewItem> = entries.map(|new| NewItem::Entry(Box::new(new))).collect();
    record_items_within(conn, lock, now, &items).await
}

/// Records both as [`record_within`] records events, in the order given.
pub async fn record_items_within(
    conn: &Conn,
    lock: &EnvironmentLock,
    now: Option<DateTime<Utc>>,
    items: &[NewItem],
) -> Result<Vec<Event>, StoreError> {
    let dropped = lock.dropped_through;
    let trees = trees_of(items.iter());
    let ((found, now), trails, mut fanout) = futures_util::try_join!(
        events::last_place(conn, lock.environment, dropped.id, now),
        Trails::lock(conn, lock.environment, &trees),
        Fanout::load(conn, lock),
    )?;
    let start = Start {
        last: found.unwrap_or(dropped),
        now,
        began: Instant::now(),
    };
    let items: Vec<&NewItem> = items.iter().collect();
    let drawn = Drawn::of(lock.environment, trails, &mut fanout, &start, &items, None)?;
    drawn.save(conn).await?;
    Ok(drawn.batch.events)
}
