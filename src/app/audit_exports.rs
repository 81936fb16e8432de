//! Exports of audit logs: asked for here, made by upkeep, fetched by a signed link.
//!
//! Invariant: a link is good for one export of one environment, and for ten minutes; whoever holds it needs no key.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, AuditFilter, OwnAction, OwnEntry, Trail};
use crate::domain::audit_export::{Export, ExportFormat, ExportState, NewExport};
use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::invalid::Invalid;
use crate::domain::limits::{EXPORTS_PENDING_MAX, EXPORTS_READY_MAX};
use crate::domain::page::{Page, PageQuery};
use crate::ingest::checkpoint_within;
use crate::store::audit_exports::{self, ExportRow, Scope, Span};
use crate::store::audit_logs::{NO_ORGANIZATION, trail_of};
use crate::store::events::{self, EnvironmentLock};
use crate::store::vault::SigningKey;
use crate::store::{Conn, Store, StoreError, audit_retention, installation, organizations};

/// How long a link is good.
const LINK_FOR: TimeDelta = TimeDelta::minutes(10);
/// What the links' key is derived for.
const LINK_PURPOSE: &str = "audit log export links";

/// Asks for an export. It holds what is recorded now, and nothing later.
///
/// Errors: `NotFound` for the organization, `ExportRangeTooOld` for a range that begins before what is kept,
/// `LimitReached`.
pub async fn create(
    app: &App,
    caller: &Caller,
    new: NewExport,
    key: Option<IdempotencyKey>,
) -> Result<Export, AppError> {
    let mut conn = app.store().conn().await?;
    let span = span(&mut conn, caller, &new).await?;
    let turn = conn.turn(caller.environment).await;
    let created = conn
        .transaction(async |conn| {
            // Always: a redaction deletes the files of all exports there are, and none may come in between.
            let lock = events::lock(conn, &turn).await?;
            if let Some(id) = once::made_before(conn, caller.environment, key.as_ref()).await? {
                return found(conn, caller, id).await;
            }
            check_room(conn, caller.environment).await?;
            let mut row = pending(app, conn, caller, &new).await?;
            if new.format == ExportFormat::Ndjson {
                cover(app, conn, &lock, &mut row, span).await?;
            }
            audit_exports::insert(conn, &row).await?;
            // After the tree was measured: what asks for an export is not in it.
            trail::record(app, conn, &lock, &Actor::from(caller), [told(&row)]).await?;
            once::remember(app, conn, caller.environment, key.as_ref(), row.id).await?;
            Ok(row)
        })
        .await?;
    app.store().export_waits();
    app.handoff().wake();
    shown(app, &link_key(app, &mut conn).await?, &created)
}

/// What the environment's own trail says of an export. Not by what it is filtered: names can be forgotten.
fn told(row: &ExportRow) -> OwnEntry {
    let entry = OwnEntry::new(OwnAction::ExportCreated);
    let entry = match trail_of(row.organization_id) {
        Trail::Organization(id) => entry.on("organization", id),
        Trail::Environment => entry.on("environment", row.environment_id),
    };
    let entry = entry.on("audit_log_export", row.id);
    entry.with("format", &*row.format)
}

/// Nothing is unbounded: neither the work that is asked for nor the files that wait to be fetched.
async fn check_room(conn: &mut Conn, environment: EnvironmentId) -> Result<(), AppError> {
    for (state, what, max) in [
        (
            ExportState::Pending,
            "pending audit log exports",
            EXPORTS_PENDING_MAX,
        ),
        (
            ExportState::Ready,
            "audit log exports that are ready",
            EXPORTS_READY_MAX,
        ),
    ] {
        if audit_exports::count(conn, environment, state).await? >= max {
            return Err(AppError::LimitReached { what, max });
        }
    }
    Ok(())
}

/// The leaves of a range of times, for a format that has leaves.
async fn span(conn: &mut Conn, caller: &Caller, new: &NewExport) -> Result<Option<Span>, AppError> {
    let (ExportFormat::Ndjson, Some(range)) = (new.format, new.range) else {
        return Ok(None);
    };
    let organization = new.organization.unwrap_or(NO_ORGANIZATION);
    let (start, end) = (range.start, range.end);
    let span = audit_exports::span(conn, caller.environment, organization, start, end);
    Ok(Some(span.await?))
}

/// Settles an export with proofs against the checkpoint of this moment.
async fn cover(
    app: &App,
    conn: &mut Conn,
    lock: &EnvironmentLock,
    row: &mut ExportRow,
    span: Option<Span>,
) -> Result<(), AppError> {
    let (now, vault) = (app.clock().for_database(), app.store().vault());
    let taken = checkpoint_within(conn, lock, now, vault, row.organization_id).await?;
    let Some(checkpoint) = taken else {
        let message = "The audit log has no entries yet, so there is nothing to prove.";
        let invalid = Invalid::new("organization_id", "nothing_recorded", message);
        return Err(AppError::Invalid(vec![invalid]));
    };
    let filter = Scope::of(row)?.filter;
    Ok(row.cover(filter, checkpoint.note, checkpoint.size, span)?)
}

async fn pending(
    app: &App,
    conn: &mut Conn,
    caller: &Caller,
    new: &NewExport,
) -> Result<ExportRow, AppError> {
    let (environment, now) = (caller.environment, app.clock().now());
    if let Some(id) = &new.organization
        && organizations::find(conn, environment, *id).await?.is_none()
    {
        return Err(AppError::not_found(Noun::Organization, id));
    }
    let organization = new.organization.unwrap_or(NO_ORGANIZATION);
    let days = audit_retention::days(conn, environment, organization).await?;
    if let (Some(days), Some(range)) = (days, new.range) {
        let earliest = now - TimeDelta::days(days.into());
        if range.start < earliest {
            return Err(AppError::ExportRangeTooOld { earliest });
        }
    }
    let size = audit_retention::tree_size(conn, environment, organization).await?;
    let filter = AuditFilter {
        actions: new.actions.clone(),
        actor_ids: storable(&new.actor_ids),
        actor_names: storable(&new.actor_names),
        targets: storable(&new.target_types),
        ..AuditFilter::default()
    };
    Ok(ExportRow {
        environment_id: environment,
        id: AuditLogExportId::new(now),
        organization_id: organization,
        format: new.format.as_str().to_owned(),
        filter: Scope {
            filter,
            first: 0,
            size,
        }
        .to_text()?,
        range_start: new.range.map(|range| range.start),
        range_end: new.range.map(|range| range.end),
        state: ExportState::Pending.as_str().to_owned(),
        written_through: None,
        entries: 0,
        created_at: now,
        updated_at: now,
        checkpoint: None,
        checkpoint_size: None,
        authorities_through: None,
        failures: 0,
        clearing: false,
        relies_from: None,
    })
}

/// Values as columns hold them: without U+0000, which no text of the database's can have.
fn storable(values: &[String]) -> Vec<String> {
    let values = values.iter();
    values.map(|value| value.replace('\0', "")).collect()
}

/// Finds one export; its link is made anew.
pub async fn find(app: &App, caller: &Caller, id: AuditLogExportId) -> Result<Export, AppError> {
    let mut conn = app.store().conn().await?;
    let row = found(&mut conn, caller, id).await?;
    shown(app, &link_key(app, &mut conn).await?, &row)
}

async fn found(
    conn: &mut Conn,
    caller: &Caller,
    id: AuditLogExportId,
) -> Result<ExportRow, AppError> {
    let row = audit_exports::find(conn, caller.environment, id).await?;
    row.ok_or_else(|| AppError::not_found(Noun::AuditLogExport, &id))
}

/// Lists exports.
pub async fn list(
    app: &App,
    caller: &Caller,
    query: &PageQuery<AuditLogExportId>,
) -> Result<Page<Export>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = audit_exports::page(&mut conn, caller.environment, query).await?;
    let key = link_key(app, &mut conn).await?;
    let exports = rows.into_iter().map(|row| shown(app, &key, &row));
    Ok(Page::cut(exports.collect::<Result<_, _>>()?, query))
}

fn shown(app: &App, key: &SigningKey, row: &ExportRow) -> Result<Export, AppError> {
    let corrupt = || StoreError::corrupt(format!("export {}", row.id));
    let state = ExportState::parse(&row.state).ok_or_else(corrupt)?;
    let url = (state == ExportState::Ready).then(|| link(app, key, row));
    Ok(Export {
        id: row.id,
        organization: Some(row.organization_id).filter(|&id| id != NO_ORGANIZATION),
        format: format(row)?,
        state,
        entries: u64::try_from(row.entries).ok().ok_or_else(corrupt)?,
        total: row.total().map(i64::unsigned_abs),
        url,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn format(row: &ExportRow) -> Result<ExportFormat, StoreError> {
    let format = ExportFormat::parse(&row.format);
    format.ok_or_else(|| StoreError::corrupt(format!("format of {}", row.id)))
}

fn link(app: &App, key: &SigningKey, row: &ExportRow) -> String {
    let expires = (app.clock().now() + LINK_FOR).timestamp().to_string();
    let environment = row.environment_id.to_string();
    let text = signed_text(&environment, row.id, &expires);
    let signature = key.sign(&text);
    format!(
        "{}/audit_logs/exports/{}/download?environment={environment}&expires={expires}&signature={signature}",
        app.settings().public_url,
        row.id
    )
}

/// What signs links now, so that every server can verify them, also one that has the old master key alone.
async fn link_key(app: &App, conn: &mut Conn) -> Result<SigningKey, AppError> {
    let vault = app.store().vault();
    let sealer = match vault.has_old() {
        true => installation::sealer_now(conn, vault).await?,
        false => None,
    };
    Ok(sealer
        .unwrap_or_else(|| vault.sealer())
        .signing_key(LINK_PURPOSE))
}

/// What a link's signature is over; no part can hold a line's end.
fn signed_text(environment: &str, id: AuditLogExportId, expires: &str) -> String {
    format!("{environment}\n{id}\n{expires}")
}

/// A link as it came back.
#[derive(Debug, Clone, Copy)]
pub struct ExportLink<'a> {
    pub environment: &'a str,
    pub id: AuditLogExportId,
    pub expires: &'a str,
    pub signature: &'a str,
}

/// What a link opens.
pub enum LinkAnswer {
    File(ExportFile),
    /// It was not signed here.
    Refused,
    /// It was, but its time is over, or its file's.
    Expired,
}

/// Opens the file that a link stands for.
pub async fn open(app: &App, link: &ExportLink<'_>) -> Result<LinkAnswer, AppError> {
    let text = signed_text(link.environment, link.id, link.expires);
    let vault = app.store().vault();
    if !vault.verifies(LINK_PURPOSE, &text, link.signature) {
        return Ok(LinkAnswer::Refused);
    }
    let expires = link.expires.parse().ok();
    let expires = expires.and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    let (Some(expires), Ok(environment)) = (expires, link.environment.parse()) else {
        return Ok(LinkAnswer::Refused);
    };
    if app.clock().now() >= expires {
        return Ok(LinkAnswer::Expired);
    }
    let mut conn = app.store().conn().await?;
    let row = audit_exports::find(&mut conn, environment, link.id).await?;
    let Some(row) = row.filter(|row| row.state == ExportState::Ready.as_str()) else {
        return Ok(LinkAnswer::Expired);
    };
    let chunks = audit_exports::chunk_count(&mut conn, environment, link.id).await?;
    Ok(LinkAnswer::File(ExportFile {
        store: app.store().clone(),
        environment,
        id: link.id,
        format: format(&row)?,
        next: 0,
        chunks,
    }))
}

/// The file of an export, read chunk by chunk.
pub struct ExportFile {
    store: Store,
    environment: EnvironmentId,
    id: AuditLogExportId,
    format: ExportFormat,
    next: i32,
    chunks: i32,
}

impl ExportFile {
    pub const fn id(&self) -> AuditLogExportId {
        self.id
    }

    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// The next chunk, or `None` after the last.
    ///
    /// Errors: `Internal` when the file went while it was read: half a file must not pass for a whole one.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, AppError> {
        if self.next >= self.chunks {
            return Ok(None);
        }
        // No connection is held while the caller takes its time.
        let mut conn = self.store.conn().await?;
        let chunk = audit_exports::chunk(&mut conn, self.environment, self.id, self.next).await?;
        let chunk = chunk.ok_or_else(|| StoreError::corrupt(format!("file of {}", self.id)))?;
        self.next += 1;
        Ok(Some(chunk.into()))
    }
}
