//! An audit log event as a caller sends it, checked and compacted, not yet at a place in a tree.
//!
//! Invariant: parsing tells everything that is wrong. What passes renders and reads back without a change: times
//! to the millisecond, in years of four digits, metadata in compact form.
//!
//! Does not know the schemas of actions; those are checked by whoever holds them.

use chrono::{DateTime, TimeDelta, Utc};

use super::content::{Context, Identity, Personal, PersonalParts};
use super::grant::{EXPIRED_ACTION, REDACTED_ACTION};
use super::metadata;
use crate::domain::event::EventType;
use crate::domain::id::OrganizationId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{
    AUDIT_AHEAD_HOURS_MAX, AUDIT_ID_CHARS_MAX, AUDIT_LOCATION_CHARS_MAX, AUDIT_TARGETS_MAX,
    AUDIT_USER_AGENT_CHARS_MAX, NAME_CHARS_MAX,
};
use crate::domain::time;

/// An audit log event to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    pub organization: Option<OrganizationId>,
    pub action: EventType,
    /// Of the action's schema, from 1.
    pub version: Option<u32>,
    pub occurred_at: DateTime<Utc>,
    pub actor: Identity,
    pub targets: Vec<Identity>,
    /// With as many targets as there are above.
    pub parts: PersonalParts,
}

/// The parts of an audit log event as they were sent; metadata are raw JSON texts.
#[derive(Debug, Clone)]
pub struct AuditEntryParts<'a> {
    pub organization_id: Option<&'a str>,
    pub action: &'a str,
    pub occurred_at: &'a str,
    pub version: Option<i64>,
    pub actor: PartyParts<'a>,
    pub targets: Vec<PartyParts<'a>>,
    pub location: &'a str,
    pub user_agent: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

/// An actor or a target as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct PartyParts<'a> {
    pub id: &'a str,
    /// `type` on the wire.
    pub kind: &'a str,
    pub name: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

/// What depends on the moment and the settings.
#[derive(Debug, Clone, Copy)]
pub struct AuditLimits {
    pub now: DateTime<Utc>,
    /// Of all parts together, compacted.
    pub bytes_max: usize,
}

impl NewAuditEntry {
    /// Checks and compacts one audit log event; `path` (such as `events[2].`) stands before each field's name.
    ///
    /// Errors: everything that is wrong, not the first.
    pub fn parse(
        path: &str,
        parts: &AuditEntryParts<'_>,
        limits: AuditLimits,
    ) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::default();
        let event = format!("{path}event");
        let organization = faults.take(organization(path, parts.organization_id));
        let action = faults.take(action(&format!("{event}.action"), parts.action));
        let version = faults.take(version(&format!("{event}.version"), parts.version));
        let occurred_at = faults.take(occurred_at(
            &format!("{event}.occurred_at"),
            parts.occurred_at,
            limits.now,
        ));
        let (actor, actor_personal) = party(&format!("{event}.actor"), &parts.actor, &mut faults);
        let (targets, targets_personal) = targets(&event, &parts.targets, &mut faults);
        let context = context(&event, parts, &mut faults);
        let metadata = parts
            .metadata
            .and_then(|text| metadata::parse(&format!("{event}.metadata"), text, &mut faults));
        let personal = PersonalParts {
            actor: actor_personal,
            targets: targets_personal,
            context,
            metadata,
        };
        check_size(&event, &personal, limits.bytes_max, &mut faults);
        faults.check()?;
        match (organization, action, version, occurred_at) {
            (Some(organization), Some(action), Some(version), Some(occurred_at)) => Ok(Self {
                organization,
                action,
                version,
                occurred_at,
                actor,
                targets,
                parts: personal,
            }),
            _ => Err(Vec::new()),
        }
    }
}

fn organization(path: &str, text: Option<&str>) -> Result<Option<OrganizationId>, Invalid> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|fault: crate::domain::id::IdFault| {
        let field = format!("{path}organization_id");
        let message = format!("{field} {fault}.");
        Invalid::new(field, "invalid_organization_id", message)
    })
}

/// The platform's own records of what was redacted or expired cannot be sent: verifiers rely on them.
fn action(field: &str, text: &str) -> Result<EventType, Invalid> {
    if [REDACTED_ACTION, EXPIRED_ACTION].contains(&text) {
        let message = format!("{field} must not be {text}, which the platform records itself.");
        return Err(Invalid::new(field, "reserved_action", message));
    }
    EventType::parse(field, text)
}

fn version(field: &str, version: Option<i64>) -> Result<Option<u32>, Invalid> {
    let Some(version) = version else {
        return Ok(None);
    };
    match u32::try_from(version) {
        Ok(version @ 1..=0x7fff_ffff) => Ok(Some(version)),
        Ok(_) | Err(_) => {
            let message = format!("{field} must be from 1 to 2147483647.");
            Err(Invalid::new(field, "invalid_version", message))
        }
    }
}

fn occurred_at(field: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let refuse = |message: &str| {
        let message = format!("{field} must {message}.");
        Err(Invalid::new(field, "invalid_occurred_at", message))
    };
    let Ok(sent) = DateTime::parse_from_rfc3339(text) else {
        return refuse("be a date and time of RFC 3339, such as 2026-01-31T23:59:59.999Z");
    };
    let occurred_at = time::to_millis_precision(sent.to_utc());
    if occurred_at < DateTime::UNIX_EPOCH {
        return refuse("not be before 1970");
    }
    if occurred_at.signed_duration_since(now) > TimeDelta::hours(AUDIT_AHEAD_HOURS_MAX) {
        return refuse("not be more than 24 hours in the future");
    }
    Ok(occurred_at)
}

fn targets(
    event: &str,
    sent: &[PartyParts<'_>],
    faults: &mut Faults,
) -> (Vec<Identity>, Vec<Personal>) {
    let field = format!("{event}.targets");
    if sent.len() > AUDIT_TARGETS_MAX {
        let message = format!("{field} must hold at most {AUDIT_TARGETS_MAX} targets.");
        faults.push(Invalid::new(field, "invalid_length", message));
        return (Vec::new(), Vec::new());
    }
    let parties = sent.iter().enumerate();
    parties
        .map(|(number, target)| party(&format!("{field}[{number}]"), target, faults))
        .unzip()
}

fn party(field: &str, sent: &PartyParts<'_>, faults: &mut Faults) -> (Identity, Personal) {
    check_chars(
        &format!("{field}.id"),
        sent.id,
        1,
        AUDIT_ID_CHARS_MAX,
        faults,
    );
    check_chars(
        &format!("{field}.type"),
        sent.kind,
        1,
        AUDIT_ID_CHARS_MAX,
        faults,
    );
    if let Some(name) = sent.name {
        check_chars(&format!("{field}.name"), name, 0, NAME_CHARS_MAX, faults);
    }
    let metadata = sent
        .metadata
        .and_then(|text| metadata::parse(&format!("{field}.metadata"), text, faults));
    let identity = Identity {
        id: sent.id.into(),
        kind: sent.kind.into(),
    };
    let name = sent.name.map(Into::into);
    (identity, Personal { name, metadata })
}

fn context(event: &str, sent: &AuditEntryParts<'_>, faults: &mut Faults) -> Context {
    let field = format!("{event}.context.location");
    check_chars(&field, sent.location, 1, AUDIT_LOCATION_CHARS_MAX, faults);
    if let Some(user_agent) = sent.user_agent {
        let field = format!("{event}.context.user_agent");
        check_chars(&field, user_agent, 0, AUDIT_USER_AGENT_CHARS_MAX, faults);
    }
    Context {
        location: sent.location.into(),
        user_agent: sent.user_agent.map(Into::into),
    }
}

fn check_chars(field: &str, text: &str, min: usize, max: usize, faults: &mut Faults) {
    if !(min..=max).contains(&text.chars().count()) {
        let message = format!("{field} must be {min} to {max} characters.");
        faults.push(Invalid::new(field, "invalid_length", message));
    }
}

fn check_size(field: &str, parts: &PersonalParts, bytes_max: usize, faults: &mut Faults) {
    let bytes: usize = parts.texts().iter().map(String::len).sum();
    if bytes > bytes_max {
        let message = format!("{field}: more than {bytes_max} bytes in compact form.");
        faults.push(Invalid::new(field, "too_large", message));
    }
}

/// Whether a fault is one of the request's shape (422), and not of limits or schemas (400).
pub fn is_shape(fault: &Invalid) -> bool {
    matches!(
        fault.code,
        "required"
            | "invalid_type"
            | "unknown_member"
            | "object_required"
            | "malformed_json"
            | "duplicate_member"
            | "too_deep"
    )
}

/// The JSON pointer of a field inside its event: `events[2].event.targets[0].type` is `/targets/0/type`.
///
/// Shape: empty for the event itself; a field outside an event keeps its whole path.
/// Source: RFC 6901. No name in these paths holds `/` or `~`.
pub fn instance_path(field: &str) -> String {
    let inner = match field.split_once("event.") {
        // `event.` itself or after a dot: the end of another name would not count.
        Some((before, inner)) if before.is_empty() || before.ends_with('.') => inner,
        Some(_) | None if field == "event" || field.ends_with(".event") => return String::new(),
        Some(_) | None => field,
    };
    let mut pointer = String::with_capacity(inner.len() + 1);
    for part in inner.split(['.', '[']) {
        pointer.push('/');
        pointer.push_str(part.trim_end_matches(']'));
    }
    pointer
}
