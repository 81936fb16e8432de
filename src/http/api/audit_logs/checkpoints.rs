//! Checkpoints of audit logs on the wire.
//!
//! Invariant: a checkpoint is answered in the same bytes that its event carries; nothing here serialises one.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::envelope::{Answer, List, ListParams, json, stored};
use super::trail;
use crate::app::App;
use crate::app::audit_checkpoints::{self, Asked};
use crate::domain::audit::Trail;
use crate::domain::id::AuditLogCheckpointId;
use crate::domain::invalid::Faults;
use crate::http::extract::{
    AuditRead, AuditWrite, Authorized, Body, Member, PathId, Query, Reader,
};
use crate::http::problem::Problem;

/// Which audit log to sign as it is now.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"organization_id": "org_01KDWX4V00000000000000TEST"}))]
pub(in crate::http::api) struct CreateCheckpoint<'a> {
    /// An organization's id, or `environment` for the environment's own audit log.
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    organization_id: Member<'a, String>,
}

impl CreateCheckpoint<'_> {
    fn parse(&self) -> Result<Trail, Problem> {
        let mut reader = Reader::new("");
        let Some(sent) = trail::in_body(&mut reader, &self.organization_id) else {
            return Err(reader.into_faults().into());
        };
        trail::parse(&sent)
    }
}

/// The signed head of an audit log's tree.
#[derive(ToSchema)]
#[schema(as = AuditLogCheckpoint)]
#[expect(dead_code, reason = "describes rendered text to OpenAPI")]
pub(in crate::http::api) struct CheckpointBody {
    #[schema(example = "audit_log_checkpoint")]
    object: String,
    #[schema(example = "audit_log_checkpoint_01KDWX4V00000000000000TEST")]
    id: String,
    /// Null for the environment's own audit log.
    #[schema(required)]
    organization_id: Option<String>,
    /// How many entries it covers: those with an `index` below.
    size: u64,
    /// The root of the Merkle tree (RFC 6962), in hexadecimal digits.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    root_hash: String,
    /// The checkpoint itself (C2SP tlog-checkpoint): a signed note with origin, size and root in base64.
    note: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Create a checkpoint
///
/// Signs the audit log as it is now, without waiting for the checkpoint that is made each minute anyway.
#[utoipa::path(
    post, path = "/audit_logs/checkpoints", tag = "Audit logs",
    request_body = CreateCheckpoint,
    responses(
        (status = 201, body = CheckpointBody),
        (status = 200, body = CheckpointBody, description = "Nothing was new: the last checkpoint."),
    ),
)]
pub(in crate::http::api) async fn create_audit_log_checkpoint(
    app: Data<App>,
    caller: Authorized<AuditWrite>,
    body: Body,
) -> Answer {
    let trail = body.parse::<CreateCheckpoint<'_>>()?.parse()?;
    let (status, checkpoint) =
        match audit_checkpoints::create(&app, &caller, trail, body.key).await? {
            Asked::Made(checkpoint) => (StatusCode::CREATED, checkpoint),
            Asked::Stored(checkpoint) => (StatusCode::OK, checkpoint),
        };
    Ok(stored(status, checkpoint.render_object().into()))
}

/// List checkpoints
///
/// Of one audit log.
#[utoipa::path(get, path = "/audit_logs/checkpoints", tag = "Audit logs", params(
    ListParams,
    ("organization_id" = String, Query, description = "An organization's id, or `environment`."),
), responses((status = 200, body = List<CheckpointBody>)))]
pub(in crate::http::api) async fn list_audit_log_checkpoints(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    let sent = trail::in_query(&query, &mut faults).unwrap_or_default();
    faults.check()?;
    let trail = trail::parse(sent)?;
    let page = audit_checkpoints::list(&app, &caller, trail, &listing.page).await?;
    let objects = page.items.iter();
    let objects: Vec<String> = objects
        .map(|checkpoint| checkpoint.render_object())
        .collect();
    let mut shown: Vec<&RawValue> = Vec::with_capacity(objects.len());
    for object in &objects {
        shown.push(serde_json::from_str(object).map_err(Problem::internal)?);
    }
    let list = List::page(
        &page,
        &listing,
        |checkpoint| checkpoint.id.to_string(),
        shown,
    );
    json(StatusCode::OK, &list)
}

/// Get the last checkpoint
#[utoipa::path(get, path = "/audit_logs/checkpoints/latest", tag = "Audit logs", params(
    ("organization_id" = String, Query, description = "An organization's id, or `environment`."),
), responses((status = 200, body = CheckpointBody)))]
pub(in crate::http::api) async fn get_latest_audit_log_checkpoint(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let sent = trail::in_query(&query, &mut faults).unwrap_or_default();
    faults.check()?;
    let checkpoint = audit_checkpoints::latest(&app, &caller, trail::parse(sent)?).await?;
    Ok(stored(StatusCode::OK, checkpoint.render_object().into()))
}

/// Get a checkpoint
#[utoipa::path(
    get, path = "/audit_logs/checkpoints/{id}", tag = "Audit logs",
    params(("id" = String, Path, description = "The checkpoint's id.")),
    responses((status = 200, body = CheckpointBody)),
)]
pub(in crate::http::api) async fn get_audit_log_checkpoint(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<AuditLogCheckpointId>,
) -> Answer {
    let checkpoint = audit_checkpoints::find(&app, &caller, id).await?;
    Ok(stored(StatusCode::OK, checkpoint.render_object().into()))
}
