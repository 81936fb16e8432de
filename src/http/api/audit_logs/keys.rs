//! The public keys of audit logs on the wire: for anybody who checks a checkpoint.

use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::{Answer, json, timestamp, timestamp_or_null};
use crate::domain::checkpoint::ListedKey;
use crate::domain::id::EnvironmentId;
use crate::http::extract::PublicKeys;

/// The keys that sign an environment's checkpoints, and did; the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogKeys)]
pub(in crate::http::api) struct KeysBody {
    #[schema(value_type = String, example = "audit_log_keys")]
    object: &'static str,
    #[schema(value_type = String, example = "env_01KDWX4V00000000000000TEST")]
    environment_id: EnvironmentId,
    keys: Vec<KeyBody>,
}

/// A key that anybody can verify checkpoints with.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogKey)]
pub(in crate::http::api) struct KeyBody {
    /// The verifying key of a signed note: name, hash and Ed25519 key.
    #[schema(
        example = "tidings/env_01KDWX4V00000000000000TEST+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    )]
    vkey: String,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    /// Since when it signs no more; null while it does.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    retired_at: Option<DateTime<Utc>>,
}

impl From<ListedKey> for KeyBody {
    fn from(key: ListedKey) -> Self {
        Self {
            vkey: key.verifier,
            created_at: key.created_at,
            retired_at: key.retired_at,
        }
    }
}

/// List the keys of audit logs
///
/// Takes no API key. A retired key stays: what it has signed is still to be verified.
#[utoipa::path(
    get, path = "/.well-known/tidings/audit-log-keys/{environment_id}", tag = "Audit logs",
    params(("environment_id" = String, Path, description = "The environment's id, as a checkpoint's first line has it.")),
    responses((status = 200, body = KeysBody)),
)]
pub(in crate::http::api) async fn list_audit_log_keys(keys: PublicKeys) -> Answer {
    let body = KeysBody {
        object: "audit_log_keys",
        environment_id: keys.environment,
        keys: keys.keys.into_iter().map(KeyBody::from).collect(),
    };
    json(StatusCode::OK, &body)
}
