//! The outbox: deliveries that are still owed, and the only way to take work from it.
//!
//! Invariant: a row is due at a time; a lease is nothing but a later due time plus an id, so a worker that dies
//! needs no rescuer. A verdict takes effect only under its lease; the attempt is recorded always. Settled rows
//! leave for `deliveries` in the same statement. Does not decide when to try again: that is `domain::delivery`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid,
};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::outbox;
use crate::domain::delivery::{CancelReason, Claim};
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId, WorkerId};

/// A delivery that is to be owed.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub endpoint: EndpointId,
    /// Written as already claimed by this process.
    pub leased: bool,
    pub replay_of: Option<DeliveryId>,
}

/// Under which lease a process takes deliveries, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub id: LeaseId,
    pub worker: WorkerId,
    pub lasts: Duration,
}

/// Inserts deliveries of one environment, due at `now`; those that are `leased` under `lease` and due at its end.
pub async fn insert(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: DateTime<Utc>,
    lease: Option<Lease>,
    new: &[NewDelivery],
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let statement = Insert {
        environment,
        now,
        lease_end: lease.map(|lease| now + lease.lasts),
        lease: lease.map(|lease| lease.id),
        worker: lease.map(|lease| lease.worker),
        ids: new.iter().map(|delivery| delivery.id).collect(),
        events: new.iter().map(|delivery| delivery.event).collect(),
        endpoints: new.iter().map(|delivery| delivery.endpoint).collect(),
        leased: new
            .iter()
            .map(|delivery| delivery.leased && lease.is_some())
            .collect(),
        replays: new.iter().map(|delivery| delivery.replay_of).collect(),
    };
    statement.execute(conn).await?;
    Ok(())
}

#[derive(QueryId)]
struct Insert {
    environment: EnvironmentId,
    now: DateTime<Utc>,
    lease_end: Option<DateTime<Utc>>,
    lease: Option<LeaseId>,
    worker: Option<WorkerId>,
    ids: Vec<DeliveryId>,
    events: Vec<EventId>,
    endpoints: Vec<EndpointId>,
    leased: Vec<bool>,
    replays: Vec<Option<DeliveryId>>,
}

impl QueryFragment<Pg> for Insert {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO outbox (environment_id, id, event_id, endpoint_id, replay_of, created_at, due_at, \
             lease_id, worker_id) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(", id, event_id, endpoint_id, replay_of, now, CASE WHEN leased THEN ");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.lease_end)?;
        out.push_sql(" ELSE now END, CASE WHEN leased THEN ");
        out.push_bind_param::<Nullable<Uuid>, _>(&self.lease)?;
        out.push_sql(" END, CASE WHEN leased THEN ");
        out.push_bind_param::<Nullable<Uuid>, _>(&self.worker)?;
        out.push_sql(" END FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.events)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.endpoints)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.leased)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Uuid>>, _>(&self.replays)?;
        out.push_sql(") AS new (id, event_id, endpoint_id, leased, replay_of), (SELECT ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(" AS now) AS moment");
        Ok(())
    }
}

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

/// Takes due deliveries of one environment under a new lease: of each endpoint as many as are asked for,
/// oldest first.
///
/// Shape: rows that others hold are skipped, never waited for. The due time moves to the lease's end.
/// Source: the inner select is materialised, or the planner may run it once for each row it updates.
pub async fn claim_due(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    lease: Lease,
    wanted: &[(EndpointId, usize)],
) -> Result<Vec<Claim>, StoreError> {
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
    let rows: Vec<(DeliveryId, EventId, EndpointId, i16, String)> = statement.load(conn).await?;
    Ok(rows
        .into_iter()
        .map(|(delivery, event, endpoint, attempts, body)| Claim {
            environment,
            delivery,
            event,
            endpoint,
            lease: lease.id,
            number: u32::try_from(attempts).unwrap_or(0) + 1,
            body: body.into(),
        })
        .collect())
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
    type SqlType = (Uuid, Uuid, Uuid, SmallInt, Text);
}

impl QueryFragment<Pg> for ClaimDue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH moment AS (SELECT coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(", clock_timestamp()) AS now), wanted AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.endpoints)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.counts)?;
        out.push_sql(
            ") AS wanted (endpoint_id, count)), due AS MATERIALIZED (SELECT taken.id FROM wanted, moment, LATERAL \
             (SELECT id FROM outbox WHERE outbox.environment_id = ",
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
        out.push_sql(" * interval '1 millisecond' FROM due, moment WHERE outbox.environment_id = ");
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND outbox.id = due.id RETURNING outbox.id, outbox.event_id, outbox.endpoint_id, outbox.attempts) \
             SELECT claimed.id, claimed.event_id, claimed.endpoint_id, claimed.attempts, events.body \
             FROM claimed JOIN events ON events.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(" AND events.id = claimed.event_id ORDER BY claimed.id");
        Ok(())
    }
}

/// Gives back deliveries that were claimed and not sent: due at once, without a lease.
pub async fn release(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    claims: &[(DeliveryId, LeaseId)],
) -> Result<usize, StoreError> {
    let (ids, leases): (Vec<DeliveryId>, Vec<LeaseId>) = claims.iter().copied().unzip();
    let released = diesel::sql_query(
        "UPDATE outbox SET due_at = coalesce($4, clock_timestamp()), lease_id = NULL, worker_id = NULL \
         FROM unnest($2, $3) AS held (id, lease_id) \
         WHERE environment_id = $1 AND outbox.id = held.id AND outbox.lease_id = held.lease_id",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Uuid>, _>(leases)
    .bind::<Nullable<Timestamptz>, _>(now)
    .execute(conn)
    .await?;
    Ok(released)
}

/// The environments in which `worker` holds deliveries.
pub async fn environments_of(
    conn: &mut Conn,
    worker: WorkerId,
) -> Result<Vec<EnvironmentId>, StoreError> {
    Ok(outbox::table
        .filter(outbox::worker_id.eq(worker))
        .select(outbox::environment_id)
        .distinct()
        .load(conn)
        .await?)
}

/// Gives back everything that `worker` holds in `environment`; answers how many deliveries.
pub async fn release_worker(
    conn: &mut Conn,
    environment: EnvironmentId,
    worker: WorkerId,
    now: Option<DateTime<Utc>>,
) -> Result<usize, StoreError> {
    let released = diesel::sql_query(
        "UPDATE outbox SET due_at = coalesce($3, clock_timestamp()), lease_id = NULL, worker_id = NULL \
         WHERE environment_id = $1 AND worker_id = $2",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(worker)
    .bind::<Nullable<Timestamptz>, _>(now)
    .execute(conn)
    .await?;
    Ok(released)
}

/// Which owed deliveries are cancelled: those that meet every condition that is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cancelled {
    pub endpoint: Option<EndpointId>,
    pub created_before: Option<DateTime<Utc>>,
    pub event_before: Option<EventId>,
}

/// Cancels at most `limit` owed deliveries, leased ones too; answers how many.
///
/// Shape: a worker that is sending one of them meets a lost lease when it settles.
pub async fn cancel(
    conn: &mut Conn,
    environment: EnvironmentId,
    which: Cancelled,
    reason: CancelReason,
    limit: i64,
) -> Result<usize, StoreError> {
    let cancelled = diesel::sql_query(
        "WITH chosen AS (SELECT id FROM outbox WHERE environment_id = $1 \
                         AND ($2::uuid IS NULL OR endpoint_id = $2) \
                         AND ($3::timestamptz IS NULL OR created_at < $3) \
                         AND ($4::uuid IS NULL OR event_id < $4) \
                         ORDER BY id LIMIT $6 FOR UPDATE SKIP LOCKED), \
         gone AS (DELETE FROM outbox USING chosen WHERE outbox.environment_id = $1 AND outbox.id = chosen.id \
                  RETURNING outbox.*) \
         INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, reason, attempts, replay_of, \
                                 created_at, settled_at) \
         SELECT environment_id, id, event_id, endpoint_id, 'cancelled', $5, attempts, replay_of, created_at, \
                clock_timestamp() FROM gone",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Nullable<Uuid>, _>(which.endpoint)
    .bind::<Nullable<Timestamptz>, _>(which.created_before)
    .bind::<Nullable<Uuid>, _>(which.event_before)
    .bind::<Text, _>(reason.as_str())
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(cancelled)
}
