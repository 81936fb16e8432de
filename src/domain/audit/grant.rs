//! Grants: the entries that say which other entries were redacted, or expired.
//!
//! Invariant: a grant names leaves in the ids of its targets, which every leaf holds in the clear and no
//! redaction removes; so it can be read without salts. It names only leaves before its own: nobody can excuse
//! in advance what will be lost later. Does not remove anything itself.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::content::Identity;
use super::entry::AuditEntry;
use crate::domain::limits::{AUDIT_ID_CHARS_MAX, AUDIT_TARGETS_MAX};

/// The action of an entry that names redacted leaves.
pub const REDACTED_ACTION: &str = "audit_log.redacted";
/// The action of an entry that names leaves whose entries retention has removed.
pub const EXPIRED_ACTION: &str = "audit_log.expired";
/// The type of a target whose id is a [`LeafSet`].
pub const LEAVES_TYPE: &str = "audit_log_leaves";

/// Indexes of leaves, as text `3,7-9`.
///
/// Shape: ranges ascend and neither overlap nor touch; one text for each set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeafSet {
    /// First to last, both in the set.
    ranges: BTreeMap<u64, u64>,
}

/// Why a text is no set of leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("leaves are ascending numbers and ranges, such as 3,7-9")]
pub struct LeafSetFault;

impl LeafSet {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn contains(&self, index: u64) -> bool {
        let before = self.ranges.range(..=index).next_back();
        before.is_some_and(|(_, &last)| index <= last)
    }

    pub fn insert(&mut self, index: u64) {
        self.insert_range(index, index);
    }

    /// Adds the leaves from `first` to `last`, both included; nothing when they are in the wrong order.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        // Take in every range that overlaps or touches the new one.
        while let Some((&start, &end)) = self.ranges.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= first
        {
            self.ranges.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.ranges.insert(first, last);
    }

    /// Whether some leaf is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.ranges().any(|(first, last)| {
            let before = other.ranges.range(..=last).next_back();
            before.is_some_and(|(_, &end)| end >= first)
        })
    }

    /// First and last of each range.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(&first, &last)| (first, last))
    }

    /// The first leaf of this set that is not in `other`.
    pub fn first_outside(&self, other: &Self) -> Option<u64> {
        self.ranges().find_map(|(first, last)| {
            let covered = other.ranges.range(..=first).next_back();
            match covered {
                // Ranges do not touch: what follows this one's end is outside.
                Some((_, &end)) if end >= last => None,
                Some((_, &end)) if end >= first => Some(end + 1),
                Some(_) | None => Some(first),
            }
        })
    }
}

impl fmt::Display for LeafSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.ranges().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            write!(f, "{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for LeafSet {
    type Err = LeafSetFault;

    fn from_str(text: &str) -> Result<Self, LeafSetFault> {
        let number = |text: &str| text.parse::<u64>().map_err(|_not_a_number| LeafSetFault);
        let mut set = Self::default();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            set.insert_range(number(first)?, number(last)?);
        }
        if set.to_string() == text {
            Ok(set)
        } else {
            Err(LeafSetFault)
        }
    }
}

/// The targets that name `leaves` in one entry or more: no target's id and no entry's targets exceed their limits.
///
/// Shape: each inner list is the targets of one entry; `reserved` places of each stay free for other targets.
pub fn leaf_targets(leaves: &LeafSet, reserved: usize) -> Vec<Vec<Identity>> {
    let mut ids: Vec<String> = Vec::new();
    for (first, last) in leaves.ranges() {
        let mut one = LeafSet::default();
        one.insert_range(first, last);
        let text = one.to_string();
        match ids.last_mut() {
            Some(id) if id.len() + 1 + text.len() <= AUDIT_ID_CHARS_MAX => {
                id.push(',');
                id.push_str(&text);
            }
            Some(_) | None => ids.push(text),
        }
    }
    let room = AUDIT_TARGETS_MAX.saturating_sub(reserved).max(1);
    let identity = |id: &String| Identity {
        id: id.as_str().into(),
        kind: LEAVES_TYPE.into(),
    };
    let chunks = ids.chunks(room);
    chunks
        .map(|ids| ids.iter().map(identity).collect())
        .collect()
}

/// The leaves that an entry names as redacted or expired; none when it is about something else.
pub fn named_leaves(entry: &AuditEntry) -> LeafSet {
    Grant::of(entry).map_or_else(LeafSet::default, |grant| grant.leaves)
}

/// What an entry excuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    Redaction,
    Expiry,
}

/// The leaves that an entry names, each before its own.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) kind: GrantKind,
    /// The entry's own leaf.
    pub(super) index: u64,
    pub(super) leaves: LeafSet,
}

impl Grant {
    /// `None` for an entry that is no grant.
    pub(super) fn of(entry: &AuditEntry) -> Option<Self> {
        let kind = match entry.action().as_str() {
            REDACTED_ACTION => GrantKind::Redaction,
            EXPIRED_ACTION => GrantKind::Expiry,
            _ => return None,
        };
        let index = entry.index();
        let mut leaves = LeafSet::default();
        let texts = entry
            .targets()
            .iter()
            .filter(|target| &*target.kind == LEAVES_TYPE);
        for target in texts {
            let named: LeafSet = target.id.parse().unwrap_or_default();
            for (first, last) in named.ranges().filter(|(first, _)| *first < index) {
                leaves.insert_range(first, last.min(index - 1));
            }
        }
        Some(Self {
            kind,
            index,
            leaves,
        })
    }
}

#[cfg(test)]
mod tests;
