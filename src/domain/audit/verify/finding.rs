//! What is wrong with an export: the first thing, where, in words for an auditor.
//!
//! Invariant: a finding names the entry whenever one can be named. Does not say who did it, or when.

use std::fmt;

use crate::domain::audit::LineFault;
use crate::domain::checkpoint::CheckpointFault;
use crate::domain::id::AuditLogEventId;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the export at which it showed, from 1; what only the end can tell shows there.
    pub line: u64,
    /// The leaf's index in the tree.
    pub index: Option<u64>,
    /// What the entry calls itself.
    pub id: Option<AuditLogEventId>,
    pub what: What,
}

/// In which way it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Unreadable(LineFault),
    Checkpoint(CheckpointFault),
    RetainedCheckpoint(CheckpointFault),
    /// The export, its checkpoint, the retained one or an entry belong to different trees.
    OtherTree,
    /// The retained checkpoint is no head of the export's tree.
    Rewritten,
    /// The consistency proof proves nothing.
    Inconsistent,
    /// The header says that the export is a part of the log.
    NotWhole,
    Changed,
    NotInTree,
    /// The checkpoint covers the leaf, and there is no proof.
    Unproven,
    /// The checkpoint does not cover the leaf, and there is a proof.
    Added,
    /// Another leaf stands where this one should.
    Missing {
        expected: u64,
    },
    /// The leaf stands after one that it comes before, or was there already.
    Moved {
        after: u64,
    },
    /// The export ends before these leaves.
    CutOff {
        from: u64,
        to: u64,
    },
    /// Redacted, and no entry under the checkpoint says so.
    UnexcusedRedaction,
    /// Expired, and no entry under the checkpoint says so.
    UnexcusedExpiry,
    EndMissing,
    OtherCount {
        stated: u64,
        found: u64,
    },
    AfterEnd,
}

impl Finding {
    pub(super) const fn at_line(line: u64, what: What) -> Self {
        Self {
            line,
            index: None,
            id: None,
            what,
        }
    }

    pub(super) const fn at_leaf(
        line: u64,
        index: u64,
        id: Option<AuditLogEventId>,
        what: What,
    ) -> Self {
        Self {
            line,
            index: Some(index),
            id,
            what,
        }
    }

    pub(super) const fn unreadable(line: u64, fault: LineFault) -> Self {
        Self::at_line(line, What::Unreadable(fault))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(index) = self.index {
            write!(f, ", entry {index}")?;
        }
        if let Some(id) = self.id {
            write!(f, " ({id})")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(fault) => write!(f, "changed: {fault}"),
            Self::Checkpoint(fault) => write!(f, "the export's checkpoint: {fault}"),
            Self::RetainedCheckpoint(fault) => write!(f, "the retained checkpoint: {fault}"),
            Self::OtherTree => f.write_str("belongs to another audit log"),
            Self::Rewritten => f.write_str(
                "the log was rewritten: the retained checkpoint is not a head of this tree",
            ),
            Self::Inconsistent => f.write_str(
                "the log was rewritten or the consistency proof is not of these two checkpoints",
            ),
            Self::NotWhole => {
                f.write_str("the header says that the export is only a part of the log")
            }
            Self::Changed => f.write_str("changed: its content does not have its leaf hash"),
            Self::NotInTree => {
                f.write_str("changed or added: the tree under the checkpoint does not hold it here")
            }
            Self::Unproven => f.write_str("its proof is missing"),
            Self::Added => f.write_str("added: the checkpoint does not cover it"),
            Self::Missing { expected } => {
                write!(
                    f,
                    "entry {expected} is missing or was moved: this one stands in its place"
                )
            }
            Self::Moved { after } => write!(f, "added or moved: it stands after entry {after}"),
            Self::CutOff { from, to } => write!(f, "entries {from} to {to} are missing at the end"),
            Self::UnexcusedRedaction => {
                f.write_str("its personal parts are missing, and no redaction entry names it")
            }
            Self::UnexcusedExpiry => f.write_str("missing, and no retention entry names it"),
            Self::EndMissing => f.write_str("the export is cut off: its last line is missing"),
            Self::OtherCount { stated, found } => {
                write!(
                    f,
                    "the export says it holds {stated} entries, and holds {found}"
                )
            }
            Self::AfterEnd => f.write_str("added after the end of the export"),
        }
    }
}
