//! Why an endpoint is slow, as the tables tell it: the same whichever server is asked.
//!
//! Invariant: every read has a bound, however much is owed to the endpoint and however long its history is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::handoff::EndpointKey;
use crate::domain::endpoint_health::{PENDING_COUNTED_MAX, Pending, RECENT_ATTEMPTS_MAX, Recent};

/// Longer than any lease.
const LEASE_SECONDS_MAX: i64 = 600;

/// What is owed to an endpoint.
///
/// Shape: those in somebody's hands are due when their lease ends, so they are looked for there.
pub async fn pending(
    conn: &mut Conn,
    (environment, endpoint): EndpointKey,
    now: Option<DateTime<Utc>>,
) -> Result<Pending, StoreError> {
    let row: PendingRow = diesel::sql_query(
        "WITH moment AS (SELECT coalesce($3, clock_timestamp()) AS now), \
         owed AS (SELECT due_at, lease_id FROM outbox WHERE environment_id = $1 AND endpoint_id = $2 \
                  AND due_at > '-infinity' ORDER BY due_at LIMIT $4 + 1), \
         soon AS (SELECT outbox.lease_id FROM outbox, moment WHERE outbox.environment_id = $1 \
                  AND outbox.endpoint_id = $2 AND outbox.due_at > '-infinity' AND outbox.due_at >= moment.now \
                  AND outbox.due_at <= moment.now + $5 * interval '1 second' LIMIT $4) \
         SELECT (SELECT count(*) FROM owed) AS owed, \
                (SELECT min(due_at) FROM owed WHERE lease_id IS NULL) AS oldest_due_at, \
                (SELECT count(*) FROM soon WHERE lease_id IS NOT NULL) AS claimed",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(endpoint)
    .bind::<Nullable<Timestamptz>, _>(now)
    .bind::<BigInt, _>(PENDING_COUNTED_MAX)
    .bind::<BigInt, _>(LEASE_SECONDS_MAX)
    .get_result(conn)
    .await?;
    Ok(Pending {
        count: count(row.owed.min(PENDING_COUNTED_MAX)),
        has_more: row.owed > PENDING_COUNTED_MAX,
        claimed: count(row.claimed),
        oldest_due_at: row.oldest_due_at,
    })
}

#[derive(QueryableByName)]
struct PendingRow {
    #[diesel(sql_type = BigInt)]
    owed: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    oldest_due_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    claimed: i64,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What the last attempts came to: those that ended deliveries, and those after which the next is to come.
///
/// Shape: of what is owed, those that are due last were tried last.
pub async fn recent(
    conn: &mut Conn,
    (environment, endpoint): EndpointKey,
) -> Result<Recent, StoreError> {
    let row: RecentRow = diesel::sql_query(
        "WITH ended AS (SELECT last_started_at AS started_at, last_outcome AS outcome, last_duration_ms AS duration_ms \
                        FROM deliveries WHERE environment_id = $1 AND endpoint_id = $2 AND last_outcome IS NOT NULL \
                        ORDER BY id DESC LIMIT $3), \
         latest AS (SELECT id, attempts FROM outbox WHERE environment_id = $1 AND endpoint_id = $2 \
                    AND due_at > '-infinity' ORDER BY due_at DESC LIMIT 10 * $3), \
         waiting AS (SELECT id FROM latest WHERE attempts > 0 LIMIT $3), \
         tried AS (SELECT started_at, outcome, duration_ms FROM waiting CROSS JOIN LATERAL \
                   (SELECT started_at, outcome, duration_ms FROM attempts WHERE attempts.environment_id = $1 \
                    AND attempts.delivery_id = waiting.id ORDER BY started_at DESC LIMIT 20) AS attempt), \
         recent AS (SELECT * FROM (SELECT * FROM ended UNION ALL SELECT * FROM tried) AS attempt \
                    ORDER BY started_at DESC LIMIT $3) \
         SELECT min(started_at) AS since, count(*) FILTER (WHERE outcome = 'accepted') AS accepted, \
                count(*) FILTER (WHERE outcome = 'refused') AS refused, \
                count(*) FILTER (WHERE outcome = 'timed_out') AS timed_out, \
                count(*) FILTER (WHERE outcome = 'unreachable') AS unreachable, \
                count(*) FILTER (WHERE outcome = 'forbidden') AS forbidden, \
                (percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_ms))::bigint AS median_ms, \
                max(duration_ms)::bigint AS longest_ms FROM recent",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(endpoint)
    .bind::<BigInt, _>(RECENT_ATTEMPTS_MAX)
    .get_result(conn)
    .await?;
    let duration = |ms: Option<i64>| ms.map(|ms| Duration::from_millis(count(ms)));
    Ok(Recent {
        since: row.since,
        accepted: count(row.accepted),
        refused: count(row.refused),
        timed_out: count(row.timed_out),
        unreachable: count(row.unreachable),
        forbidden: count(row.forbidden),
        median: duration(row.median_ms),
        longest: duration(row.longest_ms),
    })
}

#[derive(QueryableByName)]
struct RecentRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    accepted: i64,
    #[diesel(sql_type = BigInt)]
    refused: i64,
    #[diesel(sql_type = BigInt)]
    timed_out: i64,
    #[diesel(sql_type = BigInt)]
    unreachable: i64,
    #[diesel(sql_type = BigInt)]
    forbidden: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    median_ms: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    longest_ms: Option<i64>,
}
