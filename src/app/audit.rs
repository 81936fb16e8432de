//! Audit logs: entries recorded, and read back.
//!
//! Invariant: an entry is recorded for an organization that exists and only if it fits its action's schema, where
//! there is one; it is durable with its leaf and its event when this answers.

use std::collections::BTreeSet;

use super::audit_schemas;
use super::context::App;
use super::error::{AppError, Noun};
use crate::domain::access::Caller;
use crate::domain::audit::{AuditFilter, AuditRecord, NewAuditEntry, Trail};
use crate::domain::id::{AuditLogEventId, OrganizationId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::ingest::{NewItem, entry_id};
use crate::store::{Conn, StoreError, audit_logs, organizations};

/// Records one entry.
///
/// Errors: `NotFound` for an unknown organization, `AuditInvalid`.
pub async fn record(
    app: &App,
    caller: &Caller,
    organization: OrganizationId,
    entry: NewAuditEntry,
    key: Option<IdempotencyKey>,
) -> Result<AuditLogEventId, AppError> {
    check_organizations(app, caller, [organization]).await?;
    let faults = audit_schemas::misfits(app, caller, &entry).await?;
    if !faults.is_empty() {
        return Err(AppError::AuditInvalid(faults));
    }
    let ids = commit(app, caller, vec![(organization, entry)], key).await?;
    ids.first().copied().ok_or_else(|| {
        AppError::Internal(StoreError::Corrupt("an entry was not answered".to_owned()))
    })
}

/// Records entries, all or none, in the order given.
///
/// Errors: as [`record`]; the paths of faults begin with `/events/<number>/event`.
pub async fn record_batch(
    app: &App,
    caller: &Caller,
    entries: Vec<(OrganizationId, NewAuditEntry)>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<AuditLogEventId>, AppError> {
    check_organizations(app, caller, entries.iter().map(|&(id, _)| id)).await?;
    let mut faults = Vec::new();
    for (number, (_, entry)) in entries.iter().enumerate() {
        let path = format!("/events/{number}/event");
        let found = audit_schemas::misfits(app, caller, entry).await?;
        faults.extend(found.into_iter().map(|fault| fault.within(&path, "")));
    }
    if !faults.is_empty() {
        return Err(AppError::AuditInvalid(faults));
    }
    commit(app, caller, entries, key).await
}

/// Lists entries.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &AuditFilter,
    query: &PageQuery<AuditLogEventId>,
) -> Result<Page<AuditRecord>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = audit_logs::page(&mut conn, caller.environment, filter, query).await?;
    Ok(Page::cut(rows, query))
}

/// Finds one entry.
pub async fn find(
    app: &App,
    caller: &Caller,
    id: AuditLogEventId,
) -> Result<AuditRecord, AppError> {
    let mut conn = app.store().conn().await?;
    let found = audit_logs::find(&mut conn, caller.environment, id).await?;
    found.ok_or_else(|| AppError::not_found(Noun::AuditLogEvent, &id))
}

async fn commit(
    app: &App,
    caller: &Caller,
    entries: Vec<(OrganizationId, NewAuditEntry)>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<AuditLogEventId>, AppError> {
    let name = key.as_ref().map(|key| key.key.clone());
    let items = entries.into_iter().map(|(organization, entry)| {
        NewItem::Entry(Box::new(NewAuditEntry {
            organization: Some(organization),
            ..entry
        }))
    });
    let recorder = app.recorder();
    let recorded = recorder.record(caller.environment, items.collect(), key);
    match recorded.await {
        Ok(events) => Ok(events.iter().map(|event| entry_id(event.id)).collect()),
        Err(error) => Err(AppError::of_record(error, name.as_deref())),
    }
}

/// What the trail's rows have as their organization.
///
/// Errors: `NotFound` for an unknown organization.
pub(super) async fn key_of(
    conn: &mut Conn,
    caller: &Caller,
    trail: Trail,
) -> Result<OrganizationId, AppError> {
    if let Some(id) = trail.organization() {
        let found = organizations::find(conn, caller.environment, id).await?;
        found.ok_or_else(|| AppError::not_found(Noun::Organization, &id))?;
    }
    Ok(audit_logs::key_of(trail))
}

/// Errors: `NotFound` for the first that does not exist.
async fn check_organizations(
    app: &App,
    caller: &Caller,
    wanted: impl IntoIterator<Item = OrganizationId>,
) -> Result<(), AppError> {
    let mut conn = app.store().conn().await?;
    let mut seen = BTreeSet::new();
    for id in wanted {
        if !seen.insert(id) {
            continue;
        }
        let found = organizations::find(&mut conn, caller.environment, id).await?;
        found.ok_or_else(|| AppError::not_found(Noun::Organization, &id))?;
    }
    Ok(())
}
