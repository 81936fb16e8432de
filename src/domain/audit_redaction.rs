//! Redactions: which entries are to lose their personal parts, and how far that is.
//!
//! Invariant: a filter names somebody or something, never everything; and it names by ids, which stay, never by
//! names, which are what is to be forgotten. A redacted leaf is named by an entry of the same trail.
//! Does not change an entry; that is `AuditEntry::redact`.

use chrono::{DateTime, Utc};

use super::audit::{
    AuditEntry, Context, Identity, LeafSet, NewAuditEntry, Personal, PersonalParts,
    REDACTED_ACTION, Trail, leaf_targets,
};
use super::event::EventType;
use super::id::{AuditLogEventId, AuditLogRedactionId};
use super::time;

/// The type of the target that names the redaction in its entries.
const REDACTION_TYPE: &str = "audit_log_redaction";

/// A redaction to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRedaction {
    pub trail: Trail,
    pub filter: RedactionFilter,
    /// The operator's words. They stay outside the trail: nothing in a trail could be taken back.
    pub reason: Option<String>,
}

/// Which entries match: those that meet every condition that is there; values of one condition are alternatives.
///
/// Shape: one of the first three has values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactionFilter {
    pub actor_ids: Vec<String>,
    pub targets: Vec<Identity>,
    pub event_ids: Vec<AuditLogEventId>,
    /// Occurred at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Occurred at this time or earlier.
    pub until: Option<DateTime<Utc>>,
}

impl RedactionFilter {
    pub fn names_something(&self) -> bool {
        !(self.actor_ids.is_empty() && self.targets.is_empty() && self.event_ids.is_empty())
    }

    /// Whether the entry is to be redacted.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let actor = &*entry.actor().id;
        let has = |target: &Identity| entry.targets().contains(target);
        let occurred_at = entry.occurred_at();
        self.names_something()
            && (self.actor_ids.is_empty() || self.actor_ids.iter().any(|id| id == actor))
            && (self.targets.is_empty() || self.targets.iter().any(has))
            && (self.event_ids.is_empty() || self.event_ids.contains(&entry.id()))
            && self.from.is_none_or(|from| occurred_at >= from)
            && self.until.is_none_or(|until| occurred_at <= until)
    }
}

/// How far a redaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedactionState {
    Pending,
    /// Nothing of what was redacted is kept or sent any more.
    Done,
    /// The same, but some entries that match could not be read and are as they were.
    Failed,
}

impl RedactionState {
    const ALL: [Self; 3] = [Self::Pending, Self::Done, Self::Failed];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "error",
        }
    }
}

/// A redaction as it is shown.
#[derive(Debug, Clone)]
pub struct Redaction {
    pub id: AuditLogRedactionId,
    pub trail: Trail,
    pub filter: RedactionFilter,
    pub reason: Option<String>,
    pub state: RedactionState,
    /// Entries that were redacted so far.
    pub redacted: u64,
    /// Entries that match and cannot be read.
    pub unreadable: u64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The entries that say which leaves were redacted, and for which redaction.
pub fn redaction_entries(
    trail: Trail,
    redaction: AuditLogRedactionId,
    leaves: &LeafSet,
    now: DateTime<Utc>,
) -> Vec<NewAuditEntry> {
    let about = Identity {
        id: redaction.to_string().into(),
        kind: REDACTION_TYPE.into(),
    };
    let lists = leaf_targets(leaves, 1).into_iter();
    lists
        .map(|named| {
            let targets: Vec<Identity> = std::iter::once(about.clone()).chain(named).collect();
            NewAuditEntry {
                organization: trail.organization(),
                action: EventType::parse("action", REDACTED_ACTION)
                    .expect("a name of the platform's own"),
                version: None,
                occurred_at: time::to_millis_precision(now),
                actor: Identity {
                    id: "redaction".into(),
                    kind: "system".into(),
                },
                parts: PersonalParts {
                    actor: Personal::default(),
                    targets: targets.iter().map(|_| Personal::default()).collect(),
                    context: Context {
                        location: "tidings".into(),
                        user_agent: None,
                    },
                    metadata: None,
                },
                targets,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{LEAVES_TYPE, LeafPlace};

    fn identity(kind: &str, id: &str) -> Identity {
        Identity {
            id: id.into(),
            kind: kind.into(),
        }
    }

    fn entry(actor: &str, targets: &[Identity]) -> AuditEntry {
        let now = time::from_millis(1_767_225_600_000);
        let id = AuditLogRedactionId::at(1, 1);
        let mut new = redaction_entries(Trail::Environment, id, &leaves(1), now);
        let mut new = new.pop().expect("one entry");
        new.actor = identity("user", actor);
        new.targets = targets.to_vec();
        new.parts.targets = targets.iter().map(|_| Personal::default()).collect();
        let place = LeafPlace {
            id: AuditLogEventId::at(1, 7),
            index: 9,
            recorded_at: now,
        };
        AuditEntry::place(new, place, || [0; 16])
    }

    /// Every second leaf: none touches the next.
    fn leaves(count: u64) -> LeafSet {
        let mut leaves = LeafSet::default();
        (0..count).for_each(|leaf| leaves.insert(2 * leaf + 1_000_000));
        leaves
    }

    #[test]
    fn all_conditions_hold_and_one_value_of_each_is_enough() {
        let entry = entry("ann", &[identity("team", "1"), identity("user", "bob")]);
        let names = RedactionFilter {
            actor_ids: vec!["eve".to_owned(), "ann".to_owned()],
            targets: vec![identity("user", "bob")],
            event_ids: vec![entry.id()],
            from: Some(entry.occurred_at()),
            until: Some(entry.occurred_at()),
        };
        assert!(names.matches(&entry));

        let later = entry.occurred_at() + chrono::TimeDelta::milliseconds(1);
        for other in [
            RedactionFilter {
                actor_ids: vec!["eve".to_owned()],
                ..names.clone()
            },
            RedactionFilter {
                targets: vec![identity("team", "bob")],
                ..names.clone()
            },
            RedactionFilter {
                event_ids: vec![entry.id().next()],
                ..names.clone()
            },
            RedactionFilter {
                from: Some(later),
                ..names.clone()
            },
            RedactionFilter {
                until: Some(entry.occurred_at() - chrono::TimeDelta::milliseconds(1)),
                ..names
            },
        ] {
            assert!(!other.matches(&entry), "{other:?}");
        }
    }

    #[test]
    fn a_filter_that_names_nothing_matches_nothing() {
        let entry = entry("ann", &[]);
        let time_alone = RedactionFilter {
            from: Some(DateTime::UNIX_EPOCH),
            ..RedactionFilter::default()
        };

        assert!(!time_alone.matches(&entry));
        assert!(!RedactionFilter::default().matches(&entry));
    }

    #[test]
    fn its_entries_name_the_redaction_and_every_leaf() {
        let now = time::from_millis(1_767_225_600_000);
        let id = AuditLogRedactionId::at(1, 1);
        let leaves = leaves(5_000);

        let entries = redaction_entries(Trail::Environment, id, &leaves, now);

        assert!(entries.len() > 1);
        let mut named = LeafSet::default();
        for entry in &entries {
            assert_eq!(entry.targets.len(), entry.parts.targets.len());
            let (first, rest) = entry.targets.split_first().expect("targets");
            assert_eq!(*first, identity(REDACTION_TYPE, &id.to_string()));
            for target in rest {
                assert_eq!(&*target.kind, LEAVES_TYPE);
                let set: LeafSet = target.id.parse().expect("leaves");
                set.ranges()
                    .for_each(|(first, last)| named.insert_range(first, last));
            }
        }
        assert_eq!(named, leaves);
    }

    #[test]
    fn states_read_back_from_their_words() {
        for state in RedactionState::ALL {
            assert_eq!(RedactionState::parse(state.as_str()), Some(state));
        }
        assert_eq!(RedactionState::parse("failed"), None);
    }
}
