//! An entry of an audit log: recorded, at its place in the tree.
//!
//! Invariant: an entry has as many salts, or commitments, as it has parts; its object and its leaf are made
//! from the same members, so no member can change in one without the other. Redaction changes the object, never
//! the leaf. Does not decide who may redact.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::content::{Identity, Personal, PersonalParts, push_metadata, push_string};
use super::leaf::{self, Commitments, Salts};
use super::new::NewAuditEntry;
use crate::domain::event::EventType;
use crate::domain::id::{AuditLogEventId, OrganizationId};
use crate::domain::merkle::{Hash, leaf_hash};
use crate::domain::time;

/// One recorded entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub(super) id: AuditLogEventId,
    pub(super) index: u64,
    pub(super) organization: Option<OrganizationId>,
    pub(super) action: EventType,
    pub(super) version: Option<u32>,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) actor: Identity,
    pub(super) targets: Vec<Identity>,
    pub(super) content: Content,
}

/// The personal parts, or what is left of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Kept { parts: PersonalParts, salts: Salts },
    Redacted { commitments: Commitments },
}

/// Where and when an entry is recorded.
#[derive(Debug, Clone, Copy)]
pub struct LeafPlace {
    pub id: AuditLogEventId,
    /// The index of the leaf in its tree, from 0.
    pub index: u64,
    pub recorded_at: DateTime<Utc>,
}

impl AuditEntry {
    /// Records a new entry at its place.
    ///
    /// Shape: `salt` gives 16 new random bytes each time; it is called once for each part.
    pub fn place(
        new: NewAuditEntry,
        place: LeafPlace,
        mut salt: impl FnMut() -> [u8; Salts::BYTES],
    ) -> Self {
        let parts = leaf::part_count(new.targets.len());
        let salts = Salts::new((0..parts).map(|_| salt()).collect());
        Self {
            id: place.id,
            index: place.index,
            organization: new.organization,
            action: new.action,
            version: new.version,
            occurred_at: new.occurred_at,
            recorded_at: time::to_millis_precision(place.recorded_at),
            actor: new.actor,
            targets: new.targets,
            content: Content::Kept {
                parts: new.parts,
                salts,
            },
        }
    }

    pub const fn id(&self) -> AuditLogEventId {
        self.id
    }

    /// The index of the entry's leaf in its tree, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    pub const fn organization(&self) -> Option<OrganizationId> {
        self.organization
    }

    pub const fn action(&self) -> &EventType {
        &self.action
    }

    pub const fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at
    }

    pub const fn recorded_at(&self) -> DateTime<Utc> {
        self.recorded_at
    }

    pub const fn actor(&self) -> &Identity {
        &self.actor
    }

    pub fn targets(&self) -> &[Identity] {
        &self.targets
    }

    pub const fn content(&self) -> &Content {
        &self.content
    }

    pub const fn is_redacted(&self) -> bool {
        matches!(self.content, Content::Redacted { .. })
    }

    /// The commitments to the personal parts: made from them, or kept in their place.
    pub fn commitments(&self) -> Commitments {
        match &self.content {
            Content::Kept { parts, salts } => Commitments::of(salts, &parts.texts()),
            Content::Redacted { commitments } => commitments.clone(),
        }
    }

    /// Forgets the personal parts and their salts; the leaf stays the same.
    #[must_use]
    pub fn redact(self) -> Self {
        let commitments = self.commitments();
        Self {
            content: Content::Redacted { commitments },
            ..self
        }
    }

    /// The leaf's text, which is hashed into the tree.
    pub fn leaf_text(&self) -> String {
        leaf::leaf_text(self, &self.commitments())
    }

    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(self.leaf_text().as_bytes())
    }

    /// The object of the wire: what is stored, answered, exported and sent in the feed.
    pub fn render_object(&self) -> String {
        let mut text = String::with_capacity(512);
        let _infallible = write!(
            text,
            r#"{{"object":"audit_log_event","id":"{}","organization_id":"#,
            self.id
        );
        self.push_organization(&mut text);
        let _infallible = write!(text, r#","action":"{}""#, self.action);
        if let Some(version) = self.version {
            let _infallible = write!(text, r#","version":{version}"#);
        }
        let _infallible = write!(
            text,
            r#","occurred_at":"{}","recorded_at":"{}","actor":"#,
            time::to_text(self.occurred_at),
            time::to_text(self.recorded_at)
        );
        let parts = match &self.content {
            Content::Kept { parts, .. } => Some(parts),
            Content::Redacted { .. } => None,
        };
        push_party(&mut text, &self.actor, parts.map(|parts| &parts.actor));
        text.push_str(r#","targets":["#);
        let mut personal = parts.into_iter().flat_map(|parts| &parts.targets);
        for (number, target) in self.targets.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            push_party(&mut text, target, personal.next());
        }
        text.push(']');
        if let Some(parts) = parts {
            let _infallible = write!(text, r#","context":{}"#, parts.context.text());
            push_metadata(&mut text, parts.metadata.as_ref());
        }
        let _infallible = write!(text, r#","index":{}"#, self.index);
        if self.is_redacted() {
            text.push_str(r#","redacted":true"#);
        }
        text.push('}');
        text
    }

    /// Writes the organization's id or null.
    pub(super) fn push_organization(&self, text: &mut String) {
        let _infallible = match self.organization {
            Some(organization) => write!(text, r#""{organization}""#),
            None => write!(text, "null"),
        };
    }
}

fn push_party(text: &mut String, identity: &Identity, personal: Option<&Personal>) {
    text.push_str(r#"{"id":"#);
    push_string(text, &identity.id);
    text.push_str(r#","type":"#);
    push_string(text, &identity.kind);
    if let Some(personal) = personal {
        personal.push_members(text);
    }
    text.push('}');
}
