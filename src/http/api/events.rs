//! Events on the wire: recording them, and the feed.
//!
//! Invariant: an event is answered with the bytes that are stored; nothing here serialises one. The feed is
//! oldest first whatever `order` says, because SDKs send `order=desc` and would miss events if it were heeded.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::envelope::{Answer, stored};
use crate::app::{self, App};
use crate::domain::event::{
    Event, EventFilter, EventLimits, EventParts, EventPattern, EventType, NewEvent,
};
use crate::domain::id::EventId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{BATCH_EVENTS_MAX, EVENT_PATTERNS_MAX};
use crate::domain::page::PageSize;
use crate::http::extract::{
    Authorized, Body, EventsRead, EventsWrite, Member, PathId, Query, Reader, object,
};
use crate::http::problem::{Code, Problem};

/// An event to record.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": "invoice.paid", "data": {"id": "inv_1", "amount_cents": 1200}}))]
pub(super) struct CreateEvent<'a> {
    /// The event type: segments of letters, digits, `_`, `:` and `-`, joined by dots.
    #[serde(borrow, default)]
    #[schema(value_type = String, required, max_length = 128, example = "invoice.paid")]
    event: Member<'a, String>,
    /// The payload. Member order and the text of numbers stay as sent.
    #[serde(borrow, default)]
    #[schema(value_type = Object, required)]
    data: Member<'a, Map<String, Value>>,
    /// The organization that the event concerns.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    organization_id: Member<'a, String>,
    /// What surrounds the fact: who caused it, what was there before.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    context: Member<'a, Map<String, Value>>,
}

impl CreateEvent<'_> {
    /// Errors: everything that is wrong, each under `path`.
    fn parse(&self, path: &str, limits: EventLimits) -> Result<NewEvent, Vec<Invalid>> {
        let mut reader = Reader::new(path);
        let event = reader.required("event", &self.event);
        if let Some(event) = &event {
            let checked = EventType::check_published(&reader.field("event"), event);
            reader.take(checked);
        }
        let organization = reader.optional("organization_id", &self.organization_id);
        if self.data.is_absent() {
            let field = reader.field("data");
            let message = format!("{field} is required.");
            reader.push(Invalid::new(field, "required", message));
        }
        // What is missing is stood in for, so that the rest is looked at too.
        let parts = EventParts {
            event: event.as_deref().unwrap_or("absent"),
            data: self.data.text().unwrap_or("{}"),
            context: self.context.present().map(RawValue::get),
            organization_id: organization.as_deref(),
        };
        match NewEvent::parse(path, &parts, limits) {
            Ok(new) => reader.check().map(|()| new),
            Err(faults) => {
                reader.extend(faults);
                Err(reader.into_faults())
            }
        }
    }
}

/// Events to record together, all or none.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"events": [{"event": "invoice.paid", "data": {"id": "inv_1"}}, {"event": "invoice.sent", "data": {"id": "inv_2"}}]}))]
pub(super) struct CreateEventBatch<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = Vec<CreateEvent>, required, min_items = 1, max_items = 500)]
    events: Member<'a, Vec<&'a RawValue>>,
}

impl CreateEventBatch<'_> {
    fn parse(&self, limits: EventLimits) -> Result<Vec<NewEvent>, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let Some(sent) = reader.required("events", &self.events) else {
            return Err(reader.into_faults());
        };
        if !(1..=BATCH_EVENTS_MAX).contains(&sent.len()) {
            let message = format!("events must hold 1 to {BATCH_EVENTS_MAX} events.");
            reader.push(Invalid::new("events", "invalid_length", message));
            return Err(reader.into_faults());
        }
        let mut events = Vec::with_capacity(sent.len());
        for (index, raw) in sent.into_iter().enumerate() {
            let path = format!("events[{index}]");
            let Some(event) = reader.take(object::<CreateEvent<'_>>(&path, raw)) else {
                continue;
            };
            match event.parse(&format!("{path}."), limits) {
                Ok(event) => events.push(event),
                Err(faults) => reader.extend(faults),
            }
        }
        reader.check().map(|()| events)
    }
}

/// A recorded event: these bytes are stored, signed, sent to endpoints and read back.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "describes stored bytes to OpenAPI")]
pub(super) struct EventBody {
    #[schema(example = "event")]
    object: String,
    #[schema(example = "event_01KDWX4V00000000000000TEST")]
    id: String,
    #[schema(example = "invoice.paid")]
    event: String,
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    #[schema(required = false)]
    organization_id: String,
    /// The event's place among all of its environment: dense, from 1. Whoever saw all positions lacks nothing.
    position: i64,
}

/// A page of the feed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes concatenated bytes to OpenAPI")]
pub(super) struct EventList {
    #[schema(example = "list")]
    object: String,
    data: Vec<EventBody>,
    list_metadata: EventListMetadata,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes concatenated bytes to OpenAPI")]
pub(super) struct EventListMetadata {
    /// Send it as `after` for the next page; null at the end of the feed.
    after: Option<String>,
}

/// The events of one batch, in the order they were sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes concatenated bytes to OpenAPI")]
pub(super) struct EventBatch {
    #[schema(example = "list")]
    object: String,
    data: Vec<EventBody>,
}

/// Record an event
///
/// Answers once the event and all its deliveries are durable.
#[utoipa::path(
    post, path = "/events", tag = "Events",
    request_body = CreateEvent,
    responses((status = 201, body = EventBody)),
)]
pub(super) async fn create_event(
    app: Data<App>,
    caller: Authorized<EventsWrite>,
    body: Body,
) -> Answer {
    let event = body
        .parse::<CreateEvent<'_>>()?
        .parse("", app.settings().event_limits)?;
    let published = app::events::publish(&app, &caller, event, body.key).await?;
    Ok(stored(StatusCode::CREATED, published.body))
}

/// Record many events
///
/// All or none: one transaction, in the order given.
#[utoipa::path(
    post, path = "/events/batch", tag = "Events",
    request_body = CreateEventBatch,
    responses((status = 201, body = EventBatch)),
)]
pub(super) async fn create_event_batch(
    app: Data<App>,
    caller: Authorized<EventsWrite>,
    body: Body,
) -> Answer {
    let events = body
        .parse::<CreateEventBatch<'_>>()?
        .parse(app.settings().event_limits)?;
    let published = app::events::publish_batch(&app, &caller, events, body.key).await?;
    Ok(stored(StatusCode::CREATED, list(&published, b"}")))
}

/// Read the feed
///
/// Oldest first. Keep the id of the last event you have processed and send it as `after`: you will see every
/// event once, in one order. At the end `list_metadata.after` is null; go on later with the same id.
#[utoipa::path(get, path = "/events", tag = "Events", params(
    ("events" = Option<Vec<String>>, Query, style = Form, explode = false, description = "Event types, or patterns such as `invoice.*`; all when absent."),
    ("after" = Option<String>, Query, description = "The id of the event that this page begins after."),
    ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Events on the page; 10 when absent."),
    ("organization_id" = Option<String>, Query, description = "Only events of this organization."),
    ("range_start" = Option<String>, Query, description = "Only events created at this time (RFC 3339) or later."),
    ("range_end" = Option<String>, Query, description = "Only events created at this time (RFC 3339) or earlier."),
), responses((status = 200, body = EventList)))]
pub(super) async fn list_events(
    app: Data<App>,
    caller: Authorized<EventsRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let size = faults
        .take(PageSize::parse(query.one("limit")))
        .unwrap_or_default();
    let filter = filter(&query, &mut faults);
    faults.check()?;
    let filter = EventFilter {
        patterns: patterns(&query)?,
        ..filter
    };
    let page = app::events::list(&app, &caller, &filter, query.cursor("after")?, size).await?;
    let after = page
        .items
        .last()
        .filter(|_| page.more_after)
        .map(|event| event.id);
    Ok(stored(
        StatusCode::OK,
        list(&page.items, tail(after).as_bytes()),
    ))
}

/// Get an event
#[utoipa::path(
    get, path = "/events/{id}", tag = "Events",
    params(("id" = String, Path, description = "The event's id.")),
    responses((status = 200, body = EventBody)),
)]
pub(super) async fn get_event(
    app: Data<App>,
    caller: Authorized<EventsRead>,
    PathId(id): PathId<EventId>,
) -> Answer {
    let event = app::events::find(&app, &caller, id).await?;
    Ok(stored(StatusCode::OK, event.body))
}

/// The types and patterns that the feed is narrowed to.
///
/// Errors: `invalid_events_request` for a filter that is present and empty, too long, or holds what is no type.
fn patterns(query: &Query) -> Result<Vec<EventPattern>, Problem> {
    let Some(names) = query.list("events") else {
        return Ok(Vec::new());
    };
    if names.is_empty() {
        return Err(Problem::of(Code::InvalidEventsRequest));
    }
    if names.len() > EVENT_PATTERNS_MAX {
        let message = format!("At most {EVENT_PATTERNS_MAX} event names can be given.");
        return Err(Problem::new(Code::InvalidEventsRequest, message));
    }
    let mut patterns = Vec::with_capacity(names.len());
    for name in names {
        patterns.push(EventPattern::parse("events", name).map_err(|_fault| unknown_name(name))?);
    }
    Ok(patterns)
}

fn unknown_name(name: &str) -> Problem {
    let message =
        format!("Invalid name parameter, received: '{name}'. You must pass in valid event names");
    Problem::new(Code::InvalidEventsRequest, message)
}

fn filter(query: &Query, faults: &mut Faults) -> EventFilter {
    let (from, until) = (
        query.time("range_start", faults),
        query.time("range_end", faults),
    );
    EventFilter {
        patterns: Vec::new(),
        organization: query.id("organization_id", faults),
        from,
        until,
    }
}

fn tail(after: Option<EventId>) -> String {
    match after {
        Some(id) => format!(r#","list_metadata":{{"after":"{id}"}}}}"#),
        None => r#","list_metadata":{"after":null}}"#.to_owned(),
    }
}

/// A list of stored bodies, up to and without what follows `data`.
fn list(events: &[Event], tail: &[u8]) -> Bytes {
    const HEAD: &[u8] = br#"{"object":"list","data":["#;
    let bodies: usize = events.iter().map(|event| event.body.len() + 1).sum();
    let mut text = BytesMut::with_capacity(HEAD.len() + bodies + 1 + tail.len());
    text.extend_from_slice(HEAD);
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(b",");
        }
        text.extend_from_slice(&event.body);
    }
    text.extend_from_slice(b"]");
    text.extend_from_slice(tail);
    text.freeze()
}

#[cfg(test)]
mod tests;
