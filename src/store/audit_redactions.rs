//! Redactions of audit logs: durable jobs, and how far each has come.
//!
//! Invariant: where a job stands moves in the transaction that redacts, under the environment's lock; so a job that
//! was broken off goes on where it was, and no two servers do the same part.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Uuid};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::audit_logs::filtered;
use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_entries, audit_log_redactions};
use crate::domain::audit::{AuditFilter, Identity};
use crate::domain::audit_redaction::RedactionFilter;
use crate::domain::id::{AuditLogRedactionId, DeliveryId, EnvironmentId, OrganizationId};
use crate::domain::page::{Cursor, PageQuery};
use crate::domain::time;

/// A redaction as it is kept.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_log_redactions)]
pub struct RedactionRow {
    pub environment_id: EnvironmentId,
    pub id: AuditLogRedactionId,
    pub organization_id: OrganizationId,
    pub filter: String,
    pub reason: Option<String>,
    pub state: String,
    pub size: i64,
    pub looked_through: Option<i64>,
    pub redacted: i64,
    pub unreadable: i64,
    pub held_deliveries: Vec<DeliveryId>,
    pub held_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct FilterText {
    actor_ids: Vec<String>,
    /// Type and id of each.
    targets: Vec<(String, String)>,
    event_ids: Vec<String>,
    from: Option<String>,
    until: Option<String>,
}

/// The text of a filter that is kept.
pub fn filter_text(filter: &RedactionFilter) -> Result<String, StoreError> {
    let targets = filter.targets.iter();
    let text = FilterText {
        actor_ids: filter.actor_ids.clone(),
        targets: targets
            .map(|target| (target.kind.to_string(), target.id.to_string()))
            .collect(),
        event_ids: filter.event_ids.iter().map(ToString::to_string).collect(),
        from: filter.from.map(time::to_text),
        until: filter.until.map(time::to_text),
    };
    serde_json::to_string(&text).map_err(|error| StoreError::corrupt(error.to_string()))
}

impl RedactionRow {
    /// Which entries the job is about.
    ///
    /// Errors: `Corrupt` when the filter is not what `filter_text` writes.
    pub fn filter(&self) -> Result<RedactionFilter, StoreError> {
        let corrupt = || StoreError::corrupt(format!("filter of {}", self.id));
        let text: FilterText = serde_json::from_str(&self.filter)
            .map_err(|error| StoreError::corrupt(format!("filter of {}: {error}", self.id)))?;
        let moment = |text: Option<String>| match text {
            Some(text) => time::from_text(&text).map(Some).ok_or_else(corrupt),
            None => Ok(None),
        };
        let events = text.event_ids.iter().map(|id| id.parse().ok());
        let targets = text.targets.into_iter().map(|(kind, id)| Identity {
            id: id.into(),
            kind: kind.into(),
        });
        Ok(RedactionFilter {
            actor_ids: text.actor_ids,
            targets: targets.collect(),
            event_ids: events.collect::<Option<_>>().ok_or_else(corrupt)?,
            from: moment(text.from)?,
            until: moment(text.until)?,
        })
    }
}

/// Inserts a job.
pub async fn insert(conn: &mut Conn, row: &RedactionRow) -> Result<(), StoreError> {
    diesel::insert_into(audit_log_redactions::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Finds one redaction of `environment`.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogRedactionId,
) -> Result<Option<RedactionRow>, StoreError> {
    Ok(audit_log_redactions::table
        .filter(audit_log_redactions::environment_id.eq(environment))
        .filter(audit_log_redactions::id.eq(id))
        .select(RedactionRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    query: &PageQuery<AuditLogRedactionId>,
) -> Result<Vec<RedactionRow>, StoreError> {
    let mut statement = audit_log_redactions::table
        .filter(audit_log_redactions::environment_id.eq(environment))
        .limit(query.size.with_one_more())
        .select(RedactionRow::as_select())
        .into_boxed();
    let ascending = query.reads_ascending();
    if let Some(Cursor::After(id) | Cursor::Before(id)) = query.cursor {
        statement = match ascending {
            true => statement.filter(audit_log_redactions::id.gt(id)),
            false => statement.filter(audit_log_redactions::id.lt(id)),
        };
    }
    statement = match ascending {
        true => statement.order(audit_log_redactions::id.asc()),
        false => statement.order(audit_log_redactions::id.desc()),
    };
    Ok(statement.load(conn).await?)
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Uuid)]
    environment_id: EnvironmentId,
    #[diesel(sql_type = Uuid)]
    id: AuditLogRedactionId,
}

/// The jobs that are next, without `put_off`: one of each environment, those first whose last part was longest ago.
///
/// Shape: one look at a partial index that holds pending jobs alone, so asking often costs next to nothing.
pub async fn due(
    conn: &mut Conn,
    put_off: Vec<AuditLogRedactionId>,
    limit: i64,
) -> Result<Vec<(EnvironmentId, AuditLogRedactionId)>, StoreError> {
    let next: Vec<Next> = diesel::sql_query(
        "SELECT environment_id, id FROM (SELECT DISTINCT ON (environment_id) environment_id, id, updated_at \
         FROM audit_log_redactions WHERE state = 'pending' AND id <> ALL($1) \
         ORDER BY environment_id, updated_at, id) AS next ORDER BY updated_at, id LIMIT $2",
    )
    .bind::<Array<Uuid>, _>(put_off)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(next
        .into_iter()
        .map(|next| (next.environment_id, next.id))
        .collect())
}

/// Ends a job that cannot be done.
pub async fn give_up(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogRedactionId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::update(audit_log_redactions::table)
        .filter(audit_log_redactions::environment_id.eq(environment))
        .filter(audit_log_redactions::id.eq(id))
        .filter(audit_log_redactions::state.eq("pending"))
        .set((
            audit_log_redactions::state.eq("error"),
            audit_log_redactions::updated_at.eq(now),
            audit_log_redactions::finished_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The next leaves whose entries seem to match and are not redacted, in the order of the tree, at most `limit`.
///
/// Shape: a column cannot hold every text, so it may be one too many; `RedactionFilter::matches` decides. Needs no
/// lock: none of what it looks at changes, but that entries leave or are redacted.
pub async fn candidates(
    conn: &mut Conn,
    job: &RedactionRow,
    filter: &RedactionFilter,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let targets = filter.targets.iter();
    let wanted = AuditFilter {
        organization: Some(job.organization_id),
        actor_ids: filter.actor_ids.clone(),
        targets: targets
            .map(|target| format!("{}:{}", target.kind, target.id))
            .collect(),
        from: filter.from,
        until: filter.until,
        ..AuditFilter::default()
    };
    let mut query = filtered(job.environment_id, &wanted)
        .filter(audit_log_entries::salts.is_not_null())
        .filter(audit_log_entries::leaf_index.gt(job.looked_through.unwrap_or(-1)))
        .filter(audit_log_entries::leaf_index.lt(job.size));
    if !filter.event_ids.is_empty() {
        query = query.filter(audit_log_entries::id.eq_any(filter.event_ids.clone()));
    }
    Ok(query
        .order(audit_log_entries::leaf_index)
        .limit(limit)
        .select(audit_log_entries::leaf_index)
        .load(conn)
        .await?)
}

/// Takes one pending job for this transaction; `None` when it is done.
pub async fn take(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogRedactionId,
) -> Result<Option<RedactionRow>, StoreError> {
    Ok(audit_log_redactions::table
        .filter(audit_log_redactions::environment_id.eq(environment))
        .filter(audit_log_redactions::id.eq(id))
        .filter(audit_log_redactions::state.eq("pending"))
        .for_update()
        .select(RedactionRow::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Writes where a job stands.
pub async fn advance(conn: &mut Conn, row: &RedactionRow) -> Result<(), StoreError> {
    diesel::update(audit_log_redactions::table)
        .filter(audit_log_redactions::environment_id.eq(row.environment_id))
        .filter(audit_log_redactions::id.eq(row.id))
        .set((
            audit_log_redactions::state.eq(&row.state),
            audit_log_redactions::looked_through.eq(row.looked_through),
            audit_log_redactions::redacted.eq(row.redacted),
            audit_log_redactions::unreadable.eq(row.unreadable),
            audit_log_redactions::held_deliveries.eq(&row.held_deliveries),
            audit_log_redactions::held_until.eq(row.held_until),
            audit_log_redactions::updated_at.eq(row.updated_at),
            audit_log_redactions::finished_at.eq(row.finished_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
