//! Events for people: newest first, and how many there were.
//!
//! Invariant: every statement costs what it shows and not what is stored: a page is read from its end of the primary
//! key, and a count is the distance between two positions, which are dense.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::stretches::Stretch;
use crate::domain::event::{Event, EventFilter};
use crate::domain::id::{EnvironmentId, EventId};
use crate::domain::page::{Cursor, PageQuery};
use crate::domain::time::millis;

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &EventFilter,
    query: &PageQuery<EventId>,
) -> Result<Vec<Event>, StoreError> {
    let mut stretch = Stretch::of(environment, filter, query.size.with_one_more());
    stretch.ascending = query.reads_ascending();
    match (query.cursor, stretch.ascending) {
        (Some(Cursor::After(id) | Cursor::Before(id)), true) => stretch.after = Some(id),
        (Some(Cursor::After(id) | Cursor::Before(id)), false) => stretch.end_before(id),
        (None, _) => {}
    }
    stretch.read(conn, &filter.patterns).await
}

/// The position of the last event before each of these times; `None` where nothing that old is kept.
///
/// Shape: in the order of `times`; one look into the primary key for each.
pub async fn positions_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    times: &[DateTime<Utc>],
) -> Result<Vec<Option<i64>>, StoreError> {
    let bounds = times.iter().map(|time| EventId::at(millis(*time), 0));
    let statement = PositionsBefore {
        environment,
        bounds: bounds.collect(),
    };
    let rows: Vec<(i64, Option<i64>)> = statement.load(conn).await?;
    Ok(rows.into_iter().map(|(_, position)| position).collect())
}

#[derive(QueryId)]
struct PositionsBefore {
    environment: EnvironmentId,
    bounds: Vec<EventId>,
}

impl Query for PositionsBefore {
    type SqlType = (BigInt, Nullable<BigInt>);
}

impl diesel::query_dsl::RunQueryDsl<Conn> for PositionsBefore {}

impl QueryFragment<Pg> for PositionsBefore {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT bounds.number, last.position FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.bounds)?;
        out.push_sql(
            ") WITH ORDINALITY AS bounds (id, number) LEFT JOIN LATERAL \
             (SELECT position FROM events WHERE environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND id < bounds.id ORDER BY id DESC LIMIT 1) AS last ON true ORDER BY bounds.number",
        );
        Ok(())
    }
}
