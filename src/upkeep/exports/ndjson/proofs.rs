//! The proofs of a page: the nodes that they need, read at once.
//!
//! Invariant: neighbouring leaves share all nodes but the lowest, so a page needs about two for each leaf. Nodes
//! never change, so it does not matter when they are read. A node that is missing makes no proof.

use std::collections::{BTreeSet, HashMap};

use crate::domain::audit::ExpiredLine;
use crate::domain::merkle::{Hash, NodeId, ProofPlan};
use crate::store::audit_exports::ExportRow;
use crate::store::{Conn, StoreError, audit_trees};

pub(super) struct Proofs {
    size: u64,
    nodes: HashMap<NodeId, Hash>,
}

impl Proofs {
    /// Reads what the proofs of `leaves` against the tree of `size` leaves need.
    pub(super) async fn load(
        conn: &mut Conn,
        row: &ExportRow,
        size: i64,
        leaves: impl Iterator<Item = i64>,
    ) -> Result<Self, StoreError> {
        let size = number(size)?;
        let mut wanted = BTreeSet::new();
        for leaf in leaves {
            let index = number(leaf)?;
            wanted.insert(NodeId { level: 0, index });
            wanted.extend(plan(index, size)?.needs());
        }
        let wanted: Vec<NodeId> = wanted.into_iter().collect();
        let found = audit_trees::nodes(conn, row.environment_id, row.organization_id, &wanted);
        let nodes = found.await?.into_iter().map(|node| (node.id, node.hash));
        Ok(Self {
            size,
            nodes: nodes.collect(),
        })
    }

    pub(super) fn leaf(&self, leaf: i64) -> Result<Hash, StoreError> {
        let index = number(leaf)?;
        let hash = self.nodes.get(&NodeId { level: 0, index });
        hash.copied()
            .ok_or_else(|| StoreError::corrupt(format!("leaf {index} is missing")))
    }

    pub(super) fn of(&self, leaf: i64) -> Result<Vec<Hash>, StoreError> {
        let proof = plan(number(leaf)?, self.size)?.build(&self.nodes);
        proof.map_err(|missing| StoreError::corrupt(missing.to_string()))
    }

    /// What there is to show of a leaf without its entry.
    pub(super) fn expired(&self, leaf: i64) -> Result<ExpiredLine, StoreError> {
        Ok(ExpiredLine {
            index: number(leaf)?,
            leaf_hash: self.leaf(leaf)?,
            inclusion: Some(self.of(leaf)?),
        })
    }
}

fn plan(index: u64, size: u64) -> Result<ProofPlan, StoreError> {
    ProofPlan::inclusion(index, size)
        .ok_or_else(|| StoreError::corrupt(format!("leaf {index} is not under the checkpoint")))
}

fn number(leaf: i64) -> Result<u64, StoreError> {
    u64::try_from(leaf).map_err(|error| StoreError::corrupt(error.to_string()))
}
