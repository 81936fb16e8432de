//! Which nodes a proof needs, and the proof once they are there.
//!
//! Invariant: a plan names complete nodes alone, which never change; so nodes that were read at different
//! times, or while the tree grew, still make a right proof. Reads nothing itself.

use std::collections::HashMap;

use thiserror::Error;

use super::frontier::{NodeId, join, subtrees};
use super::hash::Hash;

/// How to make one proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    /// For each hash of the proof, the complete subtrees that make it up, from left to right.
    hashes: Vec<Vec<NodeId>>,
}

/// A node that a plan needs was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("node {index} of level {level} is missing", level = .0.level, index = .0.index)]
pub struct MissingNode(pub NodeId);

impl ProofPlan {
    /// Plans the proof that the leaf at `index` is in the tree of `size` leaves; `None` when it cannot be.
    ///
    /// Source: RFC 6962, section 2.1.1.
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut from, mut to) = (0, size);
        let mut hashes = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                hashes.push(subtrees(middle, to));
                to = middle;
            } else {
                hashes.push(subtrees(from, middle));
                from = middle;
            }
        }
        hashes.reverse();
        Some(Self { hashes })
    }

    /// Plans the proof that the tree of `new_size` leaves begins with the one of `old_size`; `None` when it
    /// cannot be, because it is smaller.
    ///
    /// Shape: no hash at all for equal sizes, and for an old tree without leaves.
    /// Source: RFC 6962, section 2.1.2.
    pub fn consistency(old_size: u64, new_size: u64) -> Option<Self> {
        if old_size > new_size {
            return None;
        }
        let (mut from, mut to) = (0, new_size);
        let mut hashes = Vec::new();
        while old_size != 0 && old_size < to {
            let middle = from + split(to - from);
            if old_size <= middle {
                hashes.push(subtrees(middle, to));
                to = middle;
            } else {
                hashes.push(subtrees(from, middle));
                from = middle;
            }
        }
        // The verifier knows the old tree's root; any other part of it must be told.
        if from > 0 {
            hashes.push(subtrees(from, to));
        }
        hashes.reverse();
        Some(Self { hashes })
    }

    /// The nodes to fetch; some plans need none.
    pub fn needs(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.hashes.iter().flatten().copied()
    }

    /// Makes the proof from the nodes that [`ProofPlan::needs`] names; others may be there too.
    pub fn build(&self, nodes: &HashMap<NodeId, Hash>) -> Result<Vec<Hash>, MissingNode> {
        let mut proof = Vec::with_capacity(self.hashes.len());
        for parts in &self.hashes {
            let mut hashes = Vec::with_capacity(parts.len());
            for id in parts {
                hashes.push(*nodes.get(id).ok_or(MissingNode(*id))?);
            }
            proof.extend(join(&hashes));
        }
        Ok(proof)
    }
}

/// Where a tree of `size` leaves splits: the largest power of two below it.
///
/// Shape: `size` is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
