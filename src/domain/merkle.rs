//! The Merkle tree of an audit log: hashes, the right edge that grows, proofs and their verification.
//!
//! Invariant: the tree is the one of RFC 6962: a leaf is hashed behind 0x00, a pair behind 0x01, and a tree of
//! n leaves splits at the largest power of two below n. So any Certificate Transparency tool can check it.
//!
//! Does not read nodes: a plan names the nodes that a proof needs, and whoever stores them hands them over.
//! Does not know what a leaf says; that is `audit`.

mod frontier;
mod hash;
mod plan;
mod proof;

pub use frontier::{Frontier, FrontierFault, Node, NodeId};
pub use hash::{Hash, HashFault, empty_root, leaf_hash, node_hash};
pub use plan::{MissingNode, ProofPlan};
pub use proof::{ProofFault, prefix_root, verify_consistency, verify_inclusion};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
