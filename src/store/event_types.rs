//! Event types: what is known of the events of a name.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::event_types;
use crate::domain::id::EnvironmentId;
use crate::domain::page::PageQuery;

/// An event type as it is kept.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = event_types, treat_none_as_null = true)]
pub struct EventTypeRow {
    pub environment_id: EnvironmentId,
    pub name: String,
    pub description: String,
    pub json_schema: Option<String>,
    pub example: Option<String>,
    pub deprecated: bool,
    pub enforced: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Inserts an event type.
///
/// Errors: `Conflict` of `event_types_pkey`.
pub async fn insert(conn: &mut Conn, row: &EventTypeRow) -> Result<(), StoreError> {
    diesel::insert_into(event_types::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes an event type back.
pub async fn update(conn: &mut Conn, row: &EventTypeRow) -> Result<(), StoreError> {
    diesel::update(event_types::table)
        .filter(event_types::environment_id.eq(row.environment_id))
        .filter(event_types::name.eq(&row.name))
        .set(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes an event type; answers whether it was there.
pub async fn delete(
    conn: &mut Conn,
    environment: EnvironmentId,
    name: &str,
) -> Result<bool, StoreError> {
    let deleted = diesel::delete(event_types::table)
        .filter(event_types::environment_id.eq(environment))
        .filter(event_types::name.eq(name))
        .execute(conn)
        .await?;
    Ok(deleted > 0)
}

/// How many event types the environment has.
pub async fn count(conn: &mut Conn, environment: EnvironmentId) -> Result<i64, StoreError> {
    Ok(event_types::table
        .filter(event_types::environment_id.eq(environment))
        .count()
        .get_result(conn)
        .await?)
}

/// Finds one event type of `environment`.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    name: &str,
) -> Result<Option<EventTypeRow>, StoreError> {
    Ok(event_types::table
        .filter(event_types::environment_id.eq(environment))
        .filter(event_types::name.eq(name))
        .select(EventTypeRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Reads one page by name, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    query: &PageQuery<String>,
) -> Result<Vec<EventTypeRow>, StoreError> {
    let statement = event_types::table
        .filter(event_types::environment_id.eq(environment))
        .select(EventTypeRow::as_select())
        .into_boxed();
    let statement = paged!(statement, event_types::name, query);
    Ok(statement.load(conn).await?)
}

/// The enforced schemas of `environment` among `names`.
pub async fn enforced(
    conn: &mut Conn,
    environment: EnvironmentId,
    names: &[&str],
) -> Result<Vec<(String, String)>, StoreError> {
    let rows: Vec<(String, Option<String>)> = event_types::table
        .filter(event_types::environment_id.eq(environment))
        .filter(event_types::enforced.eq(true))
        .filter(event_types::name.eq_any(names))
        .select((event_types::name, event_types::json_schema))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(name, schema)| schema.map(|schema| (name, schema)))
        .collect())
}
