//! Events: the feed's rows, and the lock that puts them in one order.
//!
//! Invariant: ids, positions and commits of an environment have the same order, because all three happen under
//! the lock of its `event_sequences` row. The last place is read in the statement *after* the lock's: in the same
//! one it would be as old as the lock's wait. So a reader that saw an event never sees an earlier one appear.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{event_sequences, events};
use super::stretches::Stretch;
use super::turns::Turn;
use crate::domain::event::{Event, EventFilter, EventType, Place};
use crate::domain::id::{EnvironmentId, EventId, OrganizationId};
use crate::domain::page::PageSize;

/// An environment's lock, held until the transaction ends.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentLock {
    pub environment: EnvironmentId,
    /// The version of the fan-out table that is current under this lock.
    pub endpoints_version: i64,
    /// The last place that retention dropped.
    pub dropped_through: Place,
}

/// Takes the environment's lock: the first statement of every transaction that records an event, changes an
/// endpoint or stores an idempotency key.
///
/// Shape: on a shared connection, as all that a batch does: see [`Conn`].
pub async fn lock(mut conn: &Conn, turn: &Turn) -> Result<EnvironmentLock, StoreError> {
    let environment = turn.environment();
    let (endpoints_version, id, position): (i64, Option<EventId>, i64) = event_sequences::table
        .filter(event_sequences::environment_id.eq(environment))
        .select((
            event_sequences::endpoints_version,
            event_sequences::dropped_through_id,
            event_sequences::dropped_through_position,
        ))
        .for_update()
        .first(&mut conn)
        .await?;
    let dropped_through = id.map_or(Place::ORIGIN, |id| Place { id, position });
    Ok(EnvironmentLock {
        environment,
        endpoints_version,
        dropped_through,
    })
}

/// Counts one change of the environment's endpoints; the caller holds the lock.
pub async fn bump_endpoints_version(
    conn: &mut Conn,
    lock: &EnvironmentLock,
) -> Result<(), StoreError> {
    diesel::update(event_sequences::table)
        .filter(event_sequences::environment_id.eq(lock.environment))
        .set(event_sequences::endpoints_version.eq(event_sequences::endpoints_version + 1))
        .execute(conn)
        .await?;
    Ok(())
}

/// Finds the last place of the environment, and the time; the caller holds the lock.
///
/// Shape: looks at ids from `floor` on only, so that old partitions are not touched; `None` when there is
/// none. The time is `now`, or the database's clock read after the lock.
pub async fn last_place(
    mut conn: &Conn,
    environment: EnvironmentId,
    floor: EventId,
    now: Option<DateTime<Utc>>,
) -> Result<(Option<Place>, DateTime<Utc>), StoreError> {
    let statement = LastPlace {
        environment,
        floor,
        now,
    };
    let (id, position, now): (Option<EventId>, Option<i64>, DateTime<Utc>) =
        statement.get_result(&mut conn).await?;
    Ok((
        id.zip(position)
            .map(|(id, position)| Place { id, position }),
        now,
    ))
}

#[derive(QueryId)]
struct LastPlace {
    environment: EnvironmentId,
    floor: EventId,
    now: Option<DateTime<Utc>>,
}

impl Query for LastPlace {
    type SqlType = (Nullable<Uuid>, Nullable<BigInt>, Timestamptz);
}

impl QueryFragment<Pg> for LastPlace {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT last.id, last.position, coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(
            ", clock_timestamp()) FROM (SELECT) AS one LEFT JOIN LATERAL \
             (SELECT id, position FROM events WHERE environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(" AND id >= ");
        out.push_bind_param::<Uuid, _>(&self.floor)?;
        out.push_sql(" ORDER BY id DESC LIMIT 1) AS last ON true");
        Ok(())
    }
}

/// The last place before `bound`; the caller holds the lock.
pub async fn last_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    bound: EventId,
) -> Result<Option<Place>, StoreError> {
    let row: Option<(EventId, i64)> = events::table
        .filter(events::environment_id.eq(environment))
        .filter(events::id.lt(bound))
        .order(events::id.desc())
        .select((events::id, events::position))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(id, position)| Place { id, position }))
}

/// Inserts events of one environment; the caller holds the lock.
pub async fn insert(
    mut conn: &Conn,
    environment: EnvironmentId,
    new: &[Event],
) -> Result<(), StoreError> {
    let statement = Insert::of(environment, new)?;
    statement.execute(&mut conn).await?;
    Ok(())
}

/// Arrays and not rows: one cached statement, however many rows.
struct Insert<'a> {
    environment: EnvironmentId,
    ids: Vec<EventId>,
    positions: Vec<i64>,
    organizations: Vec<Option<OrganizationId>>,
    event_types: Vec<&'a str>,
    bodies: Vec<&'a str>,
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<'a> Insert<'a> {
    fn of(environment: EnvironmentId, new: &'a [Event]) -> Result<Self, StoreError> {
        let mut bodies = Vec::with_capacity(new.len());
        for event in new {
            let body = std::str::from_utf8(&event.body)
                .map_err(|error| StoreError::corrupt(error.to_string()))?;
            bodies.push(body);
        }
        Ok(Self {
            environment,
            ids: new.iter().map(|event| event.id).collect(),
            positions: new.iter().map(|event| event.position).collect(),
            organizations: new.iter().map(|event| event.organization).collect(),
            event_types: new.iter().map(|event| event.event_type.as_str()).collect(),
            bodies,
        })
    }
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO events (environment_id, id, position, organization_id, event_type, body) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(", * FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.positions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Uuid>>, _>(&self.organizations)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.event_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.bodies)?;
        out.push_sql(")");
        Ok(())
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
pub(super) struct EventRow {
    environment_id: EnvironmentId,
    id: EventId,
    position: i64,
    organization_id: Option<OrganizationId>,
    event_type: String,
    body: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let event_type = parsed_type(&row.event_type)?;
        Ok(Self {
            environment: row.environment_id,
            id: row.id,
            position: row.position,
            organization: row.organization_id,
            event_type,
            body: row.body.into(),
        })
    }
}

/// A type as it is stored.
pub(super) fn parsed_type(text: &str) -> Result<EventType, StoreError> {
    EventType::parse("event_type", text)
        .map_err(|invalid| StoreError::corrupt(format!("{text:?}: {}", invalid.message)))
}

/// Finds one event of `environment`; `None` when it has no such event.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let row: Option<EventRow> = events::table
        .filter(events::environment_id.eq(environment))
        .filter(events::id.eq(id))
        .select(EventRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Event::try_from).transpose()
}

/// Finds the events of `environment` from `first` to `last`, oldest first.
pub async fn find_run(
    mut conn: &Conn,
    environment: EnvironmentId,
    first: EventId,
    last: EventId,
) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<EventRow> = events::table
        .filter(events::environment_id.eq(environment))
        .filter(events::id.between(first, last))
        .order(events::id)
        .select(EventRow::as_select())
        .load(&mut conn)
        .await?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Whether a cursor still stands in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorState {
    /// It names an event, or the last one that retention dropped.
    Valid,
    /// Retention dropped it, and events after it.
    Expired,
    /// It names no event of this environment.
    Unknown,
}

/// Finds out whether the feed can go on after `cursor`.
pub async fn cursor_state(
    conn: &mut Conn,
    environment: EnvironmentId,
    cursor: EventId,
) -> Result<CursorState, StoreError> {
    let there = events::table
        .filter(events::environment_id.eq(environment))
        .filter(events::id.eq(cursor));
    if diesel::select(diesel::dsl::exists(there))
        .get_result(conn)
        .await?
    {
        return Ok(CursorState::Valid);
    }
    let dropped: Option<Option<EventId>> = event_sequences::table
        .filter(event_sequences::environment_id.eq(environment))
        .select(event_sequences::dropped_through_id)
        .first(conn)
        .await
        .optional()?;
    Ok(match dropped.flatten() {
        Some(dropped) if cursor == dropped => CursorState::Valid,
        Some(dropped) if cursor < dropped => CursorState::Expired,
        Some(_) | None => CursorState::Unknown,
    })
}

/// Reads the feed after `after`, oldest first, one row beyond the page's size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &EventFilter,
    after: Option<EventId>,
    size: PageSize,
) -> Result<Vec<Event>, StoreError> {
    let mut stretch = Stretch::of(environment, filter, size.with_one_more());
    stretch.after = after;
    stretch.read(conn, &filter.patterns).await
}
