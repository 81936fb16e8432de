//! The outbox: deliveries that are still owed.
//!
//! Invariant: a row is due at a time; a lease is nothing but a later due time plus an id, so a worker that dies
//! needs no rescuer. A verdict takes effect only under its lease; the attempt is recorded always. Settled rows
//! leave for `deliveries` in the same statement. Whoever locks several rows locks them in the order of their
//! ids. Does not take work (`claims` does) and does not decide when to try again (`domain::delivery` does).

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::outbox;
use crate::domain::delivery::CancelReason;
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
    mut conn: &Conn,
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
    statement.execute(&mut conn).await?;
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

/// Cancels deliveries that were claimed under `lease` and whose events are gone; answers how many.
pub async fn expire(
    conn: &mut Conn,
    environment: EnvironmentId,
    lease: LeaseId,
    ids: &[DeliveryId],
) -> Result<usize, StoreError> {
    let expired = diesel::sql_query(
        "WITH held AS MATERIALIZED (SELECT owed.place FROM (SELECT unnest((SELECT $2)) AS id ORDER BY id) AS claim CROSS JOIN LATERAL \
                       (SELECT ctid AS place FROM outbox WHERE environment_id = $1 AND outbox.id = claim.id \
                        AND lease_id = $3 FOR UPDATE) AS owed), \
         gone AS (DELETE FROM outbox USING held WHERE outbox.ctid = held.place RETURNING outbox.*) \
         INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, reason, attempts, replay_of, \
                                 created_at, settled_at) \
         SELECT environment_id, id, event_id, endpoint_id, 'cancelled', $4, attempts, replay_of, created_at, \
                clock_timestamp() FROM gone",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Uuid, _>(lease)
    .bind::<Text, _>(CancelReason::EventExpired.as_str())
    .execute(conn)
    .await?;
    Ok(expired)
}

/// Gives back deliveries that were claimed and not sent: due at once, without a lease.
///
/// Shape: due since they were made, so that they come before what became due later, not after it. Rows are
/// locked in the order of their ids, here as everywhere.
pub async fn release(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    claims: &[(DeliveryId, LeaseId)],
) -> Result<usize, StoreError> {
    let (ids, leases): (Vec<DeliveryId>, Vec<LeaseId>) = claims.iter().copied().unzip();
    let released = diesel::sql_query(
        "WITH held AS MATERIALIZED (SELECT owed.place FROM \
                       (SELECT * FROM unnest((SELECT $2), (SELECT $3)) AS claim (id, lease_id) ORDER BY id) AS claim CROSS JOIN LATERAL (SELECT ctid AS place FROM outbox WHERE environment_id = $1 \
                       AND outbox.id = claim.id AND outbox.lease_id = claim.lease_id FOR UPDATE) AS owed) \
         UPDATE outbox SET due_at = least(outbox.created_at, coalesce($4, clock_timestamp())), \
                lease_id = NULL, worker_id = NULL \
         FROM held WHERE outbox.ctid = held.place",
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
        "WITH held AS MATERIALIZED (SELECT ctid AS place FROM outbox WHERE environment_id = $1 \
                       AND worker_id = $2 ORDER BY id FOR UPDATE) \
         UPDATE outbox SET due_at = least(outbox.created_at, coalesce($3, clock_timestamp())), \
                lease_id = NULL, worker_id = NULL \
         FROM held WHERE outbox.ctid = held.place",
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
    /// A bound of time, so that it bounds the ids of deliveries too: they begin with their event's time.
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
        "WITH chosen AS MATERIALIZED (SELECT ctid AS place FROM outbox WHERE environment_id = $1 \
                         AND ($2::uuid IS NULL OR (endpoint_id = $2 AND due_at > '-infinity')) \
                         AND ($3::timestamptz IS NULL OR created_at < $3) \
                         AND ($4::uuid IS NULL OR (event_id < $4 AND id < $4)) \
                         ORDER BY id LIMIT $6 FOR UPDATE SKIP LOCKED), \
         gone AS (DELETE FROM outbox USING chosen WHERE outbox.ctid = chosen.place RETURNING outbox.*) \
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

/// A delivery that was cancelled while its event was being redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recalled {
    pub delivery: DeliveryId,
    /// Until when a worker that had claimed it may have been sending it.
    pub held_until: Option<DateTime<Utc>>,
}

/// Cancels what is owed of these events, leased or not; the caller holds the environment's lock, so that nothing
/// new is owed of them.
///
/// Shape: waits for rows that others hold, in the order of their ids. A claim that comes later finds no row.
pub async fn cancel_of_events(
    conn: &mut Conn,
    environment: EnvironmentId,
    events: &[EventId],
    reason: CancelReason,
) -> Result<Vec<Recalled>, StoreError> {
    let (first, last): (Vec<DeliveryId>, Vec<DeliveryId>) = events
        .iter()
        .map(|&event| DeliveryId::range_for_event(event))
        .unzip();
    let owed: Vec<OwedRow> = diesel::sql_query(
        "SELECT outbox.id, CASE WHEN lease_id IS NOT NULL THEN due_at END AS held_until FROM outbox \
         JOIN unnest($2, $3, $4) AS told (event_id, first, last) \
         ON outbox.id BETWEEN told.first AND told.last AND outbox.event_id = told.event_id \
         WHERE outbox.environment_id = $1 ORDER BY outbox.id FOR UPDATE OF outbox",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(events)
    .bind::<Array<Uuid>, _>(first)
    .bind::<Array<Uuid>, _>(last)
    .load(conn)
    .await?;
    let ids: Vec<DeliveryId> = owed.iter().map(|row| row.id).collect();
    // A statement of its own: it sees the rows as they were locked.
    diesel::sql_query(
        "WITH gone AS (DELETE FROM outbox WHERE environment_id = $1 AND id = ANY($2) RETURNING *) \
         INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, reason, attempts, replay_of, \
                                 created_at, settled_at) \
         SELECT environment_id, id, event_id, endpoint_id, 'cancelled', $3, attempts, replay_of, created_at, \
                clock_timestamp() FROM gone",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Text, _>(reason.as_str())
    .execute(conn)
    .await?;
    let owed = owed.into_iter().map(|row| Recalled {
        delivery: row.id,
        held_until: row.held_until,
    });
    Ok(owed.collect())
}

#[derive(diesel::QueryableByName)]
struct OwedRow {
    #[diesel(sql_type = Uuid)]
    id: DeliveryId,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    held_until: Option<DateTime<Utc>>,
}
