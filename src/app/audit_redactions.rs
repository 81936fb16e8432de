//! Redactions of audit logs: asked for here, done by upkeep.
//!
//! Invariant: which entries there were is settled when a redaction is asked for, under the environment's lock; what
//! is recorded later keeps its parts, so every redaction ends.

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry, Trail};
use crate::domain::audit_redaction::{NewRedaction, Redaction, RedactionState};
use crate::domain::id::AuditLogRedactionId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::store::audit_redactions::{self, RedactionRow, filter_text};
use crate::store::{Conn, StoreError, audit_logs, audit_retention, events, organizations};

/// Asks for a redaction of what is recorded now.
///
/// Errors: `NotFound` for an organization that never was.
pub async fn create(
    app: &App,
    caller: &Caller,
    new: NewRedaction,
    key: Option<IdempotencyKey>,
) -> Result<Redaction, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    let created = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(id) = once::made_before(conn, environment, key.as_ref()).await? {
                return found(conn, caller, id).await;
            }
            let entry = OwnEntry::new(OwnAction::RedactionRequested);
            let entry = match new.trail {
                Trail::Organization(id) => entry.on("organization", id),
                Trail::Environment => entry.on("environment", environment),
            };
            let row = pending(app, conn, caller, new).await?;
            audit_redactions::insert(conn, &row).await?;
            // After the tree was measured: what asks for a redaction is not among what is redacted.
            let entry = entry.on("audit_log_redaction", row.id);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            once::remember(app, conn, environment, key.as_ref(), row.id).await?;
            Ok(row)
        })
        .await?;
    app.store().redaction_waits();
    app.handoff().wake();
    Ok(shown(created)?)
}

async fn pending(
    app: &App,
    conn: &mut Conn,
    caller: &Caller,
    new: NewRedaction,
) -> Result<RedactionRow, AppError> {
    let (environment, now) = (caller.environment, app.clock().now());
    let key = audit_logs::key_of(new.trail);
    let size = audit_retention::tree_size(conn, environment, key).await?;
    if size == 0 {
        exists(conn, caller, new.trail).await?;
    }
    Ok(RedactionRow {
        environment_id: environment,
        id: AuditLogRedactionId::new(now),
        organization_id: key,
        filter: filter_text(&new.filter)?,
        reason: new.reason,
        state: RedactionState::Pending.as_str().to_owned(),
        size,
        looked_through: None,
        redacted: 0,
        unreadable: 0,
        held_deliveries: Vec::new(),
        held_until: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
    })
}

/// Only for a trail without entries: the trail of a deleted organization is kept, and people in it can be forgotten.
async fn exists(conn: &mut Conn, caller: &Caller, trail: Trail) -> Result<(), AppError> {
    let Some(id) = trail.organization() else {
        return Ok(());
    };
    match organizations::find(conn, caller.environment, id).await? {
        Some(_organization) => Ok(()),
        None => Err(AppError::not_found(Noun::Organization, &id)),
    }
}

/// Finds one redaction.
pub async fn find(
    app: &App,
    caller: &Caller,
    id: AuditLogRedactionId,
) -> Result<Redaction, AppError> {
    let mut conn = app.store().conn().await?;
    Ok(shown(found(&mut conn, caller, id).await?)?)
}

async fn found(
    conn: &mut Conn,
    caller: &Caller,
    id: AuditLogRedactionId,
) -> Result<RedactionRow, AppError> {
    let row = audit_redactions::find(conn, caller.environment, id).await?;
    row.ok_or_else(|| AppError::not_found(Noun::AuditLogRedaction, &id))
}

/// Lists redactions.
pub async fn list(
    app: &App,
    caller: &Caller,
    query: &PageQuery<AuditLogRedactionId>,
) -> Result<Page<Redaction>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = audit_redactions::page(&mut conn, caller.environment, query).await?;
    let redactions = rows.into_iter().map(shown);
    Ok(Page::cut(redactions.collect::<Result<_, _>>()?, query))
}

fn shown(row: RedactionRow) -> Result<Redaction, StoreError> {
    let corrupt = || StoreError::corrupt(format!("redaction {}", row.id));
    Ok(Redaction {
        id: row.id,
        trail: audit_logs::trail_of(row.organization_id),
        // One that does not read back must not keep the others from being shown; its job ends as an error.
        filter: row.filter().unwrap_or_default(),
        state: RedactionState::parse(&row.state).ok_or_else(corrupt)?,
        redacted: u64::try_from(row.redacted).ok().ok_or_else(corrupt)?,
        unreadable: u64::try_from(row.unreadable).ok().ok_or_else(corrupt)?,
        created_at: row.created_at,
        updated_at: row.updated_at,
        finished_at: row.finished_at,
        reason: row.reason,
    })
}
