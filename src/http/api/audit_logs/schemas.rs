//! Actions and their schemas on the wire.
//!
//! Invariant: a version never changes; what is posted again unchanged is answered with the newest version.

use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App, Noun};
use crate::domain::event::EventType;
use crate::domain::invalid::Faults;
use crate::http::extract::{AuditRead, AuditWrite, Authorized, Body, PathAction, Query};
use crate::http::problem::Problem;

mod answer;
mod cursor;
mod input;

use answer::{ActionBody, SchemaBody};
use cursor::{ActionCursor, VersionCursor};
use input::CreateAuditSchema;

/// Create an action's schema
///
/// A new version, unless the newest one says the same; the action is created with its first.
#[utoipa::path(
    post, path = "/audit_logs/actions/{action}/schemas", tag = "Audit logs",
    params(("action" = String, Path, description = "The action, such as `user.signed_in`.")),
    request_body = CreateAuditSchema,
    responses((status = 201, body = SchemaBody)),
)]
pub(in crate::http::api) async fn create_audit_log_schema(
    app: Data<App>,
    caller: Authorized<AuditWrite>,
    PathAction(action): PathAction,
    body: Body,
) -> Answer {
    let schema = body.parse::<CreateAuditSchema<'_>>()?.parse();
    let (action, schema) = match (EventType::parse("action", &action), schema) {
        (Ok(action), Ok(schema)) => (action, schema),
        (action, schema) => {
            let faults = action
                .err()
                .into_iter()
                .chain(schema.err().into_iter().flatten());
            return Err(faults.collect::<Vec<_>>().into());
        }
    };
    let stored = app::audit_schemas::create(&app, &caller, &action, schema, body.key).await?;
    json(StatusCode::CREATED, &SchemaBody::of(&stored)?)
}

/// List an action's schemas
#[utoipa::path(
    get, path = "/audit_logs/actions/{action}/schemas", tag = "Audit logs",
    params(("action" = String, Path, description = "The action, such as `user.signed_in`."), ListParams),
    responses((status = 200, body = List<SchemaBody>)),
)]
pub(in crate::http::api) async fn list_audit_log_schemas(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathAction(text): PathAction,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing::<VersionCursor>(&mut faults)?;
    faults.check()?;
    let Ok(action) = EventType::parse("action", &text) else {
        return Err(Problem::not_found(Noun::AuditLogAction, &text));
    };
    let by_version = listing.page.map(|cursor| cursor.0);
    let page = app::audit_schemas::list(&app, &caller, &action, &by_version).await?;
    let shown = page
        .items
        .iter()
        .map(SchemaBody::of)
        .collect::<Result<_, _>>()?;
    let cursor =
        |stored: &app::audit_schemas::StoredSchema| VersionCursor(stored.version).to_string();
    json(StatusCode::OK, &List::page(&page, &listing, cursor, shown))
}

/// List actions
///
/// Those that have a schema, each with its newest, by name.
#[utoipa::path(
    get, path = "/audit_logs/actions", tag = "Audit logs",
    params(ListParams),
    responses((status = 200, body = List<ActionBody>)),
)]
pub(in crate::http::api) async fn list_audit_log_actions(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing::<ActionCursor>(&mut faults)?;
    faults.check()?;
    let by_name = listing.page.clone().map(|cursor| cursor.0);
    let page = app::audit_schemas::actions(&app, &caller, &by_name).await?;
    let shown = page
        .items
        .iter()
        .map(ActionBody::of)
        .collect::<Result<_, _>>()?;
    let cursor = |action: &app::audit_schemas::StoredAction| {
        ActionCursor(action.name.to_string()).to_string()
    };
    json(StatusCode::OK, &List::page(&page, &listing, cursor, shown))
}
