//! An audit log event as it is stored and shown.

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One recorded action. Members that were not sent are left out.
#[derive(ToSchema)]
#[schema(as = AuditLogEvent)]
#[expect(dead_code, reason = "describes stored bytes to OpenAPI")]
pub(in crate::http::api) struct AuditLogEventBody {
    #[schema(example = "audit_log_event")]
    object: String,
    #[schema(example = "audit_log_event_01KDWX4V00000000000000TEST")]
    id: String,
    /// Null for the environment's own trail.
    #[schema(required)]
    organization_id: Option<String>,
    #[schema(example = "user.signed_in")]
    action: String,
    /// The version of the action's schema.
    #[schema(nullable = false)]
    version: Option<i32>,
    /// When it happened, as the caller says.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When it was recorded.
    #[schema(format = DateTime)]
    recorded_at: String,
    actor: PartyBody,
    targets: Vec<PartyBody>,
    /// Left out once the entry is redacted.
    #[schema(nullable = false)]
    context: Option<ContextBody>,
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Map<String, Value>>,
    /// The entry's place in the organization's tree, from 0.
    index: u64,
    /// True once the personal parts are deleted.
    #[schema(nullable = false)]
    redacted: Option<bool>,
}

/// Who did something, or what it was done to.
#[derive(ToSchema)]
#[schema(as = AuditLogParty)]
#[expect(dead_code, reason = "describes stored bytes to OpenAPI")]
pub(in crate::http::api) struct PartyBody {
    id: String,
    #[schema(example = "user")]
    r#type: String,
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Map<String, Value>>,
}

/// Where it was done.
#[derive(ToSchema)]
#[schema(as = AuditLogContext)]
#[expect(dead_code, reason = "describes stored bytes to OpenAPI")]
pub(in crate::http::api) struct ContextBody {
    #[schema(example = "203.0.113.7")]
    location: String,
    #[schema(nullable = false)]
    user_agent: Option<String>,
}
