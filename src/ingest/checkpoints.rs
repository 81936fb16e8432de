//! Checkpoints: the heads of trails, signed and recorded.
//!
//! Invariant: a checkpoint, its size at the tree and the event that carries it out of the house are written in one
//! transaction, under the environment's lock and then the trees'. Where nothing is new, nothing is written.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::batch::record_within;
use crate::domain::checkpoint::{Checkpoint, SigningKey, StoredCheckpoint, origin};
use crate::domain::event::{Audience, EventType, NewEvent};
use crate::domain::id::{AuditLogCheckpointId, OrganizationId};
use crate::domain::merkle::Frontier;
use crate::store::audit_logs::{key_of, trail_of};
use crate::store::events::EnvironmentLock;
use crate::store::vault::Vault;
use crate::store::{
    Conn, StoreError, audit_checkpoints, audit_signing_keys, audit_trees, installation,
};

/// The type of the event that tells of a checkpoint; its `data` is the checkpoint.
const CREATED: &str = "audit_log.checkpoint_created";

/// The checkpoint of a trail as it is now: the stored one where nothing is new, or a new one.
///
/// Shape: `None` for a trail without entries. The caller holds `lock`, and wakes dispatch afterwards.
pub async fn checkpoint_within(
    conn: &mut Conn,
    lock: &EnvironmentLock,
    now: Option<DateTime<Utc>>,
    vault: &Vault,
    organization: OrganizationId,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    let all = checkpoints_within(conn, lock, now, vault, &[organization]).await?;
    Ok(all.into_iter().next())
}

/// As [`checkpoint_within`], of many trails, in the order of their organizations.
pub async fn checkpoints_within(
    conn: &mut Conn,
    lock: &EnvironmentLock,
    now: Option<DateTime<Utc>>,
    vault: &Vault,
    organizations: &[OrganizationId],
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let environment = lock.environment;
    let trees = audit_trees::lock(conn, environment, organizations).await?;
    let known = audit_checkpoints::latest(conn, environment, organizations).await?;
    let mut known: BTreeMap<OrganizationId, StoredCheckpoint> = known
        .into_iter()
        .map(|checkpoint| (key_of(checkpoint.trail), checkpoint))
        .collect();
    let is_new = |(organization, tree): &&(OrganizationId, Frontier)| {
        let covered = known.get(organization).map_or(0, |known| known.size);
        tree.size() > covered
    };
    let grown: Vec<_> = trees.iter().filter(is_new).collect();
    if !grown.is_empty() {
        let now_here = installation::time(conn, now).await?;
        audit_signing_keys::ensure(conn, vault, environment, now_here).await?;
        let signers = audit_signing_keys::signers(conn, vault, environment).await?;
        let mut made = Vec::with_capacity(grown.len());
        for (organization, tree) in grown {
            let id = next_id(known.get(organization), now_here);
            made.push(sign(lock, *organization, tree, id, &signers)?);
        }
        audit_checkpoints::insert(conn, environment, &made).await?;
        let told: Vec<NewEvent> = made.iter().map(event).collect();
        let told: Vec<&NewEvent> = told.iter().collect();
        record_within(conn, lock, now, &told).await?;
        known.extend(made.into_iter().map(|made| (key_of(made.trail), made)));
    }
    Ok(known.into_values().collect())
}

/// A new id that comes after the trail's last, also where a clock went back: ids sort as sizes do.
fn next_id(last: Option<&StoredCheckpoint>, now: DateTime<Utc>) -> AuditLogCheckpointId {
    let id = AuditLogCheckpointId::new(now);
    last.map_or(id, |last| id.max(last.id.next()))
}

fn sign(
    lock: &EnvironmentLock,
    organization: OrganizationId,
    tree: &Frontier,
    id: AuditLogCheckpointId,
    signers: &[SigningKey],
) -> Result<StoredCheckpoint, StoreError> {
    let trail = trail_of(organization);
    let head = Checkpoint {
        origin: origin(lock.environment, trail.organization()),
        size: tree.size(),
        root: tree.root(),
    };
    let signers: Vec<&SigningKey> = signers.iter().collect();
    let note = head
        .sign(&signers)
        .map_err(|fault| StoreError::corrupt(fault.to_string()))?;
    Ok(StoredCheckpoint {
        id,
        trail,
        size: head.size,
        root: head.root,
        note,
        created_at: id.time(),
    })
}

fn event(checkpoint: &StoredCheckpoint) -> NewEvent {
    NewEvent {
        event_type: EventType::parse("event", CREATED).expect("a name of the platform's own"),
        data: checkpoint.render_object(),
        context: "{}".to_owned(),
        organization: checkpoint.trail.organization(),
        audience: Audience::Subscribers,
    }
}
