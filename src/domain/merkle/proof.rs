//! Verifying proofs, without the tree.
//!
//! Invariant: a proof is accepted only with exactly the hashes that it needs, and only for its index and sizes.
//! Does not know where a root comes from; a proof is worth as much as the checkpoint that signs its root.

use thiserror::Error;

use super::hash::{Hash, empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofFault {
    /// The index or the sizes cannot be those of any proof.
    #[error("there is no such leaf or no such tree")]
    OutOfRange,
    #[error("the proof has too many hashes or too few")]
    WrongLength,
    /// Some hash of the proof, the leaf, the index or the size is not the tree's.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// Verifies that `leaf` is at `index` in the tree of `size` leaves with `root`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofFault> {
    let (whole, _) = fold(leaf, index, size, proof)?;
    if whole == *root {
        Ok(())
    } else {
        Err(ProofFault::OtherRoot)
    }
}

/// The root that the tree had when the leaf at `index` was its last one.
///
/// Shape: to be called with a proof that [`verify_inclusion`] has accepted; then the root is right too, because
/// the hashes to the left of the path are all that the smaller tree consists of.
pub fn prefix_root(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Result<Hash, ProofFault> {
    fold(leaf, index, size, proof).map(|(_, prefix)| prefix)
}

/// Folds a path into the root of the tree, and into that of the leaves up to this one.
///
/// Source: RFC 9162, section 2.1.3.2.
fn fold(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Result<(Hash, Hash), ProofFault> {
    let mut last = size.checked_sub(1).ok_or(ProofFault::OutOfRange)?;
    if index > last {
        return Err(ProofFault::OutOfRange);
    }
    let mut at = index;
    let (mut whole, mut prefix) = (*leaf, *leaf);
    for hash in proof {
        if last == 0 {
            return Err(ProofFault::WrongLength);
        }
        if at % 2 == 1 || at == last {
            whole = node_hash(hash, &whole);
            prefix = node_hash(hash, &prefix);
            // The last node of a level without a sibling moves up unchanged.
            (at, last) = skip_while(at, last, |at| at != 0 && at % 2 == 0);
        } else {
            whole = node_hash(&whole, hash);
        }
        (at, last) = (at / 2, last / 2);
    }
    if last == 0 {
        Ok((whole, prefix))
    } else {
        Err(ProofFault::WrongLength)
    }
}

/// Verifies that the tree of `new_size` leaves begins with the whole tree of `old_size` leaves.
///
/// Source: RFC 9162, section 2.1.4.2. Every tree begins with the one without leaves.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofFault> {
    if old_size > new_size {
        return Err(ProofFault::OutOfRange);
    }
    if old_size == 0 || old_size == new_size {
        let expected = if old_size == 0 {
            empty_root()
        } else {
            *new_root
        };
        return match (proof.is_empty(), *old_root == expected) {
            (false, _) => Err(ProofFault::WrongLength),
            (true, false) => Err(ProofFault::OtherRoot),
            (true, true) => Ok(()),
        };
    }
    // An old tree that is complete is itself the first hash.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofFault::WrongLength)?
    };
    let (mut at, mut last) = skip_while(old_size - 1, new_size - 1, |at| at % 2 == 1);
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(ProofFault::WrongLength);
        }
        if at % 2 == 1 || at == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            (at, last) = skip_while(at, last, |at| at != 0 && at % 2 == 0);
        } else {
            new = node_hash(&new, hash);
        }
        (at, last) = (at / 2, last / 2);
    }
    match (last == 0, old == *old_root && new == *new_root) {
        (false, _) => Err(ProofFault::WrongLength),
        (true, false) => Err(ProofFault::OtherRoot),
        (true, true) => Ok(()),
    }
}

/// Moves up one level for as long as `holds`.
fn skip_while(mut at: u64, mut last: u64, holds: impl Fn(u64) -> bool) -> (u64, u64) {
    while holds(at) {
        (at, last) = (at / 2, last / 2);
    }
    (at, last)
}
