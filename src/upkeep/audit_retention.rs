//! Retention of audit logs: what is older than its organization's period leaves, from the oldest on.
//!
//! Invariant: entries leave as a prefix of their tree, in one transaction with the entry that says so; nodes stay,
//! so that what is left still verifies. An entry's age counts from when it was recorded: what is brought in from
//! elsewhere is kept as long as the rest.

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;

use super::BITES_MAX;
use crate::domain::audit::{
    Context, EXPIRED_ACTION, Identity, LeafSet, NewAuditEntry, Personal, PersonalParts,
    leaf_targets,
};
use crate::domain::event::EventType;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::time::{self, Clock};
use crate::ingest::record_entries_within;
use crate::store::{
    Conn, Store, StoreError, audit_logs, audit_retention, environments, events, installation,
};

/// Entries that one transaction deletes.
const BITE: i64 = 2_000;

/// An organization's tree, and the time before which its entries leave.
#[derive(Clone, Copy)]
struct Due {
    environment: EnvironmentId,
    organization: OrganizationId,
    before: DateTime<Utc>,
}

/// Deletes the entries of audit logs that are older than their organization's period.
pub async fn expire_entries(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let now = installation::time(&mut conn, clock.for_database()).await?;
    for environment in environments::all(&mut conn).await? {
        let limited = audit_retention::limited(&mut conn, environment.id).await?;
        for (organization, days) in limited {
            let due = Due {
                environment: environment.id,
                organization,
                before: now - TimeDelta::days(days.into()),
            };
            match expire_all(&mut conn, clock, due).await {
                Err(error) if error.is_unavailable() => return Err(error),
                // The others must not wait for it.
                Err(error) => {
                    tracing::error!(environment.id = %environment.id, organization.id = %organization,
                                    error = %error, "entries that retention has passed are kept");
                }
                Ok(()) => {}
            }
        }
    }
    Ok(())
}

/// Takes bites of a tree, up to a bound; the next round goes on.
async fn expire_all(conn: &mut Conn, clock: &Clock, due: Due) -> Result<(), StoreError> {
    for _ in 0..BITES_MAX {
        if !expire(conn, clock, due).await? {
            break;
        }
    }
    Ok(())
}

/// Takes one bite of a tree; answers whether there may be more.
async fn expire(conn: &mut Conn, clock: &Clock, due: Due) -> Result<bool, StoreError> {
    let Due {
        environment,
        organization,
        before,
    } = due;
    // Looked at without the lock first: mostly nothing is old, and nobody has to wait for that.
    let oldest = audit_retention::oldest(conn, environment, organization, 1).await?;
    if oldest.first().is_none_or(|(_, id)| id.time() >= before) {
        return Ok(false);
    }
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let oldest = audit_retention::oldest(conn, environment, organization, BITE).await?;
        let old = oldest.iter().take_while(|(_, id)| id.time() < before);
        let Some(&(last, _)) = old.last() else {
            return Ok(false);
        };
        let now = installation::time(conn, clock.for_database()).await?;
        audit_retention::delete_through(conn, environment, organization, last).await?;
        let entry = expired(organization, last, now)?;
        record_entries_within(conn, &lock, clock.for_database(), vec![entry]).await?;
        Ok(oldest.last().is_some_and(|&(leaf, _)| leaf == last))
    })
    .await
}

/// The entry that says which leaves have lost their entries: all through `last`.
fn expired(
    organization: OrganizationId,
    last: i64,
    now: DateTime<Utc>,
) -> Result<NewAuditEntry, StoreError> {
    let corrupt = || StoreError::corrupt("the index of a leaf");
    let mut leaves = LeafSet::default();
    leaves.insert_range(0, u64::try_from(last).ok().ok_or_else(corrupt)?);
    let targets = leaf_targets(&leaves, 0).pop().ok_or_else(corrupt)?;
    Ok(NewAuditEntry {
        organization: (organization != audit_logs::NO_ORGANIZATION).then_some(organization),
        action: EventType::parse("action", EXPIRED_ACTION).expect("a name of the platform's own"),
        version: None,
        occurred_at: time::to_millis_precision(now),
        actor: Identity {
            id: "retention".into(),
            kind: "platform".into(),
        },
        parts: PersonalParts {
            actor: Personal::default(),
            targets: targets.iter().map(|_| Personal::default()).collect(),
            context: Context {
                location: "tidings".into(),
                user_agent: None,
            },
            metadata: None,
        },
        targets,
    })
}
