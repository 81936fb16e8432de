//! Audit log checkpoints: the signed heads of trees, and which trees have grown since theirs.
//!
//! Invariant: a trail has one checkpoint for each size at most, and a tree's `checkpoint_size` is the size of its
//! last one, written in the same transaction. Checkpoints are only ever added.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Uuid};
use diesel_async::RunQueryDsl;

use super::audit_logs::{key_of, trail_of};
use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_checkpoints, audit_log_trees};
use crate::domain::checkpoint::StoredCheckpoint;
use crate::domain::id::{AuditLogCheckpointId, EnvironmentId, OrganizationId};
use crate::domain::merkle::Hash;
use crate::domain::page::{Cursor, PageQuery};

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = audit_log_checkpoints)]
struct CheckpointRow {
    id: AuditLogCheckpointId,
    organization_id: OrganizationId,
    size: i64,
    root: Vec<u8>,
    note: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<CheckpointRow> for StoredCheckpoint {
    type Error = StoreError;

    fn try_from(row: CheckpointRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt(format!("checkpoint {}", row.id));
        let root: [u8; 32] = row.root.as_slice().try_into().ok().ok_or_else(corrupt)?;
        Ok(Self {
            id: row.id,
            trail: trail_of(row.organization_id),
            size: u64::try_from(row.size).ok().ok_or_else(corrupt)?,
            root: Hash::from_bytes(root),
            note: row.note,
            created_at: row.created_at,
        })
    }
}

/// Inserts checkpoints, and notes their sizes at their trees; the caller holds the trees' locks.
pub async fn insert(
    conn: &mut Conn,
    environment: EnvironmentId,
    checkpoints: &[StoredCheckpoint],
) -> Result<(), StoreError> {
    let mut sizes = Vec::with_capacity(checkpoints.len());
    for checkpoint in checkpoints {
        sizes.push(stored_size(checkpoint.size)?);
    }
    let values: Vec<_> = checkpoints
        .iter()
        .zip(&sizes)
        .map(|(checkpoint, size)| {
            (
                audit_log_checkpoints::environment_id.eq(environment),
                audit_log_checkpoints::id.eq(checkpoint.id),
                audit_log_checkpoints::organization_id.eq(key_of(checkpoint.trail)),
                audit_log_checkpoints::size.eq(size),
                audit_log_checkpoints::root.eq(checkpoint.root.as_bytes().as_slice()),
                audit_log_checkpoints::note.eq(&checkpoint.note),
                audit_log_checkpoints::created_at.eq(checkpoint.created_at),
            )
        })
        .collect();
    diesel::insert_into(audit_log_checkpoints::table)
        .values(values)
        .execute(conn)
        .await?;
    let organizations: Vec<_> = checkpoints.iter().map(|it| key_of(it.trail)).collect();
    diesel::sql_query(
        "UPDATE audit_log_trees AS tree SET checkpoint_size = made.size \
         FROM unnest($2, $3) AS made (organization_id, size) \
         WHERE tree.environment_id = $1 AND tree.organization_id = made.organization_id",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(organizations)
    .bind::<Array<BigInt>, _>(sizes)
    .execute(conn)
    .await?;
    Ok(())
}

fn stored_size(size: u64) -> Result<i64, StoreError> {
    i64::try_from(size).map_err(|error| StoreError::corrupt(error.to_string()))
}

/// The trees, from the one after `after` on, that have grown since their last checkpoint.
pub async fn behind(
    conn: &mut Conn,
    environment: EnvironmentId,
    after: Option<OrganizationId>,
    limit: i64,
) -> Result<Vec<OrganizationId>, StoreError> {
    let mut query = audit_log_trees::table
        .filter(audit_log_trees::environment_id.eq(environment))
        .filter(audit_log_trees::size.gt(audit_log_trees::checkpoint_size))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(audit_log_trees::organization_id.gt(after));
    }
    Ok(query
        .order(audit_log_trees::organization_id)
        .limit(limit)
        .select(audit_log_trees::organization_id)
        .load(conn)
        .await?)
}

/// The last checkpoint of each of these trails that has one.
pub async fn latest(
    conn: &mut Conn,
    environment: EnvironmentId,
    organizations: &[OrganizationId],
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let rows: Vec<CheckpointRow> = diesel::sql_query(
        "SELECT last.* FROM unnest($2) AS wanted (organization_id) CROSS JOIN LATERAL \
         (SELECT id, organization_id, size, root, note, created_at FROM audit_log_checkpoints AS stored \
          WHERE stored.environment_id = $1 AND stored.organization_id = wanted.organization_id \
          ORDER BY stored.size DESC LIMIT 1) AS last",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(organizations)
    .load(conn)
    .await?;
    rows.into_iter().map(StoredCheckpoint::try_from).collect()
}

/// Finds one checkpoint of `environment`; `None` when it has no such checkpoint.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogCheckpointId,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row: Option<CheckpointRow> = audit_log_checkpoints::table
        .filter(audit_log_checkpoints::environment_id.eq(environment))
        .filter(audit_log_checkpoints::id.eq(id))
        .select(CheckpointRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(StoredCheckpoint::try_from).transpose()
}

/// Finds the checkpoint of a trail at this size.
pub async fn at_size(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    size: u64,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row: Option<CheckpointRow> = audit_log_checkpoints::table
        .filter(audit_log_checkpoints::environment_id.eq(environment))
        .filter(audit_log_checkpoints::organization_id.eq(organization))
        .filter(audit_log_checkpoints::size.eq(stored_size(size)?))
        .select(CheckpointRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(StoredCheckpoint::try_from).transpose()
}

/// Reads one page of a trail's checkpoints, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    query: &PageQuery<AuditLogCheckpointId>,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let mut statement: audit_log_checkpoints::BoxedQuery<'_, Pg> = audit_log_checkpoints::table
        .filter(audit_log_checkpoints::environment_id.eq(environment))
        .filter(audit_log_checkpoints::organization_id.eq(organization))
        .limit(query.size.with_one_more())
        .into_boxed();
    let ascending = query.reads_ascending();
    if let Some(Cursor::After(id) | Cursor::Before(id)) = query.cursor {
        statement = match ascending {
            true => statement.filter(audit_log_checkpoints::id.gt(id)),
            false => statement.filter(audit_log_checkpoints::id.lt(id)),
        };
    }
    statement = match ascending {
        true => statement.order(audit_log_checkpoints::id.asc()),
        false => statement.order(audit_log_checkpoints::id.desc()),
    };
    let rows: Vec<CheckpointRow> = statement
        .select(CheckpointRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(StoredCheckpoint::try_from).collect()
}
