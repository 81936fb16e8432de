//! What came out of a verification, in words for an auditor.
//!
//! Invariant: a report that calls an export intact also says what that does not cover. Does not print.

use std::fmt;

use super::finding::Finding;
use super::link::Link;
use super::run::Run;
use crate::domain::audit::ExportHeader;
use crate::domain::audit::grant::LeafSet;

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub verdict: Verdict,
    /// Entries and expired entries that were read before the verdict.
    pub entries: u64,
    /// How many of them a checkpoint covers.
    pub covered: u64,
    pub unchecked: Vec<Unchecked>,
}

/// Whether the export can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing under the checkpoints was changed, removed, added or moved, but for what is listed as unchecked.
    Intact,
    /// The retained checkpoint could not be linked to the export's.
    Undecided,
    Broken(Finding),
}

/// What the verification cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchecked {
    /// Without a checkpoint from outside, whoever holds the signing key may have made another history.
    NothingRetained,
    /// The export neither holds the retained checkpoint's last entry, nor came with a consistency proof.
    RetainedUnlinked { size: u64 },
    /// No checkpoint covers these entries of the export.
    AfterCheckpoint { from: u64, to: u64 },
    /// The export's filters leave entries out; whether rightly so cannot be told.
    Filtered,
    /// These entries are not in the export: by its time range, or because they were left out.
    NotHeld { from: u64, to: u64 },
    /// The personal parts are gone; all else of these entries was checked.
    Redacted { entries: u64 },
    /// Nothing but the leaf is left of these entries.
    Expired { entries: u64 },
    /// Redaction or retention entries that the retained checkpoint does not cover yet.
    GrantedAfterRetained { entries: usize },
}

impl Report {
    pub(super) fn broken(finding: Finding, entries: u64) -> Self {
        Self {
            verdict: Verdict::Broken(finding),
            entries,
            covered: 0,
            unchecked: Vec::new(),
        }
    }

    pub(super) fn of(header: &ExportHeader, link: &Link, run: &Run) -> Self {
        let covered = link.covered();
        let mut unchecked = Vec::new();
        match link.retained() {
            None => unchecked.push(Unchecked::NothingRetained),
            Some(retained) if !link.is_shown() => {
                let size = retained.size;
                unchecked.push(Unchecked::RetainedUnlinked { size });
            }
            Some(retained) => {
                let late = run
                    .grants
                    .iter()
                    .filter(|grant| grant.index >= retained.size);
                push_count(&mut unchecked, late.count());
            }
        }
        // The export reaches beyond its own checkpoint, and the retained one may cover some of that.
        let uncovered = run.beyond - (covered - link.export().size).min(run.beyond);
        if uncovered > 0 {
            let from = covered.max(run.first().unwrap_or(0));
            let to = run.reach() - 1;
            unchecked.push(Unchecked::AfterCheckpoint { from, to });
        }
        if header.complete {
            not_held(&mut unchecked, 0, run.first().unwrap_or(covered));
            not_held(
                &mut unchecked,
                run.first().map_or(covered, |_| run.reach()),
                covered,
            );
        } else {
            unchecked.push(Unchecked::Filtered);
        }
        for (set, make) in [
            (
                &run.redacted,
                (|entries| Unchecked::Redacted { entries }) as fn(u64) -> Unchecked,
            ),
            (&run.expired, |entries| Unchecked::Expired { entries }),
        ] {
            if !set.is_empty() {
                unchecked.push(make(count(set)));
            }
        }
        let verdict = if link.is_shown() {
            Verdict::Intact
        } else {
            Verdict::Undecided
        };
        Self {
            verdict,
            entries: run.lines(),
            covered: run.lines() - uncovered,
            unchecked,
        }
    }

    pub fn is_intact(&self) -> bool {
        self.verdict == Verdict::Intact
    }
}

fn push_count(unchecked: &mut Vec<Unchecked>, entries: usize) {
    if entries > 0 {
        unchecked.push(Unchecked::GrantedAfterRetained { entries });
    }
}

/// Notes that the leaves from `from` up to and without `end` are not in the export.
fn not_held(unchecked: &mut Vec<Unchecked>, from: u64, end: u64) {
    if from < end {
        unchecked.push(Unchecked::NotHeld { from, to: end - 1 });
    }
}

fn count(set: &LeafSet) -> u64 {
    set.ranges().map(|(first, last)| last - first + 1).sum()
}

impl Verdict {
    /// The word for scripts.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Undecided => "undecided",
            Self::Broken(_) => "broken",
        }
    }
}

impl Unchecked {
    /// The word for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingRetained => "nothing_retained",
            Self::RetainedUnlinked { .. } => "retained_unlinked",
            Self::AfterCheckpoint { .. } => "after_checkpoint",
            Self::Filtered => "filtered",
            Self::NotHeld { .. } => "not_held",
            Self::Redacted { .. } => "redacted",
            Self::Expired { .. } => "expired",
            Self::GrantedAfterRetained { .. } => "granted_after_retained",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Intact => write!(
                f,
                "intact: {} entries, {} of them under the checkpoint",
                self.entries, self.covered
            )?,
            Verdict::Undecided => write!(
                f,
                "undecided: the retained checkpoint could not be linked to this export"
            )?,
            Verdict::Broken(finding) => write!(f, "broken: {finding}")?,
        }
        for unchecked in &self.unchecked {
            write!(f, "\nnot checked: {unchecked}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingRetained => f.write_str(
                "no checkpoint from outside was given, so a history that was made anew and signed again would pass",
            ),
            Self::RetainedUnlinked { size } => write!(
                f,
                "whether the log still begins with the {size} entries of the retained checkpoint; get the consistency proof"
            ),
            Self::AfterCheckpoint { from, to } => {
                write!(f, "entries {from} to {to}, which no checkpoint covers")
            }
            Self::Filtered => {
                f.write_str("whether entries that match the filters were left out of the export")
            }
            Self::NotHeld { from, to } => {
                write!(f, "entries {from} to {to}, which are not in this export")
            }
            Self::Redacted { entries } => {
                write!(f, "the personal parts of {entries} redacted entries, which are gone")
            }
            Self::Expired { entries } => {
                write!(f, "the content of {entries} expired entries, which is gone")
            }
            Self::GrantedAfterRetained { entries } => write!(
                f,
                "{entries} redaction or retention entries were recorded after the retained checkpoint"
            ),
        }
    }
}
