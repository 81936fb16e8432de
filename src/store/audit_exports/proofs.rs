//! What an export asks of a trail: its pages; and with proofs which leaves, and who says why some are incomplete.
//!
//! Invariant: reads only. Times are those of the ids, which are what `recorded_at` shows; ids ascend with leaves.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::domain::audit::{AuditFilter, EXPIRED_ACTION, REDACTED_ACTION};
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::store::audit_logs::{ExportRow, looked_at};
use crate::store::schema::audit_log_entries;
use crate::store::{Conn, StoreError, audit_retention};

/// Leaves from `first` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: i64,
    pub end: i64,
}

impl Span {
    const NOTHING: Self = Self { first: 0, end: 0 };
}

/// The kept leaves that were recorded in a range of times, its bounds included.
///
/// Shape: best asked before the environment's lock is taken, and cut to what the lock then shows.
pub async fn span(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<Span, StoreError> {
    let trail = || {
        audit_log_entries::table
            .filter(audit_log_entries::environment_id.eq(environment))
            .filter(audit_log_entries::organization_id.eq(organization))
            .select(audit_log_entries::leaf_index)
    };
    let from = first_id(start);
    let until = first_id(end + TimeDelta::milliseconds(1));
    let first: Option<i64> = trail()
        .filter(audit_log_entries::id.ge(from))
        .filter(audit_log_entries::id.lt(until))
        .order(audit_log_entries::id.asc())
        .first(conn)
        .await
        .optional()?;
    let last: Option<i64> = trail()
        .filter(audit_log_entries::id.ge(from))
        .filter(audit_log_entries::id.lt(until))
        .order(audit_log_entries::id.desc())
        .first(conn)
        .await
        .optional()?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(Span::NOTHING);
    };
    // Retention takes leaves from the first on, so what it has taken since is before the oldest.
    let oldest = audit_retention::oldest(conn, environment, organization, 1).await?;
    let oldest = oldest.into_iter().next().map_or(last, |(leaf, _)| leaf);
    Ok(Span {
        first: first.max(oldest),
        end: last + 1,
    })
}

/// The least id of a time.
fn first_id(time: DateTime<Utc>) -> AuditLogEventId {
    let millis = time.timestamp_millis().max(0);
    AuditLogEventId::at(millis.unsigned_abs(), 0)
}

/// Entries of an export after the leaf `after` and before `end`, in the order of the tree.
///
/// Shape: looks at every leaf in between, whether the filter lets it pass or not, so the caller keeps them few.
pub async fn entries(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    between: (i64, i64),
    limit: i64,
) -> Result<Vec<ExportRow>, StoreError> {
    let (after, end) = between;
    Ok(looked_at(environment, filter)
        .filter(audit_log_entries::leaf_index.gt(after))
        .filter(audit_log_entries::leaf_index.lt(end))
        .order(audit_log_entries::leaf_index)
        .limit(limit)
        .select((
            audit_log_entries::leaf_index,
            audit_log_entries::object,
            audit_log_entries::salts,
            audit_log_entries::commitments,
        ))
        .load(conn)
        .await?)
}

/// The entries from the leaf `from` on that name redacted or expired leaves.
pub async fn changed_since(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    from: i64,
) -> Result<Vec<ExportRow>, StoreError> {
    Ok(audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::organization_id.eq(organization))
        .filter(audit_log_entries::leaf_index.ge(from))
        .filter(audit_log_entries::action.eq_any([REDACTED_ACTION, EXPIRED_ACTION]))
        .order(audit_log_entries::leaf_index)
        .select((
            audit_log_entries::leaf_index,
            audit_log_entries::object,
            audit_log_entries::salts,
            audit_log_entries::commitments,
        ))
        .load(conn)
        .await?)
}

/// The entries that name redacted leaves, after the leaf `after` and before `end`, in the order of the tree.
pub async fn authorities(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    between: (i64, i64),
    limit: i64,
) -> Result<Vec<ExportRow>, StoreError> {
    let (after, end) = between;
    Ok(audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::organization_id.eq(organization))
        .filter(audit_log_entries::action.eq(REDACTED_ACTION))
        .filter(audit_log_entries::leaf_index.gt(after))
        .filter(audit_log_entries::leaf_index.lt(end))
        .order(audit_log_entries::leaf_index)
        .limit(limit)
        .select((
            audit_log_entries::leaf_index,
            audit_log_entries::object,
            audit_log_entries::salts,
            audit_log_entries::commitments,
        ))
        .load(conn)
        .await?)
}

/// The redacted leaves that `filter` lets pass, after the leaf `after` and before `end`, in the order of the tree.
pub async fn redacted_leaves(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    between: (i64, i64),
) -> Result<Vec<i64>, StoreError> {
    let (after, end) = between;
    Ok(looked_at(environment, filter)
        .filter(audit_log_entries::commitments.is_not_null())
        .filter(audit_log_entries::leaf_index.gt(after))
        .filter(audit_log_entries::leaf_index.lt(end))
        .order(audit_log_entries::leaf_index)
        .select(audit_log_entries::leaf_index)
        .load(conn)
        .await?)
}

/// Which of `leaves` the filter lets pass.
pub async fn shown_among(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    leaves: &[i64],
) -> Result<Vec<i64>, StoreError> {
    Ok(looked_at(environment, filter)
        .filter(audit_log_entries::leaf_index.eq_any(leaves))
        .select(audit_log_entries::leaf_index)
        .load(conn)
        .await?)
}
