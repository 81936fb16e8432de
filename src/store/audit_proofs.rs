//! Where entries stand in their trees: what a proof begins with.
//!
//! Does not read nodes; `audit_trees` does.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::audit_log_entries;
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};

/// Which trail an entry belongs to, and its leaf's index there; `None` when there is no such entry.
pub async fn place(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogEventId,
) -> Result<Option<(OrganizationId, u64)>, StoreError> {
    let row: Option<(OrganizationId, i64)> = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::id.eq(id))
        .select((
            audit_log_entries::organization_id,
            audit_log_entries::leaf_index,
        ))
        .first(conn)
        .await
        .optional()?;
    row.map(|(organization, index)| match u64::try_from(index) {
        Ok(index) => Ok((organization, index)),
        Err(error) => Err(StoreError::corrupt(error.to_string())),
    })
    .transpose()
}
