//! A redaction as it is shown.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::super::envelope::timestamp;
use crate::domain::audit::{Identity, Trail};
use crate::domain::audit_redaction::{Redaction, RedactionFilter};
use crate::domain::id::{AuditLogEventId, AuditLogRedactionId};
use crate::domain::time;

/// The removal of personal parts from an audit log's entries.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogRedaction)]
pub(in crate::http::api) struct RedactionBody<'a> {
    #[schema(value_type = String, example = "audit_log_redaction")]
    object: &'static str,
    #[schema(value_type = String, example = "audit_log_redaction_01KDWX4V00000000000000TEST")]
    id: AuditLogRedactionId,
    /// Or `environment`, for the environment's own trail.
    #[serde(serialize_with = "trail")]
    #[schema(value_type = String)]
    organization_id: Trail,
    #[schema(value_type = StateWord, inline)]
    state: &'static str,
    filters: FiltersBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    reason: Option<&'a str>,
    progress: ProgressBody,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
    /// Null while it is pending.
    #[serde(serialize_with = "moment")]
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
}

/// Which entries match, as it was asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogRedactionFilters)]
pub(in crate::http::api) struct FiltersBody<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    actor_ids: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<TargetBody>>, nullable = false)]
    targets: Vec<TargetBody<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    event_ids: &'a [AuditLogEventId],
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    range_start: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    range_end: Option<DateTime<Utc>>,
}

/// A target that an entry must have.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogRedactionTarget)]
pub(in crate::http::api) struct TargetBody<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// How far a redaction is.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogRedactionProgress)]
pub(in crate::http::api) struct ProgressBody {
    /// Entries that were redacted so far.
    redacted: u64,
    /// Entries that match and are not as they were recorded; they cannot be redacted.
    unreadable: u64,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `state` to OpenAPI")]
pub(in crate::http::api) enum StateWord {
    Pending,
    Done,
    Error,
}

fn trail<S: Serializer>(trail: &Trail, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(trail)
}

fn moment<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(time::to_text).serialize(serializer)
}

impl<'a> From<&'a RedactionFilter> for FiltersBody<'a> {
    fn from(filter: &'a RedactionFilter) -> Self {
        let target = |target: &'a Identity| TargetBody {
            id: &target.id,
            kind: &target.kind,
        };
        Self {
            actor_ids: &filter.actor_ids,
            targets: filter.targets.iter().map(target).collect(),
            event_ids: &filter.event_ids,
            range_start: filter.from,
            range_end: filter.until,
        }
    }
}

impl<'a> From<&'a Redaction> for RedactionBody<'a> {
    fn from(redaction: &'a Redaction) -> Self {
        Self {
            object: "audit_log_redaction",
            id: redaction.id,
            organization_id: redaction.trail,
            state: redaction.state.as_str(),
            filters: FiltersBody::from(&redaction.filter),
            reason: redaction.reason.as_deref(),
            progress: ProgressBody {
                redacted: redaction.redacted,
                unreadable: redaction.unreadable,
            },
            created_at: redaction.created_at,
            updated_at: redaction.updated_at,
            finished_at: redaction.finished_at,
        }
    }
}
