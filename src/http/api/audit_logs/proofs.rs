//! Proofs on the wire: of an entry in its audit log, and of an audit log that only grew.
//!
//! Invariant: hashes are 64 lower-case hexadecimal digits, as in exports; a proof's hashes are in the order of
//! RFC 6962, the lowest first.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::{Answer, json};
use super::trail;
use crate::app::App;
use crate::app::audit_proofs::{self, ConsistencyProof, InclusionProof};
use crate::domain::id::{AuditLogEventId, OrganizationId};
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::merkle::Hash;
use crate::http::extract::{AuditRead, Authorized, PathId, Query};

/// That an entry is in the tree of its audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogInclusionProof)]
pub(in crate::http::api) struct InclusionProofBody {
    #[schema(value_type = String, example = "audit_log_inclusion_proof")]
    object: &'static str,
    #[schema(value_type = String, example = "audit_log_event_01KDWX4V00000000000000TEST")]
    event_id: AuditLogEventId,
    /// Null for the environment's own audit log.
    #[schema(value_type = Option<String>, required)]
    organization_id: Option<OrganizationId>,
    leaf_index: u64,
    tree_size: u64,
    leaf_hash: String,
    /// From the leaf's neighbour up to the root's.
    hashes: Vec<String>,
    /// The note of the checkpoint of this size; null where none has it.
    #[schema(required)]
    checkpoint: Option<String>,
}

/// That the tree of an audit log begins with the whole of an earlier one.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogConsistencyProof)]
pub(in crate::http::api) struct ConsistencyProofBody {
    #[schema(value_type = String, example = "audit_log_consistency_proof")]
    object: &'static str,
    /// Null for the environment's own audit log.
    #[schema(value_type = Option<String>, required)]
    organization_id: Option<OrganizationId>,
    from: u64,
    to: u64,
    hashes: Vec<String>,
    /// The note of the checkpoint of the size `from`; null where none has it.
    #[schema(required)]
    from_checkpoint: Option<String>,
    /// The note of the checkpoint of the size `to`; null where none has it.
    #[schema(required)]
    to_checkpoint: Option<String>,
}

impl From<InclusionProof> for InclusionProofBody {
    fn from(proof: InclusionProof) -> Self {
        Self {
            object: "audit_log_inclusion_proof",
            event_id: proof.entry,
            organization_id: proof.trail.organization(),
            leaf_index: proof.leaf_index,
            tree_size: proof.tree_size,
            leaf_hash: proof.leaf_hash.to_string(),
            hashes: texts(&proof.hashes),
            checkpoint: proof.checkpoint,
        }
    }
}

impl From<ConsistencyProof> for ConsistencyProofBody {
    fn from(proof: ConsistencyProof) -> Self {
        Self {
            object: "audit_log_consistency_proof",
            organization_id: proof.trail.organization(),
            from: proof.from,
            to: proof.to,
            hashes: texts(&proof.hashes),
            from_checkpoint: proof.from_checkpoint,
            to_checkpoint: proof.to_checkpoint,
        }
    }
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

/// Prove an entry
///
/// That it is in the tree of `size` entries, or in that of the last checkpoint.
#[utoipa::path(
    get, path = "/audit_logs/events/{id}/inclusion_proof", tag = "Audit logs",
    params(
        ("id" = String, Path, description = "The audit log event's id."),
        ("size" = Option<u64>, Query, description = "Above the entry's `index`, and not above the size of the tree."),
    ),
    responses((status = 200, body = InclusionProofBody)),
)]
pub(in crate::http::api) async fn get_audit_log_inclusion_proof(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    PathId(id): PathId<AuditLogEventId>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let size = size(&query, "size", &mut faults);
    faults.check()?;
    let proof = audit_proofs::inclusion(&app, &caller, id, size).await?;
    json(StatusCode::OK, &InclusionProofBody::from(proof))
}

/// Prove that an audit log only grew
///
/// That its tree of `to` entries begins with its tree of `from` entries. Equal sizes need no hashes.
#[utoipa::path(get, path = "/audit_logs/consistency_proof", tag = "Audit logs", params(
    ("organization_id" = String, Query, description = "An organization's id, or `environment`."),
    ("from" = u64, Query, description = "The smaller size, at least 1."),
    ("to" = u64, Query, description = "The larger size, not above the size of the tree."),
), responses((status = 200, body = ConsistencyProofBody)))]
pub(in crate::http::api) async fn get_audit_log_consistency_proof(
    app: Data<App>,
    caller: Authorized<AuditRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let sent = trail::in_query(&query, &mut faults).unwrap_or_default();
    let sizes = ["from", "to"].map(|name| {
        if query.filled(name).is_none() {
            faults.push(Invalid::new(
                name,
                "required",
                format!("{name} is required."),
            ));
        }
        size(&query, name, &mut faults).unwrap_or_default()
    });
    faults.check()?;
    let proof = audit_proofs::consistency(&app, &caller, trail::parse(sent)?, sizes).await?;
    json(StatusCode::OK, &ConsistencyProofBody::from(proof))
}

/// A size of a tree.
fn size(query: &Query, name: &'static str, faults: &mut Faults) -> Option<u64> {
    let text = query.filled(name)?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|_| is_number);
    faults.take(size.ok_or_else(|| {
        let message = format!("{name} must be a whole number.");
        Invalid::new(name, "invalid_size", message)
    }))
}
