//! Event types on the wire: what is known of the events of a name.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App, Noun};
use crate::domain::event::EventType;
use crate::domain::invalid::Faults;
use crate::http::extract::{Authorized, Body, EventsRead, EventsWrite, PathName, Query};
use crate::http::problem::Problem;

mod answer;
mod input;

use answer::EventTypeBody;
use input::{CreateEventType, NameCursor, UpdateEventType};

/// Create an event type
///
/// While it is enforced, events of the type that do not fit its schema are refused.
#[utoipa::path(
    post, path = "/event_types", tag = "Event types",
    request_body = CreateEventType,
    responses((status = 201, body = EventTypeBody)),
)]
pub(super) async fn create_event_type(
    app: Data<App>,
    caller: Authorized<EventsWrite>,
    body: Body,
) -> Answer {
    let definition = body.parse::<CreateEventType<'_>>()?.parse()?;
    let created = app::event_types::create(&app, &caller, definition, body.key).await?;
    json(StatusCode::CREATED, &EventTypeBody::of(&created)?)
}

/// List event types
///
/// By name.
#[utoipa::path(
    get, path = "/event_types", tag = "Event types",
    params(ListParams),
    responses((status = 200, body = List<EventTypeBody>)),
)]
pub(super) async fn list_event_types(
    app: Data<App>,
    caller: Authorized<EventsRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing::<NameCursor>(&mut faults)?;
    faults.check()?;
    let by_name = listing.page.clone().map(|cursor| cursor.0);
    let page = app::event_types::list(&app, &caller, &by_name).await?;
    let shown = page
        .items
        .iter()
        .map(EventTypeBody::of)
        .collect::<Result<_, _>>()?;
    let cursor = |stored: &app::event_types::StoredEventType| stored.definition.name.to_string();
    json(StatusCode::OK, &List::page(&page, &listing, cursor, shown))
}

/// Get an event type
#[utoipa::path(
    get, path = "/event_types/{name}", tag = "Event types",
    params(("name" = String, Path, description = "The event type, such as `invoice.paid`.")),
    responses((status = 200, body = EventTypeBody)),
)]
pub(super) async fn get_event_type(
    app: Data<App>,
    caller: Authorized<EventsRead>,
    PathName(name): PathName,
) -> Answer {
    let found = app::event_types::find(&app, &caller, &event_type(&name)?).await?;
    json(StatusCode::OK, &EventTypeBody::of(&found)?)
}

/// Change an event type
///
/// Members that are absent stay as they are. Events that are recorded already stay as they are too.
#[utoipa::path(
    patch, path = "/event_types/{name}", tag = "Event types",
    params(("name" = String, Path, description = "The event type, such as `invoice.paid`.")),
    request_body = UpdateEventType,
    responses((status = 200, body = EventTypeBody)),
)]
pub(super) async fn update_event_type(
    app: Data<App>,
    caller: Authorized<EventsWrite>,
    PathName(name): PathName,
    body: Body,
) -> Answer {
    let change = body.parse::<UpdateEventType<'_>>()?.parse()?;
    let updated = app::event_types::update(&app, &caller, &event_type(&name)?, change).await?;
    json(StatusCode::OK, &EventTypeBody::of(&updated)?)
}

/// Delete an event type
///
/// Its events stay, and new ones are taken as they come.
#[utoipa::path(
    delete, path = "/event_types/{name}", tag = "Event types",
    params(("name" = String, Path, description = "The event type, such as `invoice.paid`.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(super) async fn delete_event_type(
    app: Data<App>,
    caller: Authorized<EventsWrite>,
    PathName(name): PathName,
) -> Answer {
    app::event_types::delete(&app, &caller, &event_type(&name)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is no name of an event type names none.
fn event_type(name: &str) -> Result<EventType, Problem> {
    EventType::parse("name", name).map_err(|_fault| Problem::not_found(Noun::EventType, name))
}
