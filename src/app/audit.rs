//! Audit logs: entries recorded, and read back.
//!
//! Invariant: an entry is recorded for an organization that exists and only if it fits its action's schema, where
//! there is one; it is durable with its leaf and its event when this answers.

use super::context::App;
use super::error::{AppError, Noun};
use super::{audit_schemas, once};
use crate::domain::access::Caller;
use crate::domain::audit::{AuditFilter, AuditRecord, NewAuditEntry, Trail};
use crate::domain::event::Event;
use crate::domain::id::{AuditLogEventId, OrganizationId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::domain::schema::SchemaFault;
use crate::ingest::{NewItem, entry_id};
use crate::store::{Conn, StoreError, audit_logs, audit_pages, audit_proofs, organizations};

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
    let faults = audit_schemas::misfits(app, caller, &entry).await?;
    let ids = commit(app, caller, vec![(organization, entry)], faults, key).await?;
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
    let mut faults = Vec::new();
    for (number, (_, entry)) in entries.iter().enumerate() {
        let path = format!("/events/{number}/event");
        let found = audit_schemas::misfits(app, caller, entry).await?;
        faults.extend(found.into_iter().map(|fault| fault.within(&path, "")));
    }
    commit(app, caller, entries, faults, key).await
}

/// Lists entries: of one trail, or of all.
pub async fn list(
    app: &App,
    caller: &Caller,
    trail: Option<Trail>,
    filter: AuditFilter,
    query: &PageQuery<AuditLogEventId>,
) -> Result<Page<AuditRecord>, AppError> {
    let trail = caller.bound_to.map(Trail::Organization).or(trail);
    let mut conn = app.store().conn().await?;
    let filter = AuditFilter {
        organization: trail.map(audit_logs::key_of),
        ..filter
    };
    let rows = audit_pages::page(&mut conn, caller.environment, &filter, query).await?;
    Ok(Page::cut(rows, query))
}

/// Finds one entry.
pub async fn find(
    app: &App,
    caller: &Caller,
    id: AuditLogEventId,
) -> Result<AuditRecord, AppError> {
    let mut conn = app.store().conn().await?;
    let place = audit_proofs::place(&mut conn, caller.environment, id).await?;
    let seen = place.is_some_and(|(organization, _)| {
        caller.sees(audit_logs::trail_of(organization).organization())
    });
    let found = match seen {
        true => audit_logs::find(&mut conn, caller.environment, id).await?,
        false => None,
    };
    found.ok_or_else(|| AppError::not_found(Noun::AuditLogEvent, &id))
}

/// Records entries that have no faults, or answers what the request has recorded before.
async fn commit(
    app: &App,
    caller: &Caller,
    entries: Vec<(OrganizationId, NewAuditEntry)>,
    faults: Vec<SchemaFault>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<AuditLogEventId>, AppError> {
    let ids = |events: Vec<Event>| events.iter().map(|event| entry_id(event.id)).collect();
    if !faults.is_empty() {
        let refusal = AppError::AuditInvalid(faults);
        return Ok(ids(
            once::recorded_or(app, caller, key.as_ref(), refusal).await?
        ));
    }
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
        Ok(events) => Ok(ids(events)),
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
