//! Claims: the only way to take work from the outbox.
//!
//! Invariant: work is found and taken endpoint by endpoint through the index, so that a million rows of one
//! endpoint are never in another's way. What is taken is leased: the due time moves to the lease's end.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::outbox::Lease;
use crate::domain::delivery::Claim;
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId};

/// An enabled endpoint that has deliveries due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    pub environment: EnvironmentId,
    pub endpoint: EndpointId,
}

/// Finds enabled endpoints with work due, those due longest first.
///
/// Shape: at most `limit`. The one read across environments: it walks the index from endpoint to endpoint,
/// so its cost is the number of endpoints that are owed something, not the number of deliveries.
pub async fn find_work(
    conn: &mut Conn,
    now: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Work>, StoreError> {
    let rows: Vec<(EnvironmentId, EndpointId)> = FindWork { now, limit }.load(conn).await?;
    Ok(rows
        .into_iter()
        .map(|(environment, endpoint)| Work {
            environment,
            endpoint,
        })
        .collect())
}

#[derive(QueryId)]
struct FindWork {
    now: Option<DateTime<Utc>>,
    limit: i64,
}

impl Query for FindWork {
    type SqlType = (Uuid, Uuid);
}

impl QueryFragment<Pg> for FindWork {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH RECURSIVE owed AS ( \
               (SELECT environment_id, endpoint_id, due_at FROM outbox \
                ORDER BY environment_id, endpoint_id, due_at LIMIT 1) \
               UNION ALL \
               SELECT next.* FROM owed CROSS JOIN LATERAL \
               (SELECT environment_id, endpoint_id, due_at FROM outbox \
                WHERE (environment_id, endpoint_id) > (owed.environment_id, owed.endpoint_id) \
                ORDER BY environment_id, endpoint_id, due_at LIMIT 1) AS next) \
             SELECT owed.environment_id, owed.endpoint_id FROM owed \
             JOIN endpoints ON endpoints.environment_id = owed.environment_id AND endpoints.id = owed.endpoint_id \
             WHERE endpoints.disabled_reason IS NULL AND endpoints.deleted_at IS NULL AND owed.due_at <= coalesce(",
        );
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(", clock_timestamp()) ORDER BY owed.due_at LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        Ok(())
    }
}

/// What a claim took.
#[derive(Debug, Default)]
pub struct Claimed {
    pub claims: Vec<Claim>,
    /// Taken under the lease too, but their events are gone: there is nothing to send. See `outbox::expire`.
    pub expired: Vec<DeliveryId>,
}

/// Takes due deliveries of one environment under a new lease: of each endpoint as many as are asked for,
/// oldest first.
///
/// Shape: rows that others hold are skipped, never waited for. The due time moves to the lease's end.
/// Source: the inner select is materialised, or the planner may run it once for each row it updates. The body
/// is looked up row by row: the planner cannot know how few rows are claimed, and joins all events otherwise.
pub async fn claim_due(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    lease: Lease,
    wanted: &[(EndpointId, usize)],
) -> Result<Claimed, StoreError> {
    let statement = ClaimDue {
        environment,
        now,
        lease,
        lease_ms: i64::try_from(lease.lasts.as_millis()).unwrap_or(i64::MAX),
        endpoints: wanted.iter().map(|&(endpoint, _)| endpoint).collect(),
        counts: wanted
            .iter()
            .map(|&(_, count)| i32::try_from(count).unwrap_or(i32::MAX))
            .collect(),
    };
    let rows: Vec<(DeliveryId, EventId, EndpointId, i16, Option<String>)> =
        statement.load(conn).await?;
    let mut claimed = Claimed::default();
    for (delivery, event, endpoint, attempts, body) in rows {
        match body {
            Some(body) => claimed.claims.push(Claim {
                environment,
                delivery,
                event,
                endpoint,
                lease: lease.id,
                number: u32::try_from(attempts).unwrap_or(0) + 1,
                body: body.into(),
            }),
            None => claimed.expired.push(delivery),
        }
    }
    Ok(claimed)
}

#[derive(QueryId)]
struct ClaimDue {
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    lease: Lease,
    lease_ms: i64,
    endpoints: Vec<EndpointId>,
    counts: Vec<i32>,
}

impl Query for ClaimDue {
    type SqlType = (Uuid, Uuid, Uuid, SmallInt, Nullable<Text>);
}

impl QueryFragment<Pg> for ClaimDue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH moment AS (SELECT coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(", clock_timestamp()) AS now), wanted AS (SELECT * FROM unnest((SELECT ");
        out.push_bind_param::<Array<Uuid>, _>(&self.endpoints)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Integer>, _>(&self.counts)?;
        out.push_sql(
            ")) AS wanted (endpoint_id, count)), due AS MATERIALIZED (SELECT taken.place FROM wanted, moment, LATERAL \
             (SELECT ctid AS place FROM outbox WHERE outbox.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND outbox.endpoint_id = wanted.endpoint_id AND outbox.due_at <= moment.now ORDER BY due_at \
             LIMIT wanted.count FOR UPDATE OF outbox SKIP LOCKED) AS taken), \
             claimed AS (UPDATE outbox SET lease_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.lease.id)?;
        out.push_sql(", worker_id = ");
        out.push_bind_param::<Uuid, _>(&self.lease.worker)?;
        out.push_sql(", due_at = moment.now + ");
        out.push_bind_param::<BigInt, _>(&self.lease_ms)?;
        out.push_sql(
            " * interval '1 millisecond' FROM due, moment WHERE outbox.ctid = due.place RETURNING outbox.id, outbox.event_id, outbox.endpoint_id, outbox.attempts) \
             SELECT claimed.id, claimed.event_id, claimed.endpoint_id, claimed.attempts, \
             (SELECT body FROM events WHERE events.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(" AND events.id = claimed.event_id) FROM claimed ORDER BY claimed.id");
        Ok(())
    }
}
