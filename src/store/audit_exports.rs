//! Audit log exports: durable jobs, and their files in chunks.
//!
//! Invariant: a chunk and the place it reaches are written in one transaction, so a job that was broken off goes
//! on after its last chunk, and no entry is in two chunks. Chunks that are not the file of an export, pending or
//! ready, are on their way out: the export is `clearing`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_export_chunks, audit_log_exports};

mod clearing;
mod proofs;
mod scope;
mod turns;

pub use clearing::{clear, clearing_of, expire, take_all_of, withdraw};
pub use proofs::{Span, authorities, changed_since, entries, redacted_leaves, shown_among, span};
pub use scope::Scope;
pub use turns::{count_failure, due, give_up};

use crate::domain::audit_export::ExportState;
use crate::domain::id::{AuditLogExportId, EnvironmentId, OrganizationId};
use crate::domain::page::{Cursor, PageQuery};

/// An export as it is kept.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_log_exports)]
pub struct ExportRow {
    pub environment_id: EnvironmentId,
    pub id: AuditLogExportId,
    pub organization_id: OrganizationId,
    pub format: String,
    pub filter: String,
    pub range_start: Option<DateTime<Utc>>,
    pub range_end: Option<DateTime<Utc>>,
    pub state: String,
    pub written_through: Option<i64>,
    pub entries: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The signed note against which proofs are made; `None` for a format without.
    pub checkpoint: Option<String>,
    pub checkpoint_size: Option<i64>,
    /// How far authorities were looked for; `None` until the entries are written.
    pub authorities_through: Option<i64>,
    /// Turns in a row that have failed for a reason that may pass.
    pub failures: i32,
    /// Its chunks are to be deleted; until they are gone nothing is written.
    pub clearing: bool,
    /// The first entry that the file may rest on without holding it; `None` before it was looked for.
    pub relies_from: Option<i64>,
}

/// Inserts a job.
pub async fn insert(conn: &mut Conn, row: &ExportRow) -> Result<(), StoreError> {
    diesel::insert_into(audit_log_exports::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// How many exports of `environment` are in a state.
pub async fn count(
    conn: &mut Conn,
    environment: EnvironmentId,
    state: ExportState,
) -> Result<i64, StoreError> {
    Ok(audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::state.eq(state.as_str()))
        .count()
        .get_result(conn)
        .await?)
}

/// Finds one export of `environment`.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<Option<ExportRow>, StoreError> {
    Ok(audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::id.eq(id))
        .select(ExportRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    query: &PageQuery<AuditLogExportId>,
) -> Result<Vec<ExportRow>, StoreError> {
    let mut statement = audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .limit(query.size.with_one_more())
        .select(ExportRow::as_select())
        .into_boxed();
    let ascending = query.reads_ascending();
    if let Some(Cursor::After(id) | Cursor::Before(id)) = query.cursor {
        statement = match ascending {
            true => statement.filter(audit_log_exports::id.gt(id)),
            false => statement.filter(audit_log_exports::id.lt(id)),
        };
    }
    statement = match ascending {
        true => statement.order(audit_log_exports::id.asc()),
        false => statement.order(audit_log_exports::id.desc()),
    };
    Ok(statement.load(conn).await?)
}

/// Takes one job for this transaction, pending or with chunks to delete; `None` when there is nothing to do, or
/// another server is at it.
pub async fn take(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<Option<ExportRow>, StoreError> {
    Ok(audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::id.eq(id))
        .filter(
            audit_log_exports::state
                .eq("pending")
                .or(audit_log_exports::clearing),
        )
        .for_update()
        .skip_locked()
        .select(ExportRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Writes a chunk, if there is one, and where the job stands.
pub async fn advance(
    conn: &mut Conn,
    row: &ExportRow,
    chunk: Option<(i32, &[u8])>,
) -> Result<(), StoreError> {
    if let Some((number, bytes)) = chunk {
        diesel::insert_into(audit_log_export_chunks::table)
            .values((
                audit_log_export_chunks::environment_id.eq(row.environment_id),
                audit_log_export_chunks::export_id.eq(row.id),
                audit_log_export_chunks::number.eq(number),
                audit_log_export_chunks::bytes.eq(bytes),
            ))
            .execute(conn)
            .await?;
    }
    diesel::update(audit_log_exports::table)
        .filter(audit_log_exports::environment_id.eq(row.environment_id))
        .filter(audit_log_exports::id.eq(row.id))
        .set((
            audit_log_exports::state.eq(&row.state),
            audit_log_exports::written_through.eq(row.written_through),
            audit_log_exports::entries.eq(row.entries),
            audit_log_exports::updated_at.eq(row.updated_at),
            audit_log_exports::authorities_through.eq(row.authorities_through),
            audit_log_exports::failures.eq(0),
            audit_log_exports::clearing.eq(row.clearing),
            audit_log_exports::relies_from.eq(row.relies_from),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Begins an export anew: what was written of it is to go, and `row` says what it is to hold now.
///
/// Shape: the caller has taken the export in this transaction, after the environment's lock.
pub async fn restart(conn: &mut Conn, row: &ExportRow) -> Result<(), StoreError> {
    diesel::update(audit_log_exports::table)
        .filter(audit_log_exports::environment_id.eq(row.environment_id))
        .filter(audit_log_exports::id.eq(row.id))
        .set((
            audit_log_exports::filter.eq(&row.filter),
            audit_log_exports::checkpoint.eq(&row.checkpoint),
            audit_log_exports::checkpoint_size.eq(row.checkpoint_size),
        ))
        .execute(conn)
        .await?;
    advance(conn, row, None).await
}

/// How many chunks an export has.
pub async fn chunk_count(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<i32, StoreError> {
    let last: Option<i32> = audit_log_export_chunks::table
        .filter(audit_log_export_chunks::environment_id.eq(environment))
        .filter(audit_log_export_chunks::export_id.eq(id))
        .select(diesel::dsl::max(audit_log_export_chunks::number))
        .first(conn)
        .await?;
    Ok(last.map_or(0, |last| last + 1))
}

/// Reads one chunk of an export that is ready.
pub async fn chunk(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
    number: i32,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(audit_log_export_chunks::table
        .inner_join(
            audit_log_exports::table.on(audit_log_exports::environment_id
                .eq(audit_log_export_chunks::environment_id)
                .and(audit_log_exports::id.eq(audit_log_export_chunks::export_id))),
        )
        .filter(audit_log_export_chunks::environment_id.eq(environment))
        .filter(audit_log_export_chunks::export_id.eq(id))
        .filter(audit_log_export_chunks::number.eq(number))
        .filter(audit_log_exports::state.eq("ready"))
        .select(audit_log_export_chunks::bytes)
        .first(conn)
        .await
        .optional()?)
}
