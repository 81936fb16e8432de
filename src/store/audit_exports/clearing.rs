//! Exports whose files go: they expire, a redaction withdraws them, they have failed or begin anew.
//!
//! Invariant: whose file goes is said first, in one small statement, and from then on nobody can fetch it; its
//! chunks are deleted afterwards, a few at a time, because a file may be large. Whoever takes several exports takes
//! them in the order of their ids; whoever holds an environment's lock waits for none.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::ExportRow;
use crate::domain::id::{AuditLogExportId, EnvironmentId, OrganizationId};
use crate::store::schema::audit_log_exports;
use crate::store::{Conn, StoreError};

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Uuid)]
    id: AuditLogExportId,
}

/// Takes the exports of a trail that have a file, or are to have one. Waits for whoever is at one of them.
///
/// Shape: asked before the environment's lock is taken, so that nobody waits for who waits here.
pub async fn take_all_of(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<(), StoreError> {
    diesel::sql_query(
        "SELECT id FROM audit_log_exports WHERE environment_id = $1 AND organization_id = $2 \
         AND state IN ('pending', 'ready') ORDER BY id FOR UPDATE",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(organization)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the files of a trail's exports back: what is ready expires, what is pending begins anew. Answers false, and
/// changes nothing, when somebody is at one of them.
///
/// Shape: called under the environment's lock, so no export is asked for meanwhile; waits for nobody. Whoever has
/// called `take_all_of` before can only have missed what was asked for in between.
pub async fn withdraw(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken: Vec<AuditLogExportId> = diesel::sql_query(
        "SELECT id FROM audit_log_exports WHERE environment_id = $1 AND organization_id = $2 \
         AND state IN ('pending', 'ready') ORDER BY id FOR UPDATE SKIP LOCKED",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(organization)
    .load::<Taken>(conn)
    .await?
    .into_iter()
    .map(|taken| taken.id)
    .collect();
    let missed: i64 = audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::organization_id.eq(organization))
        .filter(audit_log_exports::state.eq_any(["pending", "ready"]))
        .filter(audit_log_exports::id.ne_all(&taken))
        .count()
        .get_result(conn)
        .await?;
    if missed > 0 {
        return Ok(false);
    }
    // A chunk always moves one of the two: without either, nothing of it is written.
    diesel::sql_query(
        "UPDATE audit_log_exports SET \
         state = CASE state WHEN 'ready' THEN 'expired' ELSE state END, clearing = true, updated_at = $3, \
         written_through = CASE state WHEN 'pending' THEN NULL ELSE written_through END, \
         authorities_through = CASE state WHEN 'pending' THEN NULL ELSE authorities_through END, \
         relies_from = CASE state WHEN 'pending' THEN NULL ELSE relies_from END, \
         entries = CASE state WHEN 'pending' THEN 0 ELSE entries END \
         WHERE environment_id = $1 AND id = ANY($2) \
         AND (state = 'ready' OR written_through IS NOT NULL OR authorities_through IS NOT NULL)",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(taken)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(true)
}

/// One export of a trail that has chunks to delete.
pub async fn clearing_of(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<Option<AuditLogExportId>, StoreError> {
    Ok(audit_log_exports::table
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::organization_id.eq(organization))
        .filter(audit_log_exports::clearing)
        .order(audit_log_exports::id)
        .select(audit_log_exports::id)
        .first(conn)
        .await
        .optional()?)
}

/// Deletes up to `limit` chunks of an export that this transaction has taken; with the last, the names that it was
/// filtered by if it has ended.
pub async fn clear(conn: &mut Conn, row: &ExportRow, limit: i64) -> Result<(), StoreError> {
    let deleted = diesel::sql_query(
        "DELETE FROM audit_log_export_chunks WHERE environment_id = $1 AND export_id = $2 AND number IN \
         (SELECT number FROM audit_log_export_chunks WHERE environment_id = $1 AND export_id = $2 \
          ORDER BY number LIMIT $3)",
    )
    .bind::<Uuid, _>(row.environment_id)
    .bind::<Uuid, _>(row.id)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?;
    if i64::try_from(deleted).is_ok_and(|deleted| deleted >= limit) {
        return Ok(());
    }
    let filter = match &*row.state {
        "pending" => row.filter.clone(),
        _ => row.filter_without_names(),
    };
    diesel::update(audit_log_exports::table)
        .filter(audit_log_exports::environment_id.eq(row.environment_id))
        .filter(audit_log_exports::id.eq(row.id))
        .set((
            audit_log_exports::clearing.eq(false),
            audit_log_exports::filter.eq(filter),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Expires exports that ended before `before`; answers how many that were.
///
/// Shape: passes over those that somebody is at; their turn comes again.
pub async fn expire(
    conn: &mut Conn,
    environment: EnvironmentId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, StoreError> {
    Ok(diesel::sql_query(
        "WITH old AS MATERIALIZED (SELECT id FROM audit_log_exports WHERE environment_id = $1 \
         AND state IN ('ready', 'error') AND updated_at < $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) \
         UPDATE audit_log_exports SET state = 'expired', clearing = true FROM old \
         WHERE audit_log_exports.environment_id = $1 AND audit_log_exports.id = old.id",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?)
}
