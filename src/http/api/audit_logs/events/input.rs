//! What callers send to be recorded, and how it is read.
//!
//! Invariant: faults of the shape are told together with all others, as 422; without any, what breaks a limit is
//! the contract's 400.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::Noun;
use crate::domain::audit::{AuditEntryParts, AuditLimits, NewAuditEntry, PartyParts, is_shape};
use crate::domain::id::OrganizationId;
use crate::domain::invalid::Invalid;
use crate::domain::limits::AUDIT_BATCH_MAX;
use crate::http::extract::{Member, Reader, object};
use crate::http::problem::Problem;

/// An entry to record.
#[derive(Deserialize, Default, ToSchema)]
#[schema(example = json!({"organization_id": "org_01KDWX4V00000000000000TEST", "event": {
    "action": "user.signed_in", "occurred_at": "2026-02-02T16:35:39.317Z",
    "actor": {"id": "user_1", "type": "user", "name": "Jon Smith"}, "targets": [{"id": "team_1", "type": "team"}],
    "context": {"location": "203.0.113.7", "user_agent": "Chrome/104.0.0.0"}, "metadata": {"mfa": true}}}))]
pub(in crate::http::api) struct CreateAuditLogEvent<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    organization_id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = NewAuditLogEvent, required)]
    event: Member<'a, Map<String, Value>>,
}

/// What happened.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::http::api) struct NewAuditLogEvent<'a> {
    /// Segments of letters, digits, `_`, `:` and `-`, joined by dots.
    #[serde(borrow, default)]
    #[schema(value_type = String, required, max_length = 128, example = "user.signed_in")]
    action: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required, format = DateTime)]
    occurred_at: Member<'a, String>,
    /// The version of the action's schema; 1 when absent.
    #[serde(borrow, default)]
    #[schema(value_type = Option<i32>, minimum = 1)]
    version: Member<'a, i64>,
    #[serde(borrow, default)]
    #[schema(value_type = NewAuditLogParty, required)]
    actor: Member<'a, Map<String, Value>>,
    #[serde(borrow, default)]
    #[schema(value_type = Vec<NewAuditLogParty>, required)]
    targets: Member<'a, Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    #[schema(value_type = NewAuditLogContext, required)]
    context: Member<'a, Map<String, Value>>,
    /// Up to 50 members: keys of up to 40 characters, values that are text of up to 500, numbers or booleans.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    metadata: Member<'a, Map<String, Value>>,
}

/// Who did it, or what it was done to.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::http::api) struct NewAuditLogParty<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = String, required)]
    id: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = String, required, example = "user")]
    r#type: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    name: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    metadata: Member<'a, Map<String, Value>>,
}

/// Where it was done.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::http::api) struct NewAuditLogContext<'a> {
    /// An address or a place.
    #[serde(borrow, default)]
    #[schema(value_type = String, required, example = "203.0.113.7")]
    location: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    user_agent: Member<'a, String>,
}

/// Entries to record together, all or none.
#[derive(Deserialize, Default, ToSchema)]
pub(in crate::http::api) struct CreateAuditLogEventBatch<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = Vec<CreateAuditLogEvent>, required, min_items = 1, max_items = 100)]
    events: Member<'a, Vec<&'a RawValue>>,
}

impl CreateAuditLogEvent<'_> {
    pub(super) fn parse(&self, limits: AuditLimits) -> Result<Recorded, Problem> {
        let mut faults = Told::default();
        let read = self.read("", limits, &mut faults);
        let (organization, entry) = faults.check(read)?;
        resolved(&organization, entry)
    }

    /// The organization's id as it was sent, and the entry; `None` when there were faults.
    fn read(
        &self,
        path: &str,
        limits: AuditLimits,
        faults: &mut Told,
    ) -> Option<(String, NewAuditEntry)> {
        let mut reader = Reader::new(path);
        let organization = reader.required("organization_id", &self.organization_id);
        let event = match self.event.present() {
            Some(raw) => {
                let field = reader.field("event");
                reader.take(object::<NewAuditLogEvent<'_>>(&field, raw))
            }
            None => {
                reader.required("event", &self.event);
                None
            }
        };
        faults.shape.extend(reader.into_faults());
        let entry = event?.read(path, limits, faults);
        Some((organization?, entry?))
    }
}

impl CreateAuditLogEventBatch<'_> {
    pub(super) fn parse(&self, limits: AuditLimits) -> Result<Vec<Recorded>, Problem> {
        let mut reader = Reader::new("");
        let sent = reader.required("events", &self.events).unwrap_or_default();
        if self.events.present().is_some() && !(1..=AUDIT_BATCH_MAX).contains(&sent.len()) {
            let message = format!("events must hold 1 to {AUDIT_BATCH_MAX} events.");
            reader.push(Invalid::new("events", "invalid_length", message));
        }
        reader.check()?;
        let mut faults = Told::default();
        let mut read = Vec::with_capacity(sent.len());
        for (index, raw) in sent.into_iter().enumerate() {
            let path = format!("events[{index}]");
            match object::<CreateAuditLogEvent<'_>>(&path, raw) {
                Ok(event) => read.extend(event.read(&format!("{path}."), limits, &mut faults)),
                Err(fault) => faults.shape.push(fault),
            }
        }
        let read = faults.check(Some(read))?;
        let entries = read.into_iter();
        entries
            .map(|(organization, entry)| resolved(&organization, entry))
            .collect()
    }
}

/// An entry, and whose it is.
pub(super) type Recorded = (OrganizationId, NewAuditEntry);

/// Errors: what is no id of an organization names none.
fn resolved(organization: &str, entry: NewAuditEntry) -> Result<Recorded, Problem> {
    let id = organization
        .parse()
        .map_err(|_fault| Problem::not_found(Noun::Organization, organization))?;
    let organization = Some(id);
    Ok((
        id,
        NewAuditEntry {
            organization,
            ..entry
        },
    ))
}

/// The faults of a body, by what they break.
#[derive(Default)]
struct Told {
    shape: Vec<Invalid>,
    limits: Vec<Invalid>,
}

impl Told {
    fn check<T>(mut self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.shape.is_empty() && self.limits.is_empty() => Ok(read),
            _ if self.shape.is_empty() => Err(Problem::invalid_audit_log_event(self.limits)),
            _ => {
                self.shape.append(&mut self.limits);
                Err(self.shape.into())
            }
        }
    }
}

/// An actor or a target, taken apart.
#[derive(Default)]
struct Party<'a> {
    id: String,
    kind: String,
    name: Option<String>,
    metadata: Option<&'a str>,
}

/// Stands in for what is missing, so that the rest is looked at too.
const ABSENT: &str = "absent";
const ABSENT_TIME: &str = "1970-01-01T00:00:00.000Z";

impl NewAuditLogEvent<'_> {
    fn read(&self, path: &str, limits: AuditLimits, faults: &mut Told) -> Option<NewAuditEntry> {
        let event = format!("{path}event.");
        let mut reader = Reader::new(&event);
        let action = reader.required("action", &self.action);
        let occurred_at = reader.required("occurred_at", &self.occurred_at);
        let version = reader.optional("version", &self.version);
        let actor = match self.actor.present() {
            Some(raw) => party(&mut reader, "actor", raw),
            None => {
                reader.required("actor", &self.actor);
                Party::stand_in()
            }
        };
        let sent = reader
            .required("targets", &self.targets)
            .unwrap_or_default();
        let targets: Vec<Party<'_>> = sent
            .into_iter()
            .enumerate()
            .map(|(index, raw)| party(&mut reader, &format!("targets[{index}]"), raw))
            .collect();
        let (location, user_agent) = self.context(&mut reader);
        faults.shape.extend(reader.into_faults());
        let parts = AuditEntryParts {
            // Read by `resolved`: what is no id is not found, which is no fault of the body.
            organization_id: None,
            action: action.as_deref().unwrap_or(ABSENT),
            occurred_at: occurred_at.as_deref().unwrap_or(ABSENT_TIME),
            version,
            actor: actor.parts(),
            targets: targets.iter().map(Party::parts).collect(),
            location: location.as_deref().unwrap_or(ABSENT),
            user_agent: user_agent.as_deref(),
            metadata: self.metadata.present().map(RawValue::get),
        };
        match NewAuditEntry::parse(path, &parts, limits) {
            Ok(entry) => Some(entry),
            Err(found) => {
                let (shape, limits): (Vec<_>, Vec<_>) = found.into_iter().partition(is_shape);
                faults.shape.extend(shape);
                faults.limits.extend(limits);
                None
            }
        }
    }

    /// Location and user agent.
    fn context(&self, reader: &mut Reader<'_>) -> (Option<String>, Option<String>) {
        let Some(raw) = self.context.present() else {
            reader.required("context", &self.context);
            return (None, None);
        };
        let field = reader.field("context");
        let Some(context) = reader.take(object::<NewAuditLogContext<'_>>(&field, raw)) else {
            return (None, None);
        };
        let path = format!("{field}.");
        let mut nested = Reader::new(&path);
        let location = nested.required("location", &context.location);
        let user_agent = nested.optional("user_agent", &context.user_agent);
        reader.extend(nested.into_faults());
        (location, user_agent)
    }
}

fn party<'a>(reader: &mut Reader<'_>, name: &str, raw: &'a RawValue) -> Party<'a> {
    let field = reader.field(name);
    let Some(sent) = reader.take(object::<NewAuditLogParty<'_>>(&field, raw)) else {
        return Party::stand_in();
    };
    let path = format!("{field}.");
    let mut nested = Reader::new(&path);
    let id = nested.required("id", &sent.id);
    let kind = nested.required("type", &sent.r#type);
    let name = nested.optional("name", &sent.name);
    reader.extend(nested.into_faults());
    Party {
        id: id.unwrap_or_else(|| ABSENT.to_owned()),
        kind: kind.unwrap_or_else(|| ABSENT.to_owned()),
        name,
        metadata: sent.metadata.present().map(RawValue::get),
    }
}

impl Party<'_> {
    fn stand_in() -> Self {
        Self {
            id: ABSENT.to_owned(),
            kind: ABSENT.to_owned(),
            ..Self::default()
        }
    }

    fn parts(&self) -> PartyParts<'_> {
        PartyParts {
            id: &self.id,
            kind: &self.kind,
            name: self.name.as_deref(),
            metadata: self.metadata,
        }
    }
}
