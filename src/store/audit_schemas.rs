//! Schemas of audit actions, by version: added, never changed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::audit_log_schemas;
use crate::domain::id::EnvironmentId;
use crate::domain::page::{Cursor, PageQuery};

/// A schema as it is kept.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_log_schemas)]
pub struct SchemaRow {
    pub action: String,
    pub version: i32,
    pub definition: String,
    pub created_at: DateTime<Utc>,
}

/// The newest version of an action's schema.
pub async fn latest(
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &str,
) -> Result<Option<SchemaRow>, StoreError> {
    Ok(audit_log_schemas::table
        .filter(audit_log_schemas::environment_id.eq(environment))
        .filter(audit_log_schemas::action.eq(action))
        .order(audit_log_schemas::version.desc())
        .select(SchemaRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// One version of an action's schema.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &str,
    version: i32,
) -> Result<Option<SchemaRow>, StoreError> {
    Ok(audit_log_schemas::table
        .filter(audit_log_schemas::environment_id.eq(environment))
        .filter(audit_log_schemas::action.eq(action))
        .filter(audit_log_schemas::version.eq(version))
        .select(SchemaRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Inserts a version; the caller holds the environment's lock.
pub async fn insert(
    conn: &mut Conn,
    environment: EnvironmentId,
    row: &SchemaRow,
) -> Result<(), StoreError> {
    diesel::insert_into(audit_log_schemas::table)
        .values((
            audit_log_schemas::environment_id.eq(environment),
            audit_log_schemas::action.eq(&row.action),
            audit_log_schemas::version.eq(row.version),
            audit_log_schemas::definition.eq(&row.definition),
            audit_log_schemas::created_at.eq(row.created_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Reads one page of an action's versions, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &str,
    query: &PageQuery<i32>,
) -> Result<Vec<SchemaRow>, StoreError> {
    let statement = audit_log_schemas::table
        .filter(audit_log_schemas::environment_id.eq(environment))
        .filter(audit_log_schemas::action.eq(action))
        .select(SchemaRow::as_select())
        .into_boxed();
    let statement = paged!(statement, audit_log_schemas::version, query);
    Ok(statement.load(conn).await?)
}

/// Reads one page of actions by name, each with its newest schema and the time of its first; one row beyond.
pub async fn actions(
    conn: &mut Conn,
    environment: EnvironmentId,
    query: &PageQuery<String>,
) -> Result<Vec<(SchemaRow, DateTime<Utc>)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        action: String,
        #[diesel(sql_type = diesel::sql_types::Integer)]
        version: i32,
        #[diesel(sql_type = diesel::sql_types::Text)]
        definition: String,
        #[diesel(sql_type = diesel::sql_types::Timestamptz)]
        created_at: DateTime<Utc>,
        #[diesel(sql_type = diesel::sql_types::Timestamptz)]
        first_at: DateTime<Utc>,
    }
    let (compare, direction) = if query.reads_ascending() {
        (">", "ASC")
    } else {
        ("<", "DESC")
    };
    let cursor = match &query.cursor {
        Some(Cursor::After(action) | Cursor::Before(action)) => Some(action.clone()),
        None => None,
    };
    let rows: Vec<Row> = diesel::sql_query(format!(
        "SELECT latest.action, latest.version, latest.definition, latest.created_at, first.created_at AS first_at \
         FROM (SELECT DISTINCT ON (action) * FROM audit_log_schemas WHERE environment_id = $1 \
               AND ($2::text IS NULL OR action {compare} $2) ORDER BY action {direction}, version DESC LIMIT $3) \
         AS latest JOIN audit_log_schemas AS first ON first.environment_id = $1 \
         AND first.action = latest.action AND first.version = 1 ORDER BY latest.action {direction}"
    ))
    .bind::<diesel::sql_types::Uuid, _>(environment)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Text>, _>(cursor)
    .bind::<diesel::sql_types::BigInt, _>(query.size.with_one_more())
    .load(conn)
    .await?;
    let row = |row: Row| {
        let Row {
            action,
            version,
            definition,
            created_at,
            first_at,
        } = row;
        (
            SchemaRow {
                action,
                version,
                definition,
                created_at,
            },
            first_at,
        )
    };
    Ok(rows.into_iter().map(row).collect())
}
