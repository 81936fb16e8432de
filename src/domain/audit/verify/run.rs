//! The run of leaves that an export shows: their order, their gaps, and what excuses those that are incomplete.
//!
//! Invariant: indexes ascend; in a complete export they ascend by one. A grant counts only if a checkpoint
//! covers its own leaf, which is known at the end. Does not check proofs.

use super::finding::What;
use super::link::Link;
use crate::domain::audit::grant::{Grant, GrantKind, LeafSet};
use crate::domain::merkle::{Frontier, Hash};

/// What was read of the entries so far.
#[derive(Debug)]
pub(super) struct Run {
    is_complete: bool,
    lines: u64,
    /// Lines of leaves that the export's checkpoint does not cover.
    pub(super) beyond: u64,
    first: Option<u64>,
    /// The index that must come next, when there is only one.
    expected: Option<u64>,
    last: Option<u64>,
    /// Over the leaves, for as long as none is left out.
    frontier: Option<Frontier>,
    pub(super) redacted: LeafSet,
    pub(super) expired: LeafSet,
    pub(super) grants: Vec<Grant>,
}

impl Run {
    /// `expected` is the index of the first entry, when the header tells it.
    pub(super) fn new(is_complete: bool, expected: Option<u64>) -> Self {
        Self {
            is_complete,
            lines: 0,
            beyond: 0,
            first: None,
            expected,
            last: None,
            frontier: Some(Frontier::default()),
            redacted: LeafSet::default(),
            expired: LeafSet::default(),
            grants: Vec::new(),
        }
    }

    /// Moves on to the leaf at `index`.
    pub(super) fn step(&mut self, index: u64) -> Result<(), What> {
        if let Some(after) = self.last.filter(|&last| index <= last) {
            return Err(What::Moved { after });
        }
        if let Some(expected) = self.expected.filter(|&expected| index != expected) {
            return Err(What::Missing { expected });
        }
        self.lines += 1;
        self.first.get_or_insert(index);
        self.last = Some(index);
        self.expected = self.is_complete.then(|| index.saturating_add(1));
        Ok(())
    }

    /// Hashes the leaf into the tree that the export itself makes up, if nothing was left out before it.
    pub(super) fn grow(&mut self, index: u64, leaf: Hash, link: &mut Link) -> Result<(), What> {
        let Some(frontier) = &mut self.frontier else {
            return Ok(());
        };
        if frontier.size() != index {
            self.frontier = None;
            return Ok(());
        }
        frontier.append(leaf);
        link.grown(frontier.size(), || frontier.root())
    }

    /// Entries and expired entries, without authorities.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) const fn first(&self) -> Option<u64> {
        self.first
    }

    /// The index that must come next, when there is only one.
    pub(super) const fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// How many leaves the export reaches, counted from the first of the log.
    pub(super) fn reach(&self) -> u64 {
        self.last.map_or(0, |last| last.saturating_add(1))
    }

    /// The first incomplete leaf that no covered entry excuses, among the first `covered` leaves.
    pub(super) fn unexcused(&self, covered: u64) -> Option<(u64, What)> {
        let redacted = self
            .redacted
            .first_outside(&self.granted(GrantKind::Redaction, covered));
        let expired = self
            .expired
            .first_outside(&self.granted(GrantKind::Expiry, covered));
        let redacted = redacted.map(|index| (index, What::UnexcusedRedaction));
        let expired = expired.map(|index| (index, What::UnexcusedExpiry));
        let found = redacted.into_iter().chain(expired);
        found
            .filter(|(index, _)| *index < covered)
            .min_by_key(|(index, _)| *index)
    }

    fn granted(&self, kind: GrantKind, covered: u64) -> LeafSet {
        let mut granted = LeafSet::default();
        let counts = |grant: &&Grant| grant.kind == kind && grant.index < covered;
        for grant in self.grants.iter().filter(counts) {
            for (first, last) in grant.leaves.ranges() {
                granted.insert_range(first, last);
            }
        }
        granted
    }
}
