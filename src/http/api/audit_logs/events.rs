//! Audit log events on the wire: recording them, and reading them back.
//!
//! Invariant: an entry is answered as it is stored; nothing here serialises one. What has the wrong shape is 422,
//! what breaks a limit or its schema is the contract's 400 `invalid_audit_log_event`; an organization's id that
//! names nothing is 404, however it looks.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::envelope::{Answer, List, ListParams, json, stored};
use crate::app::{self, App};
use crate::domain::audit::{AuditFilter, AuditLimits, Trail};
use crate::domain::event::EventPattern;
use crate::domain::id::AuditLogEventId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{EVENT_PATTERNS_MAX, NAME_CHARS_MAX};
use crate::http::extract::{AuditRead, AuditWrite, Authorized, Body, PathId, Query};
use crate::http::problem::Problem;

mod answer;
mod input;

use answer::AuditLogEventBody;
use input::{CreateAuditLogEvent, CreateAuditLogEventBatch};

/// That an entry is recorded.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct AuditLogEventCreated {
    /// Always true.
    success: bool,
    #[schema(value_type = String, example = "audit_log_event_01KDWX4V00000000000000TEST")]
    id: AuditLogEventId,
}

/// That entries are recorded, in the order they were sent.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct AuditLogEventBatchCreated {
    /// Always true.
    success: bool,
    #[schema(value_type = Vec<String>)]
    ids: Vec<AuditLogEventId>,
}

/// Record an audit log event
///
/// Answers once the entry, its leaf in the organization's tree, and the event `audit_log.event_recorded` are
/// durable.
#[utoipa::path(
    post, path = "/audit_logs/events", tag = "Audit logs",
    request_body = CreateAuditLogEvent,
    responses((status = 201, body = AuditLogEventCreated)),
)]
pub(in crate::http::api) async fn create_audit_log_event(
    app: Data<App>,
    caller: Authorized<AuditWrite>,
    body: Body,
) -> Answer {
    let (organization, entry) = body
        .parse::<CreateAuditLogEvent<'_>>()?
        .parse(limits(&app))?;
    let id = app::audit::record(&app, &caller, organization, entry, body.key).await?;
    let created = AuditLogEventCreated { success: true, id };
    json(StatusCode::CREATED, &created)
}

/// Record many audit log events
///
/// All or none: one transaction, in the order given.
#[utoipa::path(
    post, path = "/audit_logs/events/batch", tag = "Audit logs",
    request_body = CreateAuditLogEventBatch,
    responses((status = 201, body = AuditLogEventBatchCreated)),
)]
pub(in crate::http::api) async fn create_audit_log_event_batch(
    app: Data<App>,
    caller: Authorized<AuditWrite>,
    body: Body,
) -> Answer {
    let entries = body
        .parse::<CreateAuditLogEventBatch<'_>>()?
        .parse(limits(&app))?;
    let ids = app::audit::record_batch(&app, &caller, entries, body.key).await?;
    let created = AuditLogEventBatchCreated { success: true, ids };
    json(StatusCode::CREATED, &created)
}

/// List audit log events
///
/// Filters combine by "and".
#[utoipa::path(get, path = "/audit_logs/events", tag = "Audit logs", params(
    ListParams,
    ("organization_id" = Option<String>, Query, description = "Only entries of this organization, or with `environment` those of what was done to the platform itself; all when absent."),
    ("actions" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Actions, or patterns such as `user.*`; all when absent."),
    ("actor_id" = Option<String>, Query, description = "Only what this actor did."),
    ("target_type" = Option<String>, Query, description = "Only entries with a target of this type."),
    ("target_id" = Option<String>, Query, description = "Only entries with this target of `target_type`, which is needed with it."),
    ("range_start" = Option<String>, Query, description = "Only what occurred at this time (RFC 3339) or later."),
    ("range_end" = Option<String>, Query, description = "Only what occurred at this time (RFC 3339) or earlier."),
    ("search" = Option<String>, Query, description = "Only entries with all of these words in their names or metadata."),
), responses((status = 200, body = List<AuditLogEventBody>)))]
pub(in crate::http::api) async fn list_audit_log_events(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    let trail: Option<Trail> = query.id("organization_id", &mut faults);
    let filter = filter(&query, &mut faults);
    faults.check()?;
    let page = app::audit::list(&app, &caller, trail, filter, &listing.page).await?;
    let mut shown: Vec<&RawValue> = Vec::with_capacity(page.items.len());
    for record in &page.items {
        shown.push(serde_json::from_str(&record.object_json).map_err(Problem::internal)?);
    }
    let list = List::page(&page, &listing, |record| record.id.to_string(), shown);
    json(StatusCode::OK, &list)
}

/// Get an audit log event
#[utoipa::path(
    get, path = "/audit_logs/events/{id}", tag = "Audit logs",
    params(("id" = String, Path, description = "The audit log event's id.")),
    responses((status = 200, body = AuditLogEventBody)),
)]
pub(in crate::http::api) async fn get_audit_log_event(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<AuditLogEventId>,
) -> Answer {
    let record = app::audit::find(&app, &caller, id).await?;
    Ok(stored(StatusCode::OK, record.object_json.into()))
}

fn limits(app: &App) -> AuditLimits {
    AuditLimits {
        now: app.clock().now(),
        bytes_max: app.settings().event_limits.data_bytes_max,
    }
}

fn filter(query: &Query, faults: &mut Faults) -> AuditFilter {
    let names = query.list("actions").unwrap_or_default();
    if names.len() > EVENT_PATTERNS_MAX {
        let message =
            format!("actions must hold at most {EVENT_PATTERNS_MAX} actions and patterns.");
        faults.push(Invalid::new("actions", "too_many", message));
    }
    let patterns = names.iter().take(EVENT_PATTERNS_MAX);
    let actions = patterns
        .filter_map(|name| faults.take(EventPattern::parse("actions", name)))
        .collect();
    AuditFilter {
        actions,
        actor_ids: query
            .filled("actor_id")
            .map(str::to_owned)
            .into_iter()
            .collect(),
        targets: target(query, faults).into_iter().collect(),
        from: query.time("range_start", faults),
        until: query.time("range_end", faults),
        search: search(query, faults),
        ..AuditFilter::default()
    }
}

/// The target that is looked for: `type`, or `type:id`.
fn target(query: &Query, faults: &mut Faults) -> Option<String> {
    match (query.filled("target_type"), query.filled("target_id")) {
        (Some(kind), Some(id)) => Some(format!("{kind}:{id}")),
        (Some(kind), None) => Some(kind.to_owned()),
        (None, Some(_)) => {
            let message = "target_type is required with target_id.";
            faults.push(Invalid::new("target_type", "required", message));
            None
        }
        (None, None) => None,
    }
}

fn search(query: &Query, faults: &mut Faults) -> Option<String> {
    let text = query.filled("search")?;
    if text.chars().count() > NAME_CHARS_MAX {
        let message = format!("search must be at most {NAME_CHARS_MAX} characters.");
        faults.push(Invalid::new("search", "too_long", message));
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
