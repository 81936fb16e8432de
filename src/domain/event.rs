//! Events: facts that were published, and the patterns that choose among them.
//!
//! Invariant: an event's body is made once, here, and never changed after: the bytes stored are the bytes
//! signed, sent and read back. The one exception is what a redaction takes from an audit log event. Ids and positions come from whoever holds the environment's lock.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::endpoint::{DisabledReason, Endpoint};
use super::id::{EndpointId, EnvironmentId, EventId, OrganizationId};
use super::invalid::Invalid;
use super::json::{self, JsonLimits};
use super::limits::{CONTEXT_BYTES_MAX, EVENT_TYPE_CHARS_MAX, JSON_DEPTH_MAX};
use super::time;

/// The type of the event that tells of an audit log event; its `data` is the audit log event.
const ENTRY_RECORDED: &str = "audit_log.event_recorded";
/// The event type of a sample that names no other.
pub const ENDPOINT_TEST: &str = "webhook_endpoint.test";
/// How the types of events begin that tell of audit logs.
const RESERVED: &str = "audit_log.";

/// What kind of fact: `invoice.paid`.
///
/// Shape: 1 to 128 characters, segments of `[A-Za-z0-9_:-]` joined by dots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Box<str>);

impl EventType {
    /// Errors: `invalid_event_type`, with `field` as the place.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        if is_event_type(text) {
            return Ok(Self(text.into()));
        }
        let message = "must be 1 to 128 characters: segments of letters, digits, '_', ':' and '-', joined by dots.";
        Err(Invalid::new(
            field,
            "invalid_event_type",
            format!("{field} {message}"),
        ))
    }

    /// Whether callers may publish events of this type.
    ///
    /// Errors: `reserved_event_type` for those by which the platform tells of audit logs: auditors rely on them.
    pub fn check_published(field: &str, text: &str) -> Result<(), Invalid> {
        if !text.starts_with(RESERVED) {
            return Ok(());
        }
        let message =
            format!("{field} must not begin with {RESERVED}: the platform records these itself.");
        Err(Invalid::new(field, "reserved_event_type", message))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_event_type(text: &str) -> bool {
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
    };
    text.len() <= EVENT_TYPE_CHARS_MAX && text.split('.').all(segment)
}

/// Which event types are wanted: one by name, all below a prefix (`invoice.*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventPattern {
    Exactly(EventType),
    /// The prefix with its last dot: `invoice.`.
    Below(Box<str>),
    Everything,
}

impl EventPattern {
    /// Errors: `invalid_event_type`, with `field` as the place.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        match text.strip_suffix(".*") {
            Some(prefix) => EventType::parse(field, prefix)
                .map(|prefix| Self::Below(format!("{prefix}.").into())),
            None => EventType::parse(field, text).map(Self::Exactly),
        }
    }

    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == event_type,
            Self::Below(prefix) => event_type.as_str().starts_with(&**prefix),
            Self::Everything => true,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(wanted) => wanted.fmt(f),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Everything => f.write_str("*"),
        }
    }
}

/// An event that a caller wants recorded: checked, compacted, without an id yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub event_type: EventType,
    /// A JSON object in compact form.
    pub data: String,
    /// A JSON object in compact form, `{}` when the caller sent none.
    pub context: String,
    pub organization: Option<OrganizationId>,
    pub audience: Audience,
}

/// Who gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every endpoint that is subscribed.
    Subscribers,
    /// One endpoint, whatever it is subscribed to.
    Only(EndpointId),
}

/// How large an event's parts may be.
#[derive(Debug, Clone, Copy)]
pub struct EventLimits {
    pub data_bytes_max: usize,
}

impl NewEvent {
    /// Checks and compacts the parts of one event; `path` (such as `events[2].`) stands before each field's name.
    ///
    /// Errors: everything that is wrong, not the first.
    pub fn parse(
        path: &str,
        parts: &EventParts<'_>,
        limits: EventLimits,
    ) -> Result<Self, Vec<Invalid>> {
        let mut faults = super::invalid::Faults::default();
        let event_type = faults.take(EventType::parse(&format!("{path}event"), parts.event));
        let data = faults.take(object(
            &format!("{path}data"),
            parts.data,
            limits.data_bytes_max,
        ));
        let context = match parts.context {
            Some(context) => faults.take(object(
                &format!("{path}context"),
                context,
                CONTEXT_BYTES_MAX,
            )),
            None => Some("{}".to_owned()),
        };
        let organization = match parts.organization_id {
            Some(text) => faults.take(text.parse().map(Some).map_err(|fault| {
                Invalid::new(
                    format!("{path}organization_id"),
                    "invalid_organization_id",
                    format!("organization_id {fault}."),
                )
            })),
            None => Some(None),
        };
        faults.check()?;
        match (event_type, data, context, organization) {
            (Some(event_type), Some(data), Some(context), Some(organization)) => Ok(Self {
                event_type,
                data,
                context,
                organization,
                audience: Audience::Subscribers,
            }),
            _ => Err(Vec::new()),
        }
    }

    /// Bytes that the event takes up while it waits.
    pub fn weight(&self) -> usize {
        self.data.len() + self.context.len() + self.event_type.as_str().len() + 256
    }
}

impl NewEvent {
    /// The platform's notice that it has disabled an endpoint.
    pub fn endpoint_disabled(endpoint: &Endpoint, reason: DisabledReason) -> Self {
        let data = serde_json::json!({
            "object": "webhook_endpoint",
            "id": endpoint.id,
            "endpoint_url": endpoint.url,
            "status": "disabled",
            "disabled_reason": reason.as_str(),
        });
        Self::of_platform("webhook_endpoint.disabled", &data, Audience::Subscribers)
    }

    /// The sample that shows whether an endpoint is reached.
    pub fn endpoint_test(endpoint: EndpointId) -> Self {
        let data = serde_json::json!({
            "object": "webhook_endpoint",
            "id": endpoint,
            "message": "This is a test event from Tidings.",
        });
        Self::of_platform(ENDPOINT_TEST, &data, Audience::Only(endpoint))
    }

    /// Tells of an audit log event; `object` is the audit log event's own.
    pub fn entry_recorded(organization: Option<OrganizationId>, object: String) -> Self {
        Self {
            event_type: EventType(ENTRY_RECORDED.into()),
            data: object,
            context: "{}".to_owned(),
            organization,
            audience: Audience::Subscribers,
        }
    }

    fn of_platform(event_type: &str, data: &serde_json::Value, audience: Audience) -> Self {
        Self {
            event_type: EventType(event_type.into()),
            data: data.to_string(),
            context: "{}".to_owned(),
            organization: None,
            audience,
        }
    }
}

/// The parts of an event as they were sent: raw JSON texts.
#[derive(Debug, Clone, Copy)]
pub struct EventParts<'a> {
    pub event: &'a str,
    pub data: &'a str,
    pub context: Option<&'a str>,
    pub organization_id: Option<&'a str>,
}

/// Compacts a JSON text that must be an object.
fn object(field: &str, text: &str, bytes_max: usize) -> Result<String, Invalid> {
    let limits = JsonLimits {
        depth_max: JSON_DEPTH_MAX,
        bytes_max,
    };
    let mut compacted = String::with_capacity(text.len());
    match json::compact(text, limits, &mut compacted) {
        Ok(json::JsonKind::Object) => Ok(compacted),
        Ok(_) => Err(Invalid::new(
            field,
            "object_required",
            format!("{field} must be a JSON object."),
        )),
        Err(fault) => Err(Invalid::new(
            field,
            fault.code(),
            format!("{field}: {fault}."),
        )),
    }
}

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub environment: EnvironmentId,
    pub id: EventId,
    /// Dense, from 1, in the order of the ids: whoever sees all positions lacks nothing.
    pub position: i64,
    pub organization: Option<OrganizationId>,
    pub event_type: EventType,
    /// The event object of the wire, as it is stored, signed and sent.
    pub body: Bytes,
}

impl Event {
    /// Gives a new event its place, and makes its body.
    pub fn place(environment: EnvironmentId, id: EventId, position: i64, new: &NewEvent) -> Self {
        let body = render(id, position, new);
        Self {
            environment,
            id,
            position,
            organization: new.organization,
            event_type: new.event_type.clone(),
            body: body.into(),
        }
    }
}

impl Event {
    /// Whether the event tells of an audit log event that was redacted: its body is not the one first signed.
    pub fn is_redacted(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Body {
            data: Data,
        }
        #[derive(serde::Deserialize)]
        struct Data {
            #[serde(default)]
            redacted: bool,
        }
        self.event_type.as_str() == ENTRY_RECORDED
            && serde_json::from_slice(&self.body).is_ok_and(|body: Body| body.data.redacted)
    }
}

/// Writes the event object. Every part is JSON already or needs no escape.
fn render(id: EventId, position: i64, new: &NewEvent) -> String {
    let mut body = String::with_capacity(new.data.len() + new.context.len() + 300);
    let _infallible = write!(
        body,
        r#"{{"object":"event","id":"{id}","event":"{}","data":"#,
        new.event_type
    );
    body.push_str(&new.data);
    let _infallible = write!(
        body,
        r#","created_at":"{}","context":"#,
        time::to_text(id.time())
    );
    body.push_str(&new.context);
    if let Some(organization) = new.organization {
        let _infallible = write!(body, r#","organization_id":"{organization}""#);
    }
    let _infallible = write!(body, r#","position":{position}}}"#);
    body
}

/// The last place that an environment's events have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub id: EventId,
    pub position: i64,
}

impl Place {
    /// The place after this one, at `now` or later: strictly greater id, next position.
    ///
    /// Shape: `random` gives the low 80 bits when the time moves on; within one millisecond the id counts up.
    pub fn next(self, now: DateTime<Utc>, random: u128) -> Self {
        let now = time::millis(now);
        let id = if now > self.id.millis() {
            EventId::at(now, random)
        } else {
            self.id.next()
        };
        Self {
            id,
            position: self.position + 1,
        }
    }

    /// The place before an environment's first event.
    pub const ORIGIN: Self = Self {
        id: EventId::at(0, 0),
        position: 0,
    };
}

/// Which events a list shows.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Empty: every type.
    pub patterns: Vec<EventPattern>,
    pub organization: Option<OrganizationId>,
    /// Created at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Created at this time or earlier.
    pub until: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests;
