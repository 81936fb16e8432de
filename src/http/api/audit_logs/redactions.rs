//! Redactions of audit logs on the wire.

use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App};
use crate::domain::id::AuditLogRedactionId;
use crate::domain::invalid::Faults;
use crate::http::extract::{Admin, AuditRead, Authorized, Body, PathId, Query};

mod answer;
mod input;

use answer::RedactionBody;
use input::CreateRedaction;

/// Redact audit log events
///
/// Takes the names, metadata and context from the matching entries that are recorded now, for good, and from every copy the
/// platform has: the feed, pending deliveries, receivers' answers, exports. Proofs of the entries stay valid, and
/// an entry `audit_log.redacted` says which they were. Done in the background: ask for it until its state is `done`.
#[utoipa::path(
    post, path = "/audit_logs/redactions", tag = "Audit logs",
    request_body = CreateRedaction,
    responses((status = 201, body = RedactionBody)),
)]
pub(in crate::http::api) async fn create_audit_log_redaction(
    app: Data<App>,
    caller: Authorized<Admin>,
    body: Body,
) -> Answer {
    let new = body.parse::<CreateRedaction<'_>>()?.parse()?;
    let redaction = app::audit_redactions::create(&app, &caller, new, body.key).await?;
    json(StatusCode::CREATED, &RedactionBody::from(&redaction))
}

/// List redactions
#[utoipa::path(
    get, path = "/audit_logs/redactions", tag = "Audit logs",
    params(ListParams),
    responses((status = 200, body = List<RedactionBody>)),
)]
pub(in crate::http::api) async fn list_audit_log_redactions(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::audit_redactions::list(&app, &caller, &listing.page).await?;
    let shown = page.items.iter().map(RedactionBody::from).collect();
    let list = List::page(&page, &listing, |redaction| redaction.id.to_string(), shown);
    json(StatusCode::OK, &list)
}

/// Get a redaction
///
/// `done` means that nothing of what was redacted is kept or can be sent any more.
#[utoipa::path(
    get, path = "/audit_logs/redactions/{id}", tag = "Audit logs",
    params(("id" = String, Path, description = "The redaction's id.")),
    responses((status = 200, body = RedactionBody)),
)]
pub(in crate::http::api) async fn get_audit_log_redaction(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<AuditLogRedactionId>,
) -> Answer {
    let redaction = app::audit_redactions::find(&app, &caller, id).await?;
    json(StatusCode::OK, &RedactionBody::from(&redaction))
}
