//! Replays: durable jobs, and how far each has come.
//!
//! Invariant: where a job stands moves in the transaction that makes its deliveries, under the environment's lock; so
//! a job that was broken off goes on where it was, and no two servers make the same delivery.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::columns::RawId;
use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::replays;
use crate::domain::id::{EndpointId, EnvironmentId, EventId, ReplayId};
use crate::domain::page::PageQuery;
use crate::domain::replay::{Replay, ReplayCount, ReplayRange, ReplayScope, ReplayState};

/// The states in which a replay has something to do.
const ACTIVE: [&str; 2] = ["pending", "running"];

/// A replay as it is kept.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = replays)]
pub struct ReplayRow {
    pub environment_id: EnvironmentId,
    pub id: ReplayId,
    pub endpoint_id: EndpointId,
    pub scope: String,
    pub range_start: DateTime<Utc>,
    pub range_end: DateTime<Utc>,
    pub rate: i32,
    pub state: String,
    pub failure: Option<String>,
    pub total: i64,
    pub total_at_least: bool,
    pub made: i64,
    pub looked_through: Option<RawId>,
    pub next_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl ReplayRow {
    /// Moves it to a state; one that is not active is the last.
    pub fn enter(&mut self, state: ReplayState, now: DateTime<Utc>) {
        let (word, failure) = state.words();
        word.clone_into(&mut self.state);
        self.failure = failure.map(str::to_owned);
        self.updated_at = now;
        self.finished_at = (!state.is_active()).then_some(now);
    }

    pub fn range(&self) -> ReplayRange {
        ReplayRange {
            start: self.range_start,
            end: self.range_end,
        }
    }

    /// The replay.
    ///
    /// Errors: `Corrupt` when it is not what this file writes.
    pub fn read(&self) -> Result<Replay, StoreError> {
        let corrupt = || StoreError::corrupt(format!("replay {}", self.id));
        let natural = |number: i64| u64::try_from(number).ok().ok_or_else(corrupt);
        // A delivery's id has its event's time, so this is the time of either.
        let place = self.looked_through.map(EventId::from);
        Ok(Replay {
            id: self.id,
            endpoint: self.endpoint_id,
            scope: ReplayScope::parse(&self.scope).ok_or_else(corrupt)?,
            range: self.range(),
            rate: u32::try_from(self.rate).ok().ok_or_else(corrupt)?,
            state: ReplayState::parse(&self.state, self.failure.as_deref()).ok_or_else(corrupt)?,
            total: ReplayCount {
                count: natural(self.total)?,
                at_least: self.total_at_least,
            },
            made: natural(self.made)?,
            done_through: place.map(EventId::time),
            created_at: self.created_at,
            updated_at: self.updated_at,
            finished_at: self.finished_at,
        })
    }
}

/// Inserts a job that has not begun.
pub async fn insert(conn: &mut Conn, row: &ReplayRow) -> Result<(), StoreError> {
    diesel::insert_into(replays::table)
        .values((
            replays::environment_id.eq(row.environment_id),
            replays::id.eq(row.id),
            replays::endpoint_id.eq(row.endpoint_id),
            replays::scope.eq(&row.scope),
            replays::range_start.eq(row.range_start),
            replays::range_end.eq(row.range_end),
            replays::rate.eq(row.rate),
            replays::state.eq(&row.state),
            replays::total.eq(row.total),
            replays::total_at_least.eq(row.total_at_least),
            replays::made.eq(row.made),
            replays::next_at.eq(row.next_at),
            replays::created_at.eq(row.created_at),
            replays::updated_at.eq(row.updated_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Finds one replay of `environment`.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: ReplayId,
) -> Result<Option<ReplayRow>, StoreError> {
    Ok(replays::table
        .filter(replays::environment_id.eq(environment))
        .filter(replays::id.eq(id))
        .select(ReplayRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Reads one page, as `query` says, one row beyond its size; of these endpoints alone where they are given.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    endpoint: Option<EndpointId>,
    among: Option<&[EndpointId]>,
    query: &PageQuery<ReplayId>,
) -> Result<Vec<ReplayRow>, StoreError> {
    let statement = replays::table
        .filter(replays::environment_id.eq(environment))
        .select(ReplayRow::as_select())
        .into_boxed();
    let mut statement = paged!(statement, replays::id, query);
    if let Some(endpoint) = endpoint {
        statement = statement.filter(replays::endpoint_id.eq(endpoint));
    }
    if let Some(among) = among {
        statement = statement.filter(replays::endpoint_id.eq_any(among.to_vec()));
    }
    Ok(statement.load(conn).await?)
}

/// How many replays of `environment` are not at their end.
pub async fn count_active(conn: &mut Conn, environment: EnvironmentId) -> Result<i64, StoreError> {
    Ok(replays::table
        .filter(replays::environment_id.eq(environment))
        .filter(replays::state.eq_any(ACTIVE))
        .count()
        .get_result(conn)
        .await?)
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Uuid)]
    environment_id: EnvironmentId,
    #[diesel(sql_type = Uuid)]
    id: ReplayId,
}

/// The jobs that may go on at `now`, without `put_off`: one of each environment, those first that wait longest.
///
/// Shape: one look at a partial index that holds jobs with something to do alone, so asking often costs next to nothing.
pub async fn due(
    conn: &mut Conn,
    now: DateTime<Utc>,
    put_off: Vec<ReplayId>,
    limit: i64,
) -> Result<Vec<(EnvironmentId, ReplayId)>, StoreError> {
    let next: Vec<Next> = diesel::sql_query(
        "SELECT environment_id, id FROM (SELECT DISTINCT ON (environment_id) environment_id, id, next_at \
         FROM replays WHERE state IN ('pending', 'running') AND next_at <= $2 AND id <> ALL($1) \
         ORDER BY environment_id, next_at, id) AS next ORDER BY next_at, id LIMIT $3",
    )
    .bind::<Array<Uuid>, _>(put_off)
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let next = next.into_iter().map(|next| (next.environment_id, next.id));
    Ok(next.collect())
}

/// Whether any environment has a replay with something to do, now or soon.
pub async fn any_active(conn: &mut Conn) -> Result<bool, StoreError> {
    let active = replays::table.filter(replays::state.eq_any(ACTIVE));
    Ok(diesel::select(diesel::dsl::exists(active))
        .get_result(conn)
        .await?)
}

/// Takes one job that is not at its end for this transaction.
pub async fn take(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: ReplayId,
) -> Result<Option<ReplayRow>, StoreError> {
    Ok(replays::table
        .filter(replays::environment_id.eq(environment))
        .filter(replays::id.eq(id))
        .filter(replays::state.eq_any(ACTIVE))
        .for_update()
        .select(ReplayRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Writes where a job stands.
pub async fn advance(conn: &mut Conn, row: &ReplayRow) -> Result<(), StoreError> {
    diesel::update(replays::table)
        .filter(replays::environment_id.eq(row.environment_id))
        .filter(replays::id.eq(row.id))
        .set((
            replays::state.eq(&row.state),
            replays::failure.eq(&row.failure),
            replays::made.eq(row.made),
            replays::looked_through.eq(row.looked_through),
            replays::next_at.eq(row.next_at),
            replays::updated_at.eq(row.updated_at),
            replays::finished_at.eq(row.finished_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes at most `limit` jobs of one environment that ended before `before`; answers how many went.
pub async fn delete_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, StoreError> {
    let deleted = diesel::sql_query(
        "DELETE FROM replays WHERE environment_id = $1 AND id IN \
         (SELECT id FROM replays WHERE environment_id = $1 AND finished_at < $2 ORDER BY id LIMIT $3)",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(deleted)
}
