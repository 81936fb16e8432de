//! Audit logs: entries, read one by one, and which of them a filter wants; `audit_pages` reads them in pages and
//! `audit_exports` for an export.
//!
//! Invariant: a search sees names and metadata as plain words. Does not write: `audit_entries` does.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::audit_log_entries;
use crate::domain::audit::{AuditFilter, AuditRecord, Trail};
use crate::domain::event::EventPattern;
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::domain::limits::AUDIT_AHEAD_HOURS_MAX;

/// How much the clocks of servers and of the database may differ.
const CLOCKS_DIFFER_BY: TimeDelta = TimeDelta::hours(1);

/// The key of the environment's own trail.
pub const NO_ORGANIZATION: OrganizationId = OrganizationId::from_bytes([0; 16]);

/// What a trail's rows have as their organization.
pub fn key_of(trail: Trail) -> OrganizationId {
    trail.organization().unwrap_or(NO_ORGANIZATION)
}

/// The trail that a row's organization stands for.
pub fn trail_of(key: OrganizationId) -> Trail {
    Trail::of((key != NO_ORGANIZATION).then_some(key))
}

/// Finds one entry of `environment`; `None` when it has no such entry.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogEventId,
) -> Result<Option<AuditRecord>, StoreError> {
    let row: Option<(AuditLogEventId, String)> = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::id.eq(id))
        .select((audit_log_entries::id, audit_log_entries::object))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(id, object_json)| AuditRecord { id, object_json }))
}

pub(super) type Entries<'a> = audit_log_entries::BoxedQuery<'a, Pg>;

/// Keeps the entries that meet every condition of `filter`; an index may be asked for those of a target or a search.
pub(super) fn filtered<'a>(environment: EnvironmentId, filter: &AuditFilter) -> Entries<'a> {
    let mut query = surrounding(environment, filter);
    if !filter.targets.is_empty() {
        query = query.filter(audit_log_entries::targets.overlaps_with(storable(&filter.targets)));
    }
    if let Some(search) = &filter.search {
        query = query.filter(
            sql::<Bool>("to_tsvector('simple', search) @@ plainto_tsquery('simple', ")
                .bind::<Text, _>(search.replace('\0', ""))
                .sql(")"),
        );
    }
    query
}

/// Keeps the same entries as [`filtered`], each looked at by itself: for few of them, in their order.
///
/// Shape: `IS TRUE` hides a condition from its index, which for a frequent word is longer than any walk.
pub(super) fn looked_at<'a>(environment: EnvironmentId, filter: &AuditFilter) -> Entries<'a> {
    let mut query = surrounding(environment, filter);
    if !filter.targets.is_empty() {
        query = query.filter(
            sql::<Bool>("(targets && ")
                .bind::<Array<Text>, _>(storable(&filter.targets))
                .sql(") IS TRUE"),
        );
    }
    if let Some(search) = &filter.search {
        query = query.filter(
            sql::<Bool>("(to_tsvector('simple', search) @@ plainto_tsquery('simple', ")
                .bind::<Text, _>(search.replace('\0', ""))
                .sql(")) IS TRUE"),
        );
    }
    query
}

/// The conditions of `filter` beside targets and search.
fn surrounding<'a>(environment: EnvironmentId, filter: &AuditFilter) -> Entries<'a> {
    let mut query = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(audit_log_entries::organization_id.eq(organization));
    }
    if let Some(condition) = action_condition(&filter.actions) {
        query = query.filter(condition);
    }
    if !filter.actor_ids.is_empty() {
        query = query.filter(audit_log_entries::actor_id.eq_any(storable(&filter.actor_ids)));
    }
    if !filter.actor_names.is_empty() {
        query = query.filter(audit_log_entries::actor_name.eq_any(storable(&filter.actor_names)));
    }
    if let Some(from) = filter.from {
        query = query
            .filter(audit_log_entries::id.ge(recorded_since(from)))
            .filter(audit_log_entries::occurred_at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log_entries::occurred_at.le(until));
    }
    query
}

/// Entries of what occurred at `from` or later have this id or a greater one: what occurs may be recorded ahead of
/// its time by a day at most, and by what clocks differ.
pub(super) fn recorded_since(from: DateTime<Utc>) -> AuditLogEventId {
    let earliest = from - TimeDelta::hours(AUDIT_AHEAD_HOURS_MAX) - CLOCKS_DIFFER_BY;
    AuditLogEventId::at(earliest.timestamp_millis().try_into().unwrap_or(0), 0)
}

/// Texts as columns hold them: U+0000 is left out there too.
fn storable(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| text.replace('\0', "")).collect()
}

type Condition<'a> = Box<dyn BoxableExpression<audit_log_entries::table, Pg, SqlType = Bool> + 'a>;

/// The condition that an action matches one of the patterns; `None`: every action does.
fn action_condition<'a>(patterns: &[EventPattern]) -> Option<Condition<'a>> {
    let mut any: Option<Condition<'a>> = None;
    for pattern in patterns {
        let one: Condition<'a> = match pattern {
            EventPattern::Everything => return None,
            EventPattern::Exactly(action) => {
                Box::new(audit_log_entries::action.eq(action.to_string()))
            }
            EventPattern::Below(prefix) => {
                let escaped = prefix.replace('_', "\\_");
                Box::new(audit_log_entries::action.like(format!("{escaped}%")))
            }
        };
        any = Some(match any {
            Some(any) => Box::new(any.or(one)),
            None => one,
        });
    }
    any
}

/// An entry as an export carries it.
#[derive(Debug, Queryable)]
pub struct ExportRow {
    pub leaf_index: i64,
    pub object: String,
    pub salts: Option<Vec<u8>>,
    pub commitments: Option<Vec<u8>>,
}
