//! A small log, its checkpoints and its exports.

use std::collections::HashMap;
use std::ops::Range;

use crate::domain::audit::verify::{Extent, Retained, Trust};
use crate::domain::audit::{
    AuditEntry, AuditEntryParts, AuditLimits, EXPIRED_ACTION, EntryLine, ExpiredLine, ExportEnd,
    ExportHeader, Identity, LEAVES_TYPE, LeafPlace, NewAuditEntry, PartyParts, REDACTED_ACTION,
};
use crate::domain::checkpoint::{Checkpoint, SigningKey, key_name, origin};
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::domain::merkle::{Frontier, Hash, NodeId, ProofPlan};
use crate::domain::time::from_millis;

pub(super) struct Log {
    pub(super) entries: Vec<AuditEntry>,
    pub(super) expired: Vec<u64>,
    nodes: HashMap<NodeId, Hash>,
    /// By size.
    roots: Vec<Hash>,
}

pub(super) fn environment() -> EnvironmentId {
    EnvironmentId::at(0, 1)
}

pub(super) fn org() -> OrganizationId {
    OrganizationId::at(0, 2)
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[3; 32], &key_name(environment())).unwrap()
}

fn new_entry(action: &str) -> NewAuditEntry {
    let parts = AuditEntryParts {
        organization_id: Some(&org().to_string()),
        action,
        occurred_at: "2026-01-01T00:00:00.000Z",
        version: Some(1),
        actor: PartyParts {
            id: "user_1",
            kind: "user",
            name: Some("Zoë \"Z\""),
            metadata: Some(r#"{"role":"admin","n":1.0}"#),
        },
        targets: vec![PartyParts {
            id: "team_1",
            kind: "team",
            name: None,
            metadata: None,
        }],
        location: "127.0.0.1",
        user_agent: Some("Browser/1.0"),
        metadata: None,
    };
    let limits = AuditLimits {
        now: from_millis(1_767_225_600_000),
        bytes_max: 10_000,
    };
    NewAuditEntry::parse("", &parts, limits).unwrap()
}

fn place(new: NewAuditEntry, index: u64) -> AuditEntry {
    let place = LeafPlace {
        id: AuditLogEventId::at(index, 1),
        index,
        recorded_at: from_millis(1_767_225_600_000 + index),
    };
    let mut salt = index * 16;
    AuditEntry::place(new, place, || {
        salt += 1;
        u128::from(salt).to_be_bytes()
    })
}

pub(super) fn entry_of(action: &str, index: u64) -> AuditEntry {
    place(new_entry(action), index)
}

pub(super) fn entry(index: u64) -> AuditEntry {
    entry_of("user.signed_in", index)
}

/// What the platform records of a redaction or of retention.
pub(super) fn grant(index: u64, action: &str, leaves: &str) -> AuditEntry {
    let mut new = new_entry("x");
    new.action = crate::domain::event::EventType::parse("action", action).unwrap();
    new.targets = vec![Identity {
        id: leaves.into(),
        kind: LEAVES_TYPE.into(),
    }];
    place(new, index)
}

impl Log {
    pub(super) fn of(entries: Vec<AuditEntry>) -> Self {
        let mut frontier = Frontier::default();
        let mut nodes = HashMap::new();
        let mut roots = vec![frontier.root()];
        for entry in &entries {
            let completed = frontier.append(entry.leaf_hash());
            nodes.extend(completed.into_iter().map(|node| (node.id, node.hash)));
            roots.push(frontier.root());
        }
        Self {
            entries,
            expired: Vec::new(),
            nodes,
            roots,
        }
    }

    /// So many entries, then those that say what was redacted and what expired, if anything, then one more.
    pub(super) fn new(count: u64, redacted: &[u64], expired: &[u64]) -> Self {
        let mut entries: Vec<_> = (0..count).map(entry).collect();
        for (action, leaves) in [(REDACTED_ACTION, redacted), (EXPIRED_ACTION, expired)] {
            if !leaves.is_empty() {
                let mut set = crate::domain::audit::LeafSet::default();
                leaves.iter().for_each(|&leaf| set.insert(leaf));
                let index = u64::try_from(entries.len()).unwrap();
                entries.push(grant(index, action, &set.to_string()));
            }
        }
        let index = u64::try_from(entries.len()).unwrap();
        entries.push(entry(index));
        let is_redacted = |entry: &AuditEntry| redacted.contains(&entry.index());
        let entries = entries.into_iter().map(|entry| {
            if is_redacted(&entry) {
                entry.redact()
            } else {
                entry
            }
        });
        Self {
            expired: expired.to_vec(),
            ..Self::of(entries.collect())
        }
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// The size from which on all grants are covered.
    pub(super) fn granted_from(&self) -> u64 {
        self.len() - 1
    }

    pub(super) fn note_of(&self, size: u64, origin: &str) -> String {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size,
            root: self.roots[usize::try_from(size).unwrap()],
        };
        checkpoint.sign(&[&signing_key()]).unwrap()
    }

    pub(super) fn note(&self, size: u64) -> String {
        self.note_of(size, &origin(environment(), Some(org())))
    }

    pub(super) fn trust(&self, retained: Option<u64>) -> Trust {
        Trust {
            keys: vec![signing_key().verifying_key().clone()],
            retained: retained.map(|size| Retained {
                note: self.note(size),
                consistency: None,
            }),
            extent: Extent::AsStated,
        }
    }

    pub(super) fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        let plan = ProofPlan::consistency(old, new).unwrap();
        plan.build(&self.nodes).unwrap()
    }

    pub(super) fn header(&self, size: u64) -> ExportHeader {
        ExportHeader {
            organization: Some(org()),
            checkpoint: self.note(size),
            range_start: None,
            range_end: None,
            filters: "{}".into(),
            complete: true,
        }
    }

    /// The line of one leaf, with its proof against the checkpoint of `size` leaves.
    pub(super) fn line(&self, index: u64, size: u64, is_authority: bool) -> String {
        let entry = &self.entries[usize::try_from(index).unwrap()];
        let plan = ProofPlan::inclusion(index, size);
        let inclusion = plan.map(|plan| plan.build(&self.nodes).unwrap());
        let leaf_hash = entry.leaf_hash();
        if self.expired.contains(&index) {
            let line = ExpiredLine {
                index,
                leaf_hash,
                inclusion,
            };
            return line.render();
        }
        let line = EntryLine {
            entry: entry.clone(),
            leaf_hash,
            inclusion,
            is_authority,
        };
        line.render()
    }

    pub(super) fn export(&self, size: u64) -> Vec<String> {
        self.lines(&self.header(size), size, 0..self.len())
    }

    pub(super) fn range_export(&self, size: u64, range: Range<u64>) -> Vec<String> {
        let header = ExportHeader {
            range_start: Some(from_millis(1)),
            range_end: Some(from_millis(2)),
            ..self.header(size)
        };
        self.lines(&header, size, range)
    }

    /// Some entries, behind those that say what was redacted and expired.
    pub(super) fn filtered_export(&self, size: u64, indexes: &[u64]) -> Vec<String> {
        let header = ExportHeader {
            filters: r#"{"actions":["user.signed_in"]}"#.into(),
            complete: false,
            ..self.header(size)
        };
        let mut lines = self.lines(&header, size, indexes.iter().copied());
        let is_grant = |entry: &&AuditEntry| entry.action().as_str().starts_with("audit_log.");
        for grant in self.entries.iter().filter(is_grant) {
            lines.insert(1, self.line(grant.index(), size, true));
        }
        // The sample's expiry says nothing about what this export holds.
        lines.remove(1);
        lines
    }

    fn lines(
        &self,
        header: &ExportHeader,
        size: u64,
        indexes: impl Iterator<Item = u64>,
    ) -> Vec<String> {
        let mut lines = vec![header.render()];
        lines.extend(indexes.map(|index| self.line(index, size, false)));
        let entries = u64::try_from(lines.len() - 1).unwrap();
        lines.push(ExportEnd { entries }.render());
        lines
    }
}
