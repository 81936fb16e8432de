//! Reading a stored object back, for redaction and for the verifier.
//!
//! Invariant: what is accepted renders to exactly the text that was read. So an object with a member more,
//! less, elsewhere or spelled otherwise is refused, and nothing that is shown escapes the leaf.
//! Does not check limits: what was recorded under other limits stays readable.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::content::{Context, Identity, Metadata, Personal, PersonalParts};
use super::entry::{AuditEntry, Content};
use super::leaf::{Commitments, Salts, part_count};
use crate::domain::event::EventType;
use crate::domain::time;

/// What is kept beside an object to make its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    Salts(Salts),
    /// Of a redacted entry.
    Commitments(Commitments),
}

/// Why a text is no stored entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoredFault {
    #[error("not the JSON object of an audit log event: {0}")]
    NotAnObject(String),
    #[error("{0} is not well-formed")]
    Member(&'static str),
    #[error("the object is not in the form in which it was recorded")]
    OtherForm,
    #[error("the salts or commitments do not belong to the object")]
    Opening,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredObject<'a> {
    #[serde(rename = "object")]
    _object: &'a RawValue,
    id: String,
    organization_id: Option<String>,
    action: String,
    version: Option<u32>,
    occurred_at: String,
    recorded_at: String,
    #[serde(borrow)]
    actor: StoredParty<'a>,
    #[serde(borrow)]
    targets: Vec<StoredParty<'a>>,
    context: Option<StoredContext>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    index: u64,
    #[serde(rename = "redacted")]
    _redacted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredParty<'a> {
    id: Box<str>,
    #[serde(rename = "type")]
    kind: Box<str>,
    name: Option<Box<str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredContext {
    location: Box<str>,
    user_agent: Option<Box<str>>,
}

impl AuditEntry {
    /// Reads a stored object with what was kept beside it.
    pub fn from_stored(object: &str, opening: Opening) -> Result<Self, StoredFault> {
        let stored: StoredObject<'_> = serde_json::from_str(object)
            .map_err(|fault| StoredFault::NotAnObject(fault.to_string()))?;
        let parts = part_count(stored.targets.len());
        let given = match &opening {
            Opening::Salts(salts) => salts.as_slice().len(),
            Opening::Commitments(commitments) => commitments.as_slice().len(),
        };
        if given != parts {
            return Err(StoredFault::Opening);
        }
        let entry = stored.into_entry(opening)?;
        // The parser above is lenient in small things; this is where the text is held to be exact.
        if entry.render_object() == object {
            Ok(entry)
        } else {
            Err(StoredFault::OtherForm)
        }
    }
}

impl StoredObject<'_> {
    fn into_entry(self, opening: Opening) -> Result<AuditEntry, StoredFault> {
        let instant = |name, text: &str| {
            let time = time::from_text(text).ok_or(StoredFault::Member(name))?;
            Ok(time::to_millis_precision(time))
        };
        let organization = self.organization_id.map(|text| text.parse()).transpose();
        let (actor, actor_personal) = self.actor.split();
        let (targets, targets_personal) = self.targets.into_iter().map(StoredParty::split).unzip();
        let content = match opening {
            Opening::Commitments(commitments) => Content::Redacted { commitments },
            Opening::Salts(salts) => {
                let context = self.context.ok_or(StoredFault::Opening)?;
                let parts = PersonalParts {
                    actor: actor_personal,
                    targets: targets_personal,
                    context: Context {
                        location: context.location,
                        user_agent: context.user_agent,
                    },
                    metadata: metadata(self.metadata),
                };
                Content::Kept { parts, salts }
            }
        };
        Ok(AuditEntry {
            id: self
                .id
                .parse()
                .map_err(|_other| StoredFault::Member("id"))?,
            index: self.index,
            organization: organization.map_err(|_other| StoredFault::Member("organization_id"))?,
            action: EventType::parse("action", &self.action)
                .map_err(|_other| StoredFault::Member("action"))?,
            version: self.version,
            occurred_at: instant("occurred_at", &self.occurred_at)?,
            recorded_at: instant("recorded_at", &self.recorded_at)?,
            actor,
            targets,
            content,
        })
    }
}

impl StoredParty<'_> {
    fn split(self) -> (Identity, Personal) {
        let identity = Identity {
            id: self.id,
            kind: self.kind,
        };
        let personal = Personal {
            name: self.name,
            metadata: metadata(self.metadata),
        };
        (identity, personal)
    }
}

fn metadata(raw: Option<&serde_json::value::RawValue>) -> Option<Metadata> {
    raw.map(|raw| Metadata::from_compact(raw.get()))
}
