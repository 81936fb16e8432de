//! Turns: which exports have something to do now, and what becomes of one that fails.
//!
//! Invariant: each environment has one export among those that are next, so however many one of them has asked for,
//! another's come to their turn. Does not take them: `take` does.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::store::schema::audit_log_exports;
use crate::store::{Conn, StoreError};

/// How long exports wait for a redaction of their trail that does not move.
const REDACTION_WAIT: TimeDelta = TimeDelta::hours(1);

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Uuid)]
    environment_id: EnvironmentId,
    #[diesel(sql_type = Uuid)]
    id: AuditLogExportId,
}

/// The exports that are next, without `put_off`: one of each environment, those first whose last turn was longest ago.
///
/// Shape: what has failed waits half a minute longer each time. What is to be written of a trail waits while the trail
/// is redacted: it would begin anew with each part of the redaction. One look at a partial index that holds the
/// exports with something to do alone, so asking often costs next to nothing.
pub async fn due(
    conn: &mut Conn,
    now: DateTime<Utc>,
    put_off: Vec<AuditLogExportId>,
    limit: i64,
) -> Result<Vec<(EnvironmentId, AuditLogExportId)>, StoreError> {
    let next: Vec<Next> = diesel::sql_query(
        "SELECT environment_id, id FROM (SELECT DISTINCT ON (environment_id) environment_id, id, updated_at \
         FROM audit_log_exports AS export WHERE (state = 'pending' OR clearing) AND id <> ALL($1) \
         AND (failures = 0 OR updated_at <= $2 - failures * interval '30 seconds') \
         AND (clearing OR NOT EXISTS (SELECT FROM audit_log_redactions AS redaction \
              WHERE redaction.environment_id = export.environment_id \
              AND redaction.organization_id = export.organization_id \
              AND redaction.state = 'pending' AND redaction.updated_at > $3)) \
         ORDER BY environment_id, updated_at, id) AS next ORDER BY updated_at, id LIMIT $4",
    )
    .bind::<Array<Uuid>, _>(put_off)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - REDACTION_WAIT)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(next
        .into_iter()
        .map(|next| (next.environment_id, next.id))
        .collect())
}

/// Counts a turn that has failed; answers how many have in a row. A chunk that is written ends the row.
pub async fn count_failure(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
    now: DateTime<Utc>,
) -> Result<i32, StoreError> {
    let failures: Option<i32> = diesel::update(audit_log_exports::table)
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::id.eq(id))
        .filter(audit_log_exports::state.eq("pending"))
        .set((
            audit_log_exports::failures.eq(audit_log_exports::failures + 1),
            audit_log_exports::updated_at.eq(now),
        ))
        .returning(audit_log_exports::failures)
        .get_result(conn)
        .await
        .optional()?;
    Ok(failures.unwrap_or_default())
}

/// Ends a pending export that cannot be made; what was written of it goes.
pub async fn give_up(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::update(audit_log_exports::table)
        .filter(audit_log_exports::environment_id.eq(environment))
        .filter(audit_log_exports::id.eq(id))
        .filter(audit_log_exports::state.eq("pending"))
        .set((
            audit_log_exports::state.eq("error"),
            audit_log_exports::clearing.eq(true),
            audit_log_exports::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
