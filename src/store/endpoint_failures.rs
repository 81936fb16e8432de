//! How an endpoint's attempts failed lately, by kind.
//!
//! Invariant: reads a bounded number of deliveries, however many there are and are owed.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::attempts::read_outcome;
use super::conn::Conn;
use super::error::StoreError;
use crate::domain::attempt::FailureCount;
use crate::domain::id::{EndpointId, EnvironmentId};

/// Kinds that are told apart; the rarest beyond are left out.
const KINDS_MAX: i64 = 20;

/// What the attempts of the endpoint's last deliveries came to where it was no success, the most frequent first.
///
/// Shape: of at most `sample` deliveries that have ended, and as many that are owed and were tried. Refusals are told
/// apart by status, and what was unreachable by reason.
pub async fn recent(
    conn: &mut Conn,
    environment: EnvironmentId,
    endpoint: EndpointId,
    sample: i64,
) -> Result<Vec<FailureCount>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        outcome: String,
        #[diesel(sql_type = Nullable<SmallInt>)]
        status: Option<i16>,
        #[diesel(sql_type = Nullable<Text>)]
        detail: Option<String>,
        #[diesel(sql_type = BigInt)]
        count: i64,
        #[diesel(sql_type = Timestamptz)]
        last_at: DateTime<Utc>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "WITH recent AS ( \
           (SELECT id FROM deliveries WHERE environment_id = $1 AND endpoint_id = $2 ORDER BY id DESC LIMIT $3) \
           UNION ALL \
           (SELECT id FROM outbox WHERE environment_id = $1 AND endpoint_id = $2 AND due_at > '-infinity' \
            AND attempts > 0 ORDER BY due_at DESC LIMIT $3)) \
         SELECT outcome, status, (array_agg(detail ORDER BY started_at DESC))[1] AS detail, count(*) AS count, \
                max(started_at) AS last_at \
         FROM recent CROSS JOIN LATERAL \
              (SELECT outcome, status, detail, started_at FROM all_attempts \
               WHERE environment_id = $1 AND delivery_id = recent.id AND outcome <> 'accepted') AS attempt \
         GROUP BY outcome, status, CASE WHEN outcome = 'unreachable' THEN detail END \
         ORDER BY count DESC, last_at DESC LIMIT $4",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(endpoint)
    .bind::<BigInt, _>(sample)
    .bind::<BigInt, _>(KINDS_MAX)
    .load(conn)
    .await?;
    let read = |row: Row| {
        let outcome = read_outcome(&row.outcome, row.status, row.detail);
        Ok(FailureCount {
            outcome: outcome.ok_or_else(|| StoreError::corrupt("outcome of an attempt"))?,
            count: u64::try_from(row.count).unwrap_or(0),
            last_at: row.last_at,
        })
    };
    rows.into_iter().map(read).collect()
}
