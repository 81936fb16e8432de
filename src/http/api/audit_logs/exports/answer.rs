//! An export as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::super::envelope::timestamp;
use super::input::FormatWord;
use crate::domain::audit_export::Export;
use crate::domain::id::{AuditLogExportId, OrganizationId};

/// A file made of an audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogExport)]
pub(in crate::http::api) struct ExportBody<'a> {
    #[schema(value_type = String, example = "audit_log_export")]
    object: &'static str,
    #[schema(value_type = String, example = "audit_log_export_01KDWX4V00000000000000TEST")]
    id: AuditLogExportId,
    /// Null for the environment's own audit log.
    #[schema(value_type = Option<String>, required)]
    organization_id: Option<OrganizationId>,
    #[schema(value_type = FormatWord, inline)]
    format: &'static str,
    #[schema(value_type = StateWord, inline)]
    state: &'static str,
    progress: ProgressBody,
    /// Where the file is, once the state is `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    url: Option<&'a str>,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

/// How far an export is.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogExportProgress)]
pub(in crate::http::api) struct ProgressBody {
    /// Entries that are written so far.
    entries: u64,
    /// How many there will be; left out where filters leave that open until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<u64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `state` to OpenAPI")]
pub(in crate::http::api) enum StateWord {
    Pending,
    Ready,
    Error,
    Expired,
}

impl<'a> From<&'a Export> for ExportBody<'a> {
    fn from(export: &'a Export) -> Self {
        Self {
            object: "audit_log_export",
            id: export.id,
            organization_id: export.organization,
            format: export.format.as_str(),
            state: export.state.as_str(),
            progress: ProgressBody {
                entries: export.entries,
                total: export.total,
            },
            url: export.url.as_deref(),
            created_at: export.created_at,
            updated_at: export.updated_at,
        }
    }
}
