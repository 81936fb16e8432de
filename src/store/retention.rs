//! Retention: what has grown old leaves, in an order that no reader of the feed can be surprised by.
//!
//! Invariant: before a week of events goes, every environment's lock row says through which place it is gone, so a
//! cursor in it is answered as expired and no later id or position comes before it. What is still owed from it is
//! cancelled first. The three partitions of a week go together.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Uuid};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::conn::Conn;
use super::error::StoreError;
use super::events;
use super::outbox::{self, Cancelled};
use super::partitions::{TABLES, Week};
use super::schema::{event_sequences, outbox as outbox_table};
use crate::domain::delivery::CancelReason;
use crate::domain::id::{EndpointId, EnvironmentId, EventId};

/// An endpoint that is owed deliveries which will not be sent.
#[derive(QueryableByName)]
struct OwedRow {
    #[diesel(sql_type = Uuid)]
    environment_id: EnvironmentId,
    #[diesel(sql_type = Uuid)]
    id: EndpointId,
}

/// Deleted endpoints that are still owed deliveries.
pub async fn deleted_but_owed(
    conn: &mut Conn,
) -> Result<Vec<(EnvironmentId, EndpointId)>, StoreError> {
    owed(conn, "deleted_at IS NOT NULL").await
}

/// Disabled endpoints that are owed deliveries.
pub async fn disabled_but_owed(
    conn: &mut Conn,
) -> Result<Vec<(EnvironmentId, EndpointId)>, StoreError> {
    owed(conn, "deleted_at IS NULL AND disabled_reason IS NOT NULL").await
}

async fn owed(
    conn: &mut Conn,
    which: &str,
) -> Result<Vec<(EnvironmentId, EndpointId)>, StoreError> {
    let rows: Vec<OwedRow> = diesel::sql_query(format!(
        "SELECT environment_id, id FROM endpoints WHERE {which} AND EXISTS (SELECT FROM outbox \
         WHERE outbox.environment_id = endpoints.environment_id AND outbox.endpoint_id = endpoints.id \
         AND outbox.due_at > '-infinity')"
    ))
    .load(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.environment_id, row.id))
        .collect())
}

/// The longest that the waits of an endpoint of `environment` add up to, if one has a schedule of its own.
pub async fn longest_schedule(
    conn: &mut Conn,
    environment: EnvironmentId,
) -> Result<Option<Duration>, StoreError> {
    let row: LongestRow = diesel::sql_query(
        "SELECT max((SELECT sum(delay) FROM unnest(retry_delays_seconds) AS delay)) AS seconds FROM endpoints \
         WHERE environment_id = $1 AND deleted_at IS NULL AND retry_delays_seconds IS NOT NULL",
    )
    .bind::<Uuid, _>(environment)
    .get_result(conn)
    .await?;
    let seconds = row.seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.map(Duration::from_secs))
}

#[derive(QueryableByName)]
struct LongestRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    seconds: Option<i64>,
}

/// Deliveries that one statement cancels.
const CANCEL_BATCH: i64 = 1_000;

/// Takes leave of everything before `week` in one environment: cancels what is owed, and marks the place.
///
/// Errors: `Unavailable` while another transaction holds a delivery that is to be cancelled; nothing may be
/// dropped then.
pub async fn mark_dropped(
    conn: &mut Conn,
    environment: EnvironmentId,
    week: Week,
) -> Result<(), StoreError> {
    let bound = week.first_id();
    let expired = Cancelled {
        event_before: Some(bound),
        ..Cancelled::default()
    };
    let reason = CancelReason::EventExpired;
    while outbox::cancel(conn, environment, expired, reason, CANCEL_BATCH).await? > 0 {}
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        // Under the lock nothing new is owed: a replay takes it too.
        let lock = events::lock(conn, &turn).await?;
        if owes_before(conn, environment, bound).await? {
            return Err(StoreError::Unavailable(
                "a delivery to be cancelled is held".to_owned(),
            ));
        }
        let Some(last) = events::last_before(conn, environment, bound).await? else {
            return Ok(());
        };
        if last <= lock.dropped_through {
            return Ok(());
        }
        diesel::update(event_sequences::table)
            .filter(event_sequences::environment_id.eq(environment))
            .set((
                event_sequences::dropped_through_id.eq(last.id),
                event_sequences::dropped_through_position.eq(last.position),
            ))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Whether a delivery of an event before `bound` is owed.
async fn owes_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    bound: EventId,
) -> Result<bool, StoreError> {
    let owed = outbox_table::table
        .filter(outbox_table::environment_id.eq(environment))
        .filter(outbox_table::event_id.lt(bound));
    Ok(diesel::select(diesel::dsl::exists(owed))
        .get_result(conn)
        .await?)
}

/// Drops the partitions of `week`; every environment has been marked.
///
/// Shape: waits only a moment for the tables, because everybody who comes later waits behind it.
/// Errors: `Query` when they were not free in that moment; nothing was dropped then.
pub async fn drop_week(conn: &mut Conn, week: Week) -> Result<(), StoreError> {
    conn.transaction(async |conn| {
        conn.batch_execute(super::partitions::LOCK_FOR_A_MOMENT)
            .await?;
        for table in TABLES {
            conn.batch_execute(&format!("DROP TABLE IF EXISTS {table}_{}", week.name()))
                .await?;
        }
        Ok::<_, StoreError>(())
    })
    .await
}
