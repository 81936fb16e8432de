//! Environments: isolated spaces, each with the lock row of its feed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{environments, event_sequences};
use crate::domain::environment::Environment;
use crate::domain::id::EnvironmentId;

/// Inserts an environment with its lock row.
///
/// Errors: `Conflict` of `environments_name_unique`.
pub async fn insert(conn: &mut Conn, environment: &Environment) -> Result<(), StoreError> {
    diesel::insert_into(environments::table)
        .values((
            environments::id.eq(environment.id),
            environments::name.eq(&environment.name),
            environments::created_at.eq(environment.created_at),
        ))
        .execute(conn)
        .await?;
    diesel::insert_into(event_sequences::table)
        .values(event_sequences::environment_id.eq(environment.id))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there is such an environment.
pub async fn exists(conn: &mut Conn, id: EnvironmentId) -> Result<bool, StoreError> {
    let there = environments::table.filter(environments::id.eq(id));
    Ok(diesel::select(diesel::dsl::exists(there))
        .get_result(conn)
        .await?)
}

/// All environments, oldest first.
pub async fn all(conn: &mut Conn) -> Result<Vec<Environment>, StoreError> {
    let rows: Vec<(EnvironmentId, String, DateTime<Utc>)> = environments::table
        .order(environments::id)
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, name, created_at)| Environment {
            id,
            name,
            created_at,
        })
        .collect())
}
