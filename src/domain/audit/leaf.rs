//! The leaf of an entry, canonical form 1, and the salts and commitments that it rests on.
//!
//! Invariant: a commitment is SHA-256(salt ‖ part), with a salt of 128 random bits for that part alone: without
//! it, not even a part with two possible values can be guessed. The order is actor, targets, context, metadata.
//! Deleting the salts is what makes a redaction final. Does not draw salts.

use std::fmt::{self, Write as _};

use super::content::push_string;
use super::entry::AuditEntry;
use crate::domain::merkle::Hash;
use crate::domain::secret::Redacted;
use crate::domain::time;

/// The salts of an entry's parts.
#[derive(Clone)]
pub struct Salts(Redacted<Vec<[u8; Salts::BYTES]>>);

/// The commitments to an entry's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitments(Vec<Hash>);

/// The parts of an entry beside its targets: actor, context, metadata.
const OTHER_PARTS: usize = 3;

/// How many parts an entry has, and so salts or commitments.
pub(super) const fn part_count(targets: usize) -> usize {
    targets + OTHER_PARTS
}

impl Salts {
    pub const BYTES: usize = 16;

    pub(super) fn new(salts: Vec<[u8; Self::BYTES]>) -> Self {
        Self(Redacted::new(salts))
    }

    pub(super) fn as_slice(&self) -> &[[u8; Self::BYTES]] {
        self.0.expose()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.expose().concat()
    }

    /// `None` when the bytes are no whole number of salts.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (salts, odd) = bytes.as_chunks::<{ Self::BYTES }>();
        odd.is_empty().then(|| Self::new(salts.to_vec()))
    }
}

impl PartialEq for Salts {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for Salts {}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salts({})", self.0.expose().len())
    }
}

impl Commitments {
    pub(super) const fn new(hashes: Vec<Hash>) -> Self {
        Self(hashes)
    }

    /// Commits to each text behind its salt.
    pub(super) fn of(salts: &Salts, texts: &[String]) -> Self {
        let pairs = salts.as_slice().iter().zip(texts);
        Self(
            pairs
                .map(|(salt, text)| Hash::of(&[salt, text.as_bytes()]))
                .collect(),
        )
    }

    pub fn as_slice(&self) -> &[Hash] {
        &self.0
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.0.iter().map(|hash| hash.to_bytes());
        bytes.collect::<Vec<_>>().concat()
    }

    /// `None` when the bytes are no whole number of hashes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, odd) = bytes.as_chunks::<{ Hash::BYTES }>();
        odd.is_empty()
            .then(|| Self(hashes.iter().copied().map(Hash::from_bytes).collect()))
    }
}

/// Writes the leaf of `entry`.
pub(super) fn leaf_text(entry: &AuditEntry, commitments: &Commitments) -> String {
    let mut commitments = commitments.as_slice().iter();
    let mut leaf = String::with_capacity(1024);
    let _infallible = write!(
        leaf,
        r#"{{"tidings":"audit-leaf/1","id":"{}","organization_id":"#,
        entry.id
    );
    entry.push_organization(&mut leaf);
    let _infallible = write!(
        leaf,
        r#","index":{},"action":"{}","#,
        entry.index, entry.action
    );
    let _infallible = match entry.version {
        Some(version) => write!(leaf, r#""version":{version},"#),
        None => write!(leaf, r#""version":null,"#),
    };
    let _infallible = write!(
        leaf,
        r#""occurred_at":"{}","recorded_at":"{}","actor":"#,
        time::to_text(entry.occurred_at),
        time::to_text(entry.recorded_at)
    );
    push_identity(&mut leaf, &entry.actor, commitments.next());
    leaf.push_str(r#","targets":["#);
    for (number, target) in entry.targets.iter().enumerate() {
        if number > 0 {
            leaf.push(',');
        }
        push_identity(&mut leaf, target, commitments.next());
    }
    leaf.push_str(r#"],"context":"#);
    push_hash(&mut leaf, commitments.next());
    leaf.push_str(r#","metadata":"#);
    push_hash(&mut leaf, commitments.next());
    leaf.push('}');
    leaf
}

fn push_identity(leaf: &mut String, identity: &super::Identity, personal: Option<&Hash>) {
    leaf.push_str(r#"{"id":"#);
    push_string(leaf, &identity.id);
    leaf.push_str(r#","type":"#);
    push_string(leaf, &identity.kind);
    leaf.push_str(r#","personal":"#);
    push_hash(leaf, personal);
    leaf.push('}');
}

fn push_hash(leaf: &mut String, hash: Option<&Hash>) {
    let hash = hash.expect("an entry has one commitment for each of its parts");
    let _infallible = write!(leaf, r#""{hash}""#);
}
