//! How long audit logs are kept, and how much there is of one.
//!
//! Invariant: a tree's row is made by whoever comes first, its first entry or its retention; neither changes what
//! the other has written.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_entries, audit_log_trees};
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::domain::merkle::Frontier;

/// Days that an organization's entries are kept; `None`: for ever.
pub async fn days(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<Option<i32>, StoreError> {
    let days: Option<Option<i32>> = audit_log_trees::table
        .filter(audit_log_trees::environment_id.eq(environment))
        .filter(audit_log_trees::organization_id.eq(organization))
        .select(audit_log_trees::retention_days)
        .first(conn)
        .await
        .optional()?;
    Ok(days.flatten())
}

/// Sets how many days an organization's entries are kept; the caller holds the environment's lock.
pub async fn set_days(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    days: i32,
) -> Result<(), StoreError> {
    diesel::insert_into(audit_log_trees::table)
        .values((
            audit_log_trees::environment_id.eq(environment),
            audit_log_trees::organization_id.eq(organization),
            audit_log_trees::size.eq(0),
            audit_log_trees::frontier.eq(Frontier::default().to_bytes()),
            audit_log_trees::retention_days.eq(days),
        ))
        .on_conflict((
            audit_log_trees::environment_id,
            audit_log_trees::organization_id,
        ))
        .do_update()
        .set(audit_log_trees::retention_days.eq(days))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many entries an organization's tree has, those that retention has removed included.
pub async fn tree_size(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<i64, StoreError> {
    let size: Option<i64> = audit_log_trees::table
        .filter(audit_log_trees::environment_id.eq(environment))
        .filter(audit_log_trees::organization_id.eq(organization))
        .select(audit_log_trees::size)
        .first(conn)
        .await
        .optional()?;
    Ok(size.unwrap_or_default())
}

/// The organizations of `environment` whose entries are kept for a limited time, with the days.
pub async fn limited(
    conn: &mut Conn,
    environment: EnvironmentId,
) -> Result<Vec<(OrganizationId, i32)>, StoreError> {
    let rows: Vec<(OrganizationId, Option<i32>)> = audit_log_trees::table
        .filter(audit_log_trees::environment_id.eq(environment))
        .filter(audit_log_trees::retention_days.is_not_null())
        .select((
            audit_log_trees::organization_id,
            audit_log_trees::retention_days,
        ))
        .load(conn)
        .await?;
    let limited = rows.into_iter();
    Ok(limited
        .filter_map(|(organization, days)| Some((organization, days?)))
        .collect())
}

/// The oldest entries that are left, at most `limit`, in the order of the tree.
pub async fn oldest(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    limit: i64,
) -> Result<Vec<(i64, AuditLogEventId)>, StoreError> {
    Ok(audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::organization_id.eq(organization))
        .order(audit_log_entries::leaf_index)
        .limit(limit)
        .select((audit_log_entries::leaf_index, audit_log_entries::id))
        .load(conn)
        .await?)
}

/// Deletes the entries through the leaf `last`; their nodes stay.
pub async fn delete_through(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    last: i64,
) -> Result<(), StoreError> {
    diesel::delete(audit_log_entries::table)
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::organization_id.eq(organization))
        .filter(audit_log_entries::leaf_index.le(last))
        .execute(conn)
        .await?;
    Ok(())
}
