//! The right edge of a growing tree: all that an append needs to know of what came before.
//!
//! Invariant: one hash for each bit that is set in the size, the largest subtree first; they cover the leaves
//! from left to right without a gap. Appending touches nothing else, so a node that was complete never changes.
//! Does not store nodes; [`Frontier::append`] returns the new ones to whoever does.

use thiserror::Error;

use super::hash::{Hash, empty_root, node_hash};

/// The place of a complete subtree: of 2^level leaves, the `index`-th of its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 for a leaf.
    pub level: u8,
    pub index: u64,
}

/// A complete subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    pub hash: Hash,
}

/// The complete subtrees of a tree that are not part of a larger one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The largest, which is the leftmost, first.
    hashes: Vec<Hash>,
}

/// Why bytes or hashes are no frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frontier of {size} leaves has one hash for each bit of its size, not {hashes}")]
pub struct FrontierFault {
    pub size: u64,
    pub hashes: usize,
}

/// Bytes of the size in the serialised form.
const SIZE_BYTES: usize = 8;
/// No tree is larger: sizes and indexes fit a database's signed integer.
const SIZE_MAX: u64 = i64::MAX.unsigned_abs();

impl Frontier {
    /// Makes the frontier of a tree from the hashes of [`Frontier::nodes`].
    ///
    /// Errors: another number of hashes than the size has bits set.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierFault> {
        let fits = u32::try_from(hashes.len()).is_ok_and(|len| len == size.count_ones());
        if fits && size <= SIZE_MAX {
            Ok(Self { size, hashes })
        } else {
            Err(FrontierFault {
                size,
                hashes: hashes.len(),
            })
        }
    }

    /// The nodes that make up the frontier of a tree of `size` leaves, in order.
    pub fn nodes(size: u64) -> Vec<NodeId> {
        subtrees(0, size)
    }

    /// How many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and returns every node that it completed: the leaf itself first, then upwards.
    pub fn append(&mut self, leaf: Hash) -> Vec<Node> {
        let mut id = NodeId {
            level: 0,
            index: self.size,
        };
        let mut hash = leaf;
        let mut completed = vec![Node { id, hash }];
        // A node with an odd index is a right child: its left sibling is the frontier's last hash.
        while id.index % 2 == 1
            && let Some(left) = self.hashes.pop()
        {
            hash = node_hash(&left, &hash);
            id = NodeId {
                level: id.level + 1,
                index: id.index / 2,
            };
            completed.push(Node { id, hash });
        }
        self.hashes.push(hash);
        self.size += 1;
        completed
    }

    /// The root of the tree as it is.
    pub fn root(&self) -> Hash {
        join(&self.hashes).unwrap_or_else(empty_root)
    }

    /// The size in eight bytes, big-endian, then the hashes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        for hash in &self.hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        bytes
    }

    /// Errors: the bytes are not those of [`Frontier::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierFault> {
        let Some((size, rest)) = bytes.split_first_chunk::<SIZE_BYTES>() else {
            return Err(FrontierFault { size: 0, hashes: 0 });
        };
        let size = u64::from_be_bytes(*size);
        let (hashes, odd) = rest.as_chunks::<{ Hash::BYTES }>();
        if !odd.is_empty() {
            let hashes = hashes.len();
            return Err(FrontierFault { size, hashes });
        }
        Self::new(size, hashes.iter().copied().map(Hash::from_bytes).collect())
    }
}

/// Splits the leaves `from..to` into complete subtrees, from left to right.
///
/// Shape: `from` is a multiple of the largest power of two that is not above `to - from`, as it is for every
/// part of the tree that RFC 6962 names.
pub(super) fn subtrees(from: u64, to: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let mut at = from;
    while let Some(level) = to.saturating_sub(at).checked_ilog2() {
        nodes.push(NodeId {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            index: at >> level,
        });
        at += 1 << level;
    }
    nodes
}

/// The hash of the part of the tree that complete subtrees make up; `None` for none.
pub(super) fn join(hashes: &[Hash]) -> Option<Hash> {
    let (last, before) = hashes.split_last()?;
    Some(
        before
            .iter()
            .rfold(*last, |right, left| node_hash(left, &right)),
    )
}
