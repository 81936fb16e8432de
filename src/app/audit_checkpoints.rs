//! Checkpoints of audit logs: made when they are asked for, and read back.
//!
//! Invariant: upkeep makes them too; a trail has one for each size at most, whoever was first.

use diesel_async::AsyncConnection;

use super::audit;
use super::context::App;
use super::error::{AppError, Noun};
use super::once;
use crate::domain::access::Caller;
use crate::domain::audit::Trail;
use crate::domain::checkpoint::StoredCheckpoint;
use crate::domain::id::AuditLogCheckpointId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::ingest::checkpoint_within;
use crate::store::{Conn, audit_checkpoints, audit_logs, events};

/// What the last of a trail's checkpoints is called where it is not there.
const LATEST: &str = "latest";

/// A checkpoint that was asked for.
#[derive(Debug, Clone)]
pub enum Asked {
    Made(StoredCheckpoint),
    /// Nothing was new since this one.
    Stored(StoredCheckpoint),
}

/// The checkpoint of a trail as it is now.
///
/// Errors: `NotFound` for the organization, `TrailEmpty`.
pub async fn create(
    app: &App,
    caller: &Caller,
    trail: Trail,
    key: Option<IdempotencyKey>,
) -> Result<Asked, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let asked = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let key = key.as_ref();
            if let Some(id) = once::made_before(conn, caller.environment, key).await? {
                return found(conn, caller, id).await.map(Asked::Stored);
            }
            let organization = audit::key_of(conn, caller, trail).await?;
            let known = latest_of(conn, caller, trail).await?;
            let (now, vault) = (app.clock().for_database(), app.store().vault());
            let checkpoint = checkpoint_within(conn, &lock, now, vault, organization).await?;
            let checkpoint = checkpoint.ok_or(AppError::TrailEmpty)?;
            once::remember(app, conn, caller.environment, key, checkpoint.id).await?;
            Ok::<_, AppError>(match known {
                Some(known) if known.id == checkpoint.id => Asked::Stored(known),
                Some(_) | None => Asked::Made(checkpoint),
            })
        })
        .await?;
    app.handoff().wake();
    Ok(asked)
}

/// Finds one checkpoint.
pub async fn find(
    app: &App,
    caller: &Caller,
    id: AuditLogCheckpointId,
) -> Result<StoredCheckpoint, AppError> {
    let mut conn = app.store().conn().await?;
    found(&mut conn, caller, id).await
}

async fn found(
    conn: &mut Conn,
    caller: &Caller,
    id: AuditLogCheckpointId,
) -> Result<StoredCheckpoint, AppError> {
    let found = audit_checkpoints::find(conn, caller.environment, id).await?;
    found.ok_or_else(|| AppError::not_found(Noun::AuditLogCheckpoint, &id))
}

/// The last checkpoint of a trail.
///
/// Errors: `NotFound` for the organization, and for a trail without a checkpoint.
pub async fn latest(
    app: &App,
    caller: &Caller,
    trail: Trail,
) -> Result<StoredCheckpoint, AppError> {
    let mut conn = app.store().conn().await?;
    audit::key_of(&mut conn, caller, trail).await?;
    let latest = latest_of(&mut conn, caller, trail).await?;
    latest.ok_or_else(|| AppError::not_found(Noun::AuditLogCheckpoint, &LATEST))
}

/// The last checkpoint of a trail whose organization exists.
pub(super) async fn latest_of(
    conn: &mut Conn,
    caller: &Caller,
    trail: Trail,
) -> Result<Option<StoredCheckpoint>, AppError> {
    let key = audit_logs::key_of(trail);
    let latest = audit_checkpoints::latest(conn, caller.environment, &[key]).await?;
    Ok(latest.into_iter().next())
}

/// Lists a trail's checkpoints.
pub async fn list(
    app: &App,
    caller: &Caller,
    trail: Trail,
    query: &PageQuery<AuditLogCheckpointId>,
) -> Result<Page<StoredCheckpoint>, AppError> {
    let mut conn = app.store().conn().await?;
    let organization = audit::key_of(&mut conn, caller, trail).await?;
    let rows = audit_checkpoints::page(&mut conn, caller.environment, organization, query).await?;
    Ok(Page::cut(rows, query))
}
