//! Claims: the only way to take work from the outbox.
//!
//! Invariant: work is found and taken endpoint by endpoint through the index, so that a million rows of one
//! endpoint are never in another's way. What is taken is leased: the due time moves to the lease's end.
//!
//! Shape: only statements that say `due_at > '-infinity'`, which is always so, can use the index by due time; look-ups
//! by key never go through it (ADR 8).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::breakers;
use super::conn::Conn;
use super::error::StoreError;
use super::handoff::EndpointKey;
use super::outbox::Lease;
use crate::domain::breaker::BreakerState;
use crate::domain::delivery::Claim;
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId};

/// How long a row may take to be seen, counted from the due time that it bears: what commits later than that is
/// found by the next look through the outbox.
const SEEN_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// How far ahead a look through the outbox goes; the next one comes much sooner.
const LOOKS_AHEAD_S: i64 = 60;

/// An enabled endpoint that is owed deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    pub endpoint: EndpointKey,
    /// Milliseconds until the first of them is due; negative when it is due already.
    pub due_in_ms: i64,
    /// Nothing of it was due before that can still be claimed.
    pub floor: DateTime<Utc>,
    pub breaker: BreakerState,
}

/// Looks through the outbox for enabled endpoints that are owed something now or soon, those due longest first.
///
/// Shape: at most `limit`. The one read across environments: it walks the index from endpoint to endpoint, so its
/// cost is the number of endpoints that are owed something and not the number of deliveries, but it passes what is
/// owed to disabled endpoints and what vacuum has not removed yet. So nobody who claims waits for it.
pub async fn find_owed(
    conn: &mut Conn,
    now: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Owed>, StoreError> {
    type Row = (
        EnvironmentId,
        EndpointId,
        DateTime<Utc>,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    let rows: Vec<Row> = FindOwed { now, limit }.load(conn).await?;
    let owed = |(environment, endpoint, due_at, now, since, probe_at): Row| Owed {
        endpoint: (environment, endpoint),
        due_in_ms: (due_at - now).num_milliseconds(),
        floor: due_at.min(now - SEEN_WITHIN),
        breaker: since.map_or(BreakerState::Closed, |since| {
            breakers::state(since, probe_at)
        }),
    };
    Ok(rows.into_iter().map(owed).collect())
}

#[derive(QueryId)]
struct FindOwed {
    now: Option<DateTime<Utc>>,
    limit: i64,
}

impl Query for FindOwed {
    type SqlType = (
        Uuid,
        Uuid,
        Timestamptz,
        Timestamptz,
        Nullable<Timestamptz>,
        Nullable<Timestamptz>,
    );
}

impl QueryFragment<Pg> for FindOwed {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH RECURSIVE owed AS ( \
               (SELECT environment_id, endpoint_id, due_at FROM outbox WHERE due_at > '-infinity' \
                ORDER BY environment_id, endpoint_id, due_at LIMIT 1) \
               UNION ALL \
               SELECT next.* FROM owed CROSS JOIN LATERAL \
               (SELECT environment_id, endpoint_id, due_at FROM outbox \
                WHERE (environment_id, endpoint_id) > (owed.environment_id, owed.endpoint_id) AND due_at > '-infinity' \
                ORDER BY environment_id, endpoint_id, due_at LIMIT 1) AS next), \
             moment AS MATERIALIZED (SELECT coalesce(",
        );
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(
            ", clock_timestamp()) AS now) \
             SELECT owed.environment_id, owed.endpoint_id, owed.due_at, moment.now, breaker.since, breaker.probe_at \
             FROM owed CROSS JOIN moment \
             JOIN endpoints ON endpoints.environment_id = owed.environment_id AND endpoints.id = owed.endpoint_id \
             LEFT JOIN endpoint_breakers AS breaker \
             ON breaker.environment_id = owed.environment_id AND breaker.endpoint_id = owed.endpoint_id \
             WHERE endpoints.disabled_reason IS NULL AND endpoints.deleted_at IS NULL AND owed.due_at <= moment.now + ",
        );
        out.push_bind_param::<BigInt, _>(&LOOKS_AHEAD_S)?;
        out.push_sql(" * interval '1 second' ORDER BY owed.due_at LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        Ok(())
    }
}

/// What is wanted of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub endpoint: EndpointId,
    pub count: usize,
    /// Only what is due since then, if it is known that there is nothing before.
    pub floor: Option<DateTime<Utc>>,
}

/// What a claim took.
#[derive(Debug, Default)]
pub struct Claimed {
    pub claims: Vec<Claim>,
    /// Taken under the lease too, but their events are gone: there is nothing to send. See `outbox::expire`.
    pub expired: Vec<DeliveryId>,
    /// For each endpoint of which something was taken, how much.
    pub taken: BTreeMap<EndpointId, Taken>,
}

/// How much was taken of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub count: usize,
    /// Nothing that can be claimed was due before, if as much was taken as was wanted.
    pub through: DateTime<Utc>,
    /// The same, if less was taken.
    pub emptied: DateTime<Utc>,
}

/// Takes due deliveries of one environment under a new lease: of each endpoint as many as are wanted, oldest first.
///
/// Shape: rows that others hold are skipped, never waited for. The due time moves to the lease's end.
/// Source: the inner select is materialised, or the planner may run it once for each row it updates. The body
/// is looked up row by row: the planner cannot know how few rows are claimed, and joins all events otherwise.
pub async fn claim_due(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    lease: Lease,
    wanted: &[Wanted],
) -> Result<Claimed, StoreError> {
    type Row = (
        DeliveryId,
        EventId,
        EndpointId,
        i16,
        DateTime<Utc>,
        DateTime<Utc>,
        Option<String>,
    );
    let statement = ClaimDue {
        environment,
        now,
        lease,
        lease_ms: i64::try_from(lease.lasts.as_millis()).unwrap_or(i64::MAX),
        endpoints: wanted.iter().map(|wanted| wanted.endpoint).collect(),
        counts: wanted
            .iter()
            .map(|wanted| i32::try_from(wanted.count).unwrap_or(i32::MAX))
            .collect(),
        floors: wanted.iter().map(|wanted| wanted.floor).collect(),
    };
    let rows: Vec<Row> = statement.load(conn).await?;
    let mut claimed = Claimed::default();
    for (delivery, event, endpoint, attempts, was_due_at, now, body) in rows {
        let emptied = now - SEEN_WITHIN;
        let through = was_due_at.min(emptied);
        let first = Taken {
            count: 0,
            through,
            emptied,
        };
        let taken = claimed.taken.entry(endpoint).or_insert(first);
        taken.count += 1;
        taken.through = taken.through.max(through);
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
    floors: Vec<Option<DateTime<Utc>>>,
}

impl Query for ClaimDue {
    type SqlType = (
        Uuid,
        Uuid,
        Uuid,
        SmallInt,
        Timestamptz,
        Timestamptz,
        Nullable<Text>,
    );
}

impl QueryFragment<Pg> for ClaimDue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH moment AS (SELECT coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(", clock_timestamp()) AS now), wanted AS (SELECT * FROM unnest((SELECT ");
        out.push_bind_param::<Array<Uuid>, _>(&self.endpoints)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Integer>, _>(&self.counts)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(&self.floors)?;
        out.push_sql(
            ")) AS wanted (endpoint_id, count, floor)), \
             due AS MATERIALIZED (SELECT taken.* FROM wanted, moment, LATERAL \
             (SELECT ctid AS place, due_at AS was_due_at FROM outbox WHERE outbox.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND outbox.endpoint_id = wanted.endpoint_id AND outbox.due_at >= coalesce(wanted.floor, '-infinity') \
             AND outbox.due_at > '-infinity' AND outbox.due_at <= moment.now ORDER BY due_at \
             LIMIT wanted.count FOR UPDATE OF outbox SKIP LOCKED) AS taken), \
             claimed AS (UPDATE outbox SET lease_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.lease.id)?;
        out.push_sql(", worker_id = ");
        out.push_bind_param::<Uuid, _>(&self.lease.worker)?;
        out.push_sql(", due_at = moment.now + ");
        out.push_bind_param::<BigInt, _>(&self.lease_ms)?;
        out.push_sql(
            " * interval '1 millisecond' FROM due, moment WHERE outbox.ctid = due.place \
             RETURNING outbox.id, outbox.event_id, outbox.endpoint_id, outbox.attempts, due.was_due_at, moment.now) \
             SELECT claimed.id, claimed.event_id, claimed.endpoint_id, claimed.attempts, claimed.was_due_at, claimed.now, \
             (SELECT body FROM events WHERE events.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(" AND events.id = claimed.event_id) FROM claimed ORDER BY claimed.id");
        Ok(())
    }
}
