//! Exports of audit logs on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Data;
use futures_util::stream;

use super::super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App, AppError};
use crate::domain::id::AuditLogExportId;
use crate::domain::invalid::Faults;
use crate::http::extract::{AuditRead, Authorized, Body, PathId, Query, SignedExport};

mod answer;
mod input;

use answer::ExportBody;
use input::CreateExport;

/// Create an export
///
/// Made in the background: ask for it until its state is `ready`, then fetch `url`, which needs no key. An
/// `ndjson` export carries each entry with its proof against a checkpoint that is taken with the request; without
/// a range it is the whole log. Its range is one of `recorded_at`, that of `csv` one of `occurred_at`.
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

/// Download an export
///
/// The address is an export's `url`. It is its own key, for ten minutes.
#[utoipa::path(
    get, path = "/audit_logs/exports/{id}/download", tag = "Audit logs",
    params(
        ("id" = String, Path, description = "The export's id."),
        ("environment" = String, Query, description = "As the `url` has it."),
        ("expires" = i64, Query, description = "As the `url` has it."),
        ("signature" = String, Query, description = "As the `url` has it."),
    ),
    responses((status = 200, content(
        (String = "text/csv; charset=utf-8"),
        (String = "application/x-ndjson"),
    ), description = "The file. CSV: RFC 4180, in UTF-8, with one header row. NDJSON: one JSON object a line; \
        `tidings audit verify` checks it without the platform.")),
)]
pub(in crate::http::api) async fn download_audit_log_export(link: SignedExport) -> Answer {
    let SignedExport(file) = link;
    let format = file.format();
    let name = format!("attachment; filename=\"{}.{}\"", file.id(), format.as_str());
    let chunks = stream::try_unfold(file, async |mut file| {
        // The status has been sent: all that a failure can do now is to break the answer off.
        let chunk = file.next_chunk().await.inspect_err(|error| {
            tracing::warn!(error = %error, "a download was broken off");
        });
        Ok::<_, AppError>(chunk?.map(|chunk| (chunk, file)))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format.content_type()))
        .insert_header((CONTENT_DISPOSITION, name))
        .streaming(chunks))
}
