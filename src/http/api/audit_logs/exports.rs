//! Exports of audit logs on the wire.

use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App};
use crate::domain::id::AuditLogExportId;
use crate::domain::invalid::Faults;
use crate::http::extract::{AuditRead, Authorized, Body, PathId, Query};

mod answer;
mod input;

use answer::ExportBody;
use input::CreateExport;

/// Create an export
///
/// Made in the background: ask for it until its state is `ready`, then fetch `url`, which needs no key.
#[utoipa::path(
    post, path = "/audit_logs/exports", tag = "Audit logs",
    request_body = CreateExport,
    responses((status = 201, body = ExportBody)),
)]
pub(in crate::http::api) async fn create_audit_log_export(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    body: Body,
) -> Answer {
    let new = body.parse::<CreateExport<'_>>()?.parse()?;
    let export = app::audit_exports::create(&app, &caller, new, body.key).await?;
    json(StatusCode::CREATED, &ExportBody::from(&export))
}

/// List exports
#[utoipa::path(
    get, path = "/audit_logs/exports", tag = "Audit logs",
    params(ListParams),
    responses((status = 200, body = List<ExportBody>)),
)]
pub(in crate::http::api) async fn list_audit_log_exports(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::audit_exports::list(&app, &caller, &listing.page).await?;
    let shown = page.items.iter().map(ExportBody::from).collect();
    let list = List::page(&page, &listing, |export| export.id.to_string(), shown);
    json(StatusCode::OK, &list)
}

/// Get an export
///
/// The URL is made anew each time; it works for ten minutes.
#[utoipa::path(
    get, path = "/audit_logs/exports/{id}", tag = "Audit logs",
    params(("id" = String, Path, description = "The export's id.")),
    responses((status = 200, body = ExportBody)),
)]
pub(in crate::http::api) async fn get_audit_log_export(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<AuditLogExportId>,
) -> Answer {
    let export = app::audit_exports::find(&app, &caller, id).await?;
    json(StatusCode::OK, &ExportBody::from(&export))
}
