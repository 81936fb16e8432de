//! Redactions of audit logs, done in the background on every server.
//!
//! Invariant: a part of a redaction is one transaction under the environment's lock and the tree's: the entries, their
//! events in the feed, what is owed and what was answered of those, the trail's exports, and the entry that names
//! the leaves. So a job that is broken off goes on where it was, on whichever server, and none is done twice. Whoever
//! writes a chunk of such an export is waited for before the environment's lock is taken, never with it in hand.
//!
//! A job is done when nothing can be fetched or sent any more of what it has erased. The chunks of the exports that it
//! has withdrawn are deleted after its last part, a few at a time. What a worker had in hand when its delivery was
//! cancelled, it may send until its lease ends, and not longer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use tokio_util::sync::CancellationToken;

use super::JOBS_EVERY;
use super::exports;
use super::put_off::PutOff;
use crate::domain::audit::{AuditEntry, LeafSet};
use crate::domain::audit_redaction::{RedactionFilter, RedactionState, redaction_entries};
use crate::domain::delivery::CancelReason;
use crate::domain::event::{Event, NewEvent};
use crate::domain::id::{AuditLogRedactionId, EnvironmentId, EventId};
use crate::domain::time::Clock;
use crate::ingest::record_entries_within;
use crate::store::audit_redactions::{self, RedactionRow};
use crate::store::erasure::{self, Redacted, WholeRow};
use crate::store::{
    Conn, Store, StoreError, audit_exports, audit_logs, audit_trees, events, installation, outbox,
};

/// How long a server waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Redactions that take turns, one of each environment.
const TURNS: i64 = 16;
/// Entries that one transaction redacts: few, because nothing is recorded meanwhile.
pub const BITE: i64 = 200;

/// Does redactions until `stop`.
pub async fn run(store: Store, clock: Clock, stop: CancellationToken) {
    loop {
        let work = async {
            let wait = match redact_pending(&store, &clock).await {
                Ok(()) => JOBS_EVERY,
                Err(error) => {
                    tracing::warn!(error = %error, "redactions are put off");
                    PAUSE
                }
            };
            let _woken_or_not = tokio::time::timeout(wait, store.waiting_redaction()).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = work => {}
        }
    }
}

/// Does every redaction that is pending, as far as it can be done now.
///
/// Errors: the last that was met; the other redactions have gone on.
pub async fn redact_pending(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let (mut put_off, mut failed) = (PutOff::new(), Ok(()));
    loop {
        let due = audit_redactions::due(&mut conn, put_off.jobs(), TURNS).await?;
        if due.is_empty() {
            return failed;
        }
        for (environment, id) in due {
            match redact_some(&mut conn, clock, environment, id).await {
                Ok(true) => {}
                Ok(false) => put_off.push(id),
                Err(error) => {
                    tracing::warn!(redaction = %id, error = %error, "a redaction was broken off");
                    failed = Err(error);
                    put_off.push(id);
                }
            }
        }
    }
}

/// Does the next part of one redaction; answers whether something was done.
pub async fn redact_some(
    conn: &mut Conn,
    clock: &Clock,
    environment: EnvironmentId,
    id: AuditLogRedactionId,
) -> Result<bool, StoreError> {
    let Some(seen) = audit_redactions::find(conn, environment, id).await? else {
        return Ok(false);
    };
    let filter = match seen.filter() {
        Ok(filter) => filter,
        Err(error) => {
            // Whom it is about nobody can tell any more, however often it is tried.
            tracing::error!(redaction = %id, error = %error, "a redaction cannot be done");
            let now = installation::time(conn, clock.for_database()).await?;
            audit_redactions::give_up(conn, environment, id, now).await?;
            return Ok(true);
        }
    };
    // Without the lock: however long it takes to find them, nobody waits.
    let leaves = audit_redactions::candidates(conn, &seen, &filter, BITE).await?;
    let Some(&last) = leaves.last() else {
        return finish(conn, clock, &seen).await;
    };
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        audit_exports::take_all_of(conn, environment, seen.organization_id).await?;
        let lock = events::lock(conn, &turn).await?;
        audit_trees::lock(conn, environment, &[seen.organization_id]).await?;
        let Some(mut job) = audit_redactions::take(conn, environment, id).await? else {
            return Ok(false);
        };
        if job.looked_through != seen.looked_through {
            // Another server was faster; what it has left is looked for again.
            return Ok(true);
        }
        job.updated_at = installation::time(conn, clock.for_database()).await?;
        job.looked_through = Some(last);
        let found = Matching::find(conn, &mut job, &filter, &leaves).await?;
        if !found.entries.is_empty() {
            let (trail, now) = (job.organization_id, job.updated_at);
            if !audit_exports::withdraw(conn, environment, trail, now).await? {
                // Somebody is at an export that was asked for in between. Nothing is changed; once more.
                return Ok(true);
            }
            found.erase(conn, &mut job).await?;
            let trail = audit_logs::trail_of(job.organization_id);
            let entries = redaction_entries(trail, id, &found.leaves, job.updated_at);
            record_entries_within(conn, &lock, clock.for_database(), entries).await?;
        }
        audit_redactions::advance(conn, &job).await?;
        Ok(true)
    })
    .await
}

/// Entries that one transaction redacts.
#[derive(Default)]
struct Matching {
    entries: Vec<Redacted>,
    leaves: LeafSet,
    /// The event that tells of each entry, as it is to be from now on.
    told: Vec<(EventId, NewEvent)>,
}

impl Matching {
    /// Reads the entries of `leaves` and keeps those that match; those that cannot be read are counted.
    async fn find(
        conn: &mut Conn,
        job: &mut RedactionRow,
        filter: &RedactionFilter,
        leaves: &[i64],
    ) -> Result<Self, StoreError> {
        let (environment, organization) = (job.environment_id, job.organization_id);
        let mut matching = Self::default();
        for row in erasure::whole_entries(conn, environment, organization, leaves).await? {
            match row.read() {
                Ok(entry) if filter.matches(&entry) => {
                    matching.push(&row, &entry.redact());
                    job.redacted += 1;
                }
                Ok(_other) => {}
                Err(fault) => {
                    tracing::error!(redaction = %job.id, entry = %row.id, fault, "an entry cannot be redacted");
                    job.unreadable += 1;
                }
            }
        }
        Ok(matching)
    }

    fn push(&mut self, row: &WholeRow, entry: &AuditEntry) {
        let object = entry.render_object();
        let told = NewEvent::entry_recorded(entry.organization(), object.clone());
        self.leaves.insert(entry.index());
        self.told.push((row.event, told));
        self.entries.push(Redacted {
            id: row.id,
            object,
            commitments: entry.commitments().to_bytes(),
        });
    }

    /// Writes them everywhere, and notes on the job what may still be on its way.
    async fn erase(&self, conn: &mut Conn, job: &mut RedactionRow) -> Result<(), StoreError> {
        let environment = job.environment_id;
        let ids: Vec<EventId> = self.told.iter().map(|&(id, _)| id).collect();
        erasure::rewrite_entries(conn, environment, &self.entries).await?;
        let bodies = self.bodies(conn, environment, &ids).await?;
        erasure::rewrite_events(conn, environment, &bodies).await?;
        let reason = CancelReason::Redacted;
        for recalled in outbox::cancel_of_events(conn, environment, &ids, reason).await? {
            if let Some(until) = recalled.held_until {
                job.held_deliveries.push(recalled.delivery);
                job.held_until = job.held_until.max(Some(until));
            }
        }
        erasure::forget_answers(conn, environment, &ids).await
    }

    /// The bodies of those events that are still in the feed.
    async fn bodies(
        &self,
        conn: &mut Conn,
        environment: EnvironmentId,
        ids: &[EventId],
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        let positions = erasure::positions(conn, environment, ids).await?;
        let mut bodies = Vec::with_capacity(positions.len());
        for (id, told) in &self.told {
            let Some(&(_, position)) = positions.iter().find(|(kept, _)| kept == id) else {
                continue;
            };
            let event = Event::place(environment, *id, position, told);
            let body = String::from_utf8(event.body.into())
                .map_err(|error| StoreError::corrupt(error.to_string()))?;
            bodies.push((*id, body));
        }
        Ok(bodies)
    }
}

/// Ends a redaction of which nothing is left, once the files that it has withdrawn are deleted and the last lease on
/// what it cancelled has ended.
async fn finish(conn: &mut Conn, clock: &Clock, seen: &RedactionRow) -> Result<bool, StoreError> {
    let (environment, id) = (seen.environment_id, seen.id);
    let clearing = audit_exports::clearing_of(conn, environment, seen.organization_id).await?;
    if let Some(export) = clearing {
        return exports::clear(conn, environment, export).await;
    }
    let now: DateTime<Utc> = installation::time(conn, clock.for_database()).await?;
    conn.transaction(async |conn| {
        let Some(mut job) = audit_redactions::take(conn, environment, id).await? else {
            return Ok(false);
        };
        if job.held_until.is_some_and(|until| now < until) {
            return Ok(false);
        }
        erasure::forget_answers_to(conn, environment, &job.held_deliveries).await?;
        let state = match job.unreadable {
            0 => RedactionState::Done,
            _ => RedactionState::Failed,
        };
        state.as_str().clone_into(&mut job.state);
        job.held_deliveries.clear();
        job.updated_at = now;
        job.finished_at = Some(now);
        audit_redactions::advance(conn, &job).await?;
        tracing::info!(redaction = %id, redacted = job.redacted, unreadable = job.unreadable, "a redaction is done");
        Ok(true)
    })
    .await
}
