//! Proofs: that an entry is in a trail's tree, and that one tree begins with another.
//!
//! Invariant: a proof is made from complete nodes, which never change, so no lock is taken; it reads as many of
//! them as the tree has levels, and not the entries.

use std::collections::HashMap;

use super::audit;
use super::audit_checkpoints::latest_of;
use super::context::App;
use super::error::{AppError, Noun};
use crate::domain::access::Caller;
use crate::domain::audit::Trail;
use crate::domain::id::{AuditLogEventId, OrganizationId};
use crate::domain::invalid::Invalid;
use crate::domain::merkle::{Hash, NodeId, ProofPlan};
use crate::store::{
    Conn, StoreError, audit_checkpoints, audit_logs, audit_proofs, audit_retention, audit_trees,
};

/// That a leaf is in the tree of so many leaves.
#[derive(Debug, Clone)]
pub struct InclusionProof {
    pub entry: AuditLogEventId,
    pub trail: Trail,
    pub leaf_index: u64,
    pub tree_size: u64,
    pub leaf_hash: Hash,
    pub hashes: Vec<Hash>,
    /// The note of the trail's checkpoint at that size, if there is one.
    pub checkpoint: Option<String>,
}

/// That the tree of `to` leaves begins with the one of `from`.
#[derive(Debug, Clone)]
pub struct ConsistencyProof {
    pub trail: Trail,
    pub from: u64,
    pub to: u64,
    pub hashes: Vec<Hash>,
    /// The notes of the trail's checkpoints at these sizes, where there are any.
    pub from_checkpoint: Option<String>,
    pub to_checkpoint: Option<String>,
}

/// Proves that an entry is in its trail's tree of `size` leaves, or in that of its last checkpoint.
///
/// Errors: `NotFound`, `NotCheckpointed` without a size, `Invalid` for a size that the tree or the entry forbids.
pub async fn inclusion(
    app: &App,
    caller: &Caller,
    id: AuditLogEventId,
    size: Option<u64>,
) -> Result<InclusionProof, AppError> {
    let mut conn = app.store().conn().await?;
    let environment = caller.environment;
    let (organization, index) = audit_proofs::place(&mut conn, environment, id)
        .await?
        .ok_or_else(|| AppError::not_found(Noun::AuditLogEvent, &id))?;
    let trail = audit_logs::trail_of(organization);
    let tree_size = match size {
        Some(size) => {
            let grown = grown_to(&mut conn, caller, organization).await?;
            check("size", size, index + 1, grown)?;
            size
        }
        None => latest_of(&mut conn, caller, trail)
            .await?
            .map(|latest| latest.size)
            .filter(|size| *size > index)
            .ok_or(AppError::NotCheckpointed)?,
    };
    let plan = ProofPlan::inclusion(index, tree_size).ok_or_else(impossible)?;
    let leaf = NodeId { level: 0, index };
    let nodes = nodes(&mut conn, caller, organization, plan.needs().chain([leaf])).await?;
    Ok(InclusionProof {
        entry: id,
        trail,
        leaf_index: index,
        tree_size,
        leaf_hash: *nodes.get(&leaf).ok_or_else(impossible)?,
        hashes: build(&plan, &nodes)?,
        checkpoint: note(&mut conn, caller, organization, tree_size).await?,
    })
}

/// Proves that a trail's tree of `to` leaves begins with its tree of `from` leaves.
///
/// Errors: `NotFound` for the organization, `Invalid` for sizes that the tree has not had, or the wrong way round.
pub async fn consistency(
    app: &App,
    caller: &Caller,
    trail: Trail,
    [from, to]: [u64; 2],
) -> Result<ConsistencyProof, AppError> {
    let mut conn = app.store().conn().await?;
    let organization = audit::key_of(&mut conn, caller, trail).await?;
    let grown = grown_to(&mut conn, caller, organization).await?;
    check("from", from, 1, grown)?;
    check("to", to, from, grown)?;
    let plan = ProofPlan::consistency(from, to).ok_or_else(impossible)?;
    let nodes = nodes(&mut conn, caller, organization, plan.needs()).await?;
    Ok(ConsistencyProof {
        trail,
        from,
        to,
        hashes: build(&plan, &nodes)?,
        from_checkpoint: note(&mut conn, caller, organization, from).await?,
        to_checkpoint: note(&mut conn, caller, organization, to).await?,
    })
}

/// How many leaves the tree has now.
async fn grown_to(
    conn: &mut Conn,
    caller: &Caller,
    organization: OrganizationId,
) -> Result<u64, AppError> {
    let size = audit_retention::tree_size(conn, caller.environment, organization).await?;
    u64::try_from(size).map_err(|error| StoreError::corrupt(error.to_string()).into())
}

fn check(field: &'static str, size: u64, least: u64, most: u64) -> Result<(), AppError> {
    if (least..=most).contains(&size) {
        return Ok(());
    }
    let message = match most < least {
        true => format!("{field} is beyond the tree, which has {most} leaves."),
        false => format!("{field} must be a size from {least} to {most}."),
    };
    let fault = Invalid::new(field, "size_out_of_range", message);
    Err(AppError::Invalid(vec![fault]))
}

async fn nodes(
    conn: &mut Conn,
    caller: &Caller,
    organization: OrganizationId,
    wanted: impl Iterator<Item = NodeId>,
) -> Result<HashMap<NodeId, Hash>, AppError> {
    let wanted: Vec<NodeId> = wanted.collect();
    let nodes = audit_trees::nodes(conn, caller.environment, organization, &wanted).await?;
    Ok(nodes.into_iter().map(|node| (node.id, node.hash)).collect())
}

fn build(plan: &ProofPlan, nodes: &HashMap<NodeId, Hash>) -> Result<Vec<Hash>, AppError> {
    plan.build(nodes)
        .map_err(|missing| StoreError::corrupt(missing.to_string()).into())
}

/// The note of the checkpoint at this size.
async fn note(
    conn: &mut Conn,
    caller: &Caller,
    organization: OrganizationId,
    size: u64,
) -> Result<Option<String>, AppError> {
    let found = audit_checkpoints::at_size(conn, caller.environment, organization, size).await?;
    Ok(found.map(|checkpoint| checkpoint.note))
}

/// What was checked before turned out not to hold.
fn impossible() -> AppError {
    StoreError::corrupt("a proof that its tree does not have").into()
}
