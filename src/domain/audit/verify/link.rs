//! The link between the export's checkpoint and the one that the auditor has kept.
//!
//! Invariant: the link holds only when the smaller tree was shown to be the beginning of the larger one: by
//! equal heads, by a consistency proof, by a proven leaf that was the last one of the retained tree, whose path
//! tells the root of that time, or by the leaves themselves. Does not decide what an export must hold.

use super::finding::What;
use super::{Retained, Trust};
use crate::domain::checkpoint::Checkpoint;
use crate::domain::merkle::{Hash, prefix_root, verify_consistency};

/// Whether the two checkpoints are heads of one tree.
#[derive(Debug)]
pub(super) struct Link {
    export: Checkpoint,
    retained: Option<Checkpoint>,
    is_shown: bool,
    /// The leaves that some checkpoint covers, with those that the export itself hashes up to the retained one.
    covered: u64,
}

impl Link {
    /// Verifies the retained checkpoint and links what can be linked without the entries.
    pub(super) fn new(export: Checkpoint, trust: &Trust) -> Result<Self, What> {
        let mut link = Self {
            covered: export.size,
            export,
            retained: None,
            is_shown: true,
        };
        let Some(Retained { note, consistency }) = &trust.retained else {
            return Ok(link);
        };
        let retained =
            Checkpoint::parse_and_verify(note, &trust.keys).map_err(What::RetainedCheckpoint)?;
        if retained.origin != link.export.origin {
            return Err(What::OtherTree);
        }
        link.is_shown = link.is_consistent(&retained, consistency.as_deref())?;
        link.retained = Some(retained);
        Ok(link)
    }

    /// `false` when there is no proof to tell by.
    fn is_consistent(&self, retained: &Checkpoint, proof: Option<&[Hash]>) -> Result<bool, What> {
        let (old, new) = if retained.size <= self.export.size {
            (retained, &self.export)
        } else {
            (&self.export, retained)
        };
        let verify = |proof| verify_consistency(old.size, &old.root, new.size, &new.root, proof);
        if old.size == new.size || old.size == 0 {
            return verify(&[]).map(|()| true).map_err(|_fault| What::Rewritten);
        }
        match proof {
            Some(proof) => verify(proof)
                .map(|()| true)
                .map_err(|_fault| What::Inconsistent),
            None => Ok(false),
        }
    }

    /// Takes note of a leaf that was proven to be in the export's tree.
    pub(super) fn proven(&mut self, leaf: &Hash, index: u64, proof: &[Hash]) -> Result<(), What> {
        if self.retained_size() == index + 1 && !self.is_shown {
            let root = prefix_root(leaf, index, self.export.size, proof);
            self.show(root.map_err(|_fault| What::NotInTree)?)?;
        }
        Ok(())
    }

    /// Takes note of the root over the first `size` leaves of the export itself.
    pub(super) fn grown(&mut self, size: u64, root: impl Fn() -> Hash) -> Result<(), What> {
        if size == self.export.size && root() != self.export.root {
            return Err(What::NotInTree);
        }
        if size == self.retained_size() {
            self.show(root())?;
            self.covered = self.covered.max(size);
        }
        Ok(())
    }

    fn show(&mut self, root: Hash) -> Result<(), What> {
        match &self.retained {
            Some(retained) if retained.root != root => Err(What::Rewritten),
            Some(_) | None => {
                self.is_shown = true;
                Ok(())
            }
        }
    }

    pub(super) const fn export(&self) -> &Checkpoint {
        &self.export
    }

    pub(super) const fn retained(&self) -> Option<&Checkpoint> {
        self.retained.as_ref()
    }

    /// 0 when there is none.
    pub(super) fn retained_size(&self) -> u64 {
        self.retained.as_ref().map_or(0, |retained| retained.size)
    }

    pub(super) const fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// How many leaves a checkpoint covers, from the first.
    pub(super) const fn covered(&self) -> u64 {
        self.covered
    }
}
