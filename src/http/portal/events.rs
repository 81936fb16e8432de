//! Events: the list with its filters, and one event with everything that became of it.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::{first_page, listing};
use super::json_view::{ROOM, json};
use super::naming::{self, CHOICES, Names};
use super::overview::no_events;
use super::parts::{empty, id, pager, short_link, state_badge, when};
use super::view::{Part, page};
use crate::app;
use crate::domain::delivery::DeliveryFilter;
use crate::domain::endpoint::Endpoint;
use crate::domain::event::{Event, EventFilter, EventPattern};
use crate::domain::id::EventId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::page::{Order, PageQuery, PageSize};
use crate::domain::time;
use crate::http::extract::{Extract, PathId, Query};
use crate::http::problem::Problem;

pub(super) async fn list(visit: Visit) -> Shown {
    if let Some(Ok(id)) = visit.query.filled("id").map(str::parse::<EventId>) {
        return Ok(redirect(&format!("/portal/events/{id}")));
    }
    let mut faults = Faults::default();
    let filter = EventFilter {
        organization: naming::filter(&visit, &visit.query, &mut faults).await?,
        ..filter(&visit.query, &mut faults)
    };
    if visit.query.filled("id").is_some() {
        let message = "That is no event's id: event_ and 26 characters.";
        faults.push(Invalid::new("id", "invalid_id", message));
    }
    let told = faults.check().err().unwrap_or_default();
    let listing = listing(&visit.query)?;
    let events = app::events::recent(&visit.app, &visit.caller, &filter, &listing).await?;
    let names = Names::of(&visit, events.items.iter().map(|event| event.organization)).await?;
    let choices = naming::choices(&visit).await?;
    let now = visit.app.clock().now();
    let is_first = listing.cursor.is_none();
    let content = html! {
        h1 { "Events" }
        (filters(&visit, &told)) (choices)
        // Only the newest page moves by itself.
        div #live data-live=[is_first.then_some("2000")] {
            @if !events.items.is_empty() { (table(&events.items, &names, now)) }
            @else if visit.query.pairs().any(|(_, value)| !value.is_empty()) {
                (empty("Nothing matches", &html! { p { a href="/portal/events" { "Show all events" } } }))
            }
            @else { (no_events()) }
            (pager(&events, &visit.query, |event| event.id.to_string()))
        }
    };
    page(&visit, Part::Events, "Events", &content)
}

/// Everything but the organization, which may have to be looked for.
fn filter(query: &Query, faults: &mut Faults) -> EventFilter {
    let names = query.filled("type").unwrap_or_default().split([',', ' ']);
    let names = names.filter(|name| !name.is_empty());
    let patterns = names
        .filter_map(|name| faults.take(EventPattern::parse("type", name)))
        .collect();
    EventFilter {
        patterns,
        organization: None,
        from: moment(query, "from", faults),
        until: moment(query, "until", faults),
    }
}

/// A time as a browser's field sends it, or as the API takes it.
pub(super) fn moment(query: &Query, name: &str, faults: &mut Faults) -> Option<DateTime<Utc>> {
    let text = query.filled(name)?;
    let read = time::from_text(text).or_else(|| time::from_text(&format!("{text}:00Z")));
    faults.take(read.ok_or_else(|| {
        let message = format!("{name} must be a time such as 2026-01-31T23:59.");
        Invalid::new(name, "invalid_time", message)
    }))
}

fn filters(visit: &Visit, faults: &[Invalid]) -> Markup {
    let value = |name| visit.query.one(name).unwrap_or_default();
    html! {
        form.filters method="get" role="search" aria-label="Filter events" {
            label { "Type" input name="type" value=(value("type")) placeholder="invoice.*" autocomplete="off" spellcheck="false"; }
            @if visit.caller.bound_to.is_none() {
                label { "Organization" input name="organization" value=(value("organization")) list=(CHOICES) placeholder="name or org_…" autocomplete="off" spellcheck="false"; }
            }
            label { "From (UTC)" input type="datetime-local" name="from" value=(value("from")); }
            label { "Until (UTC)" input type="datetime-local" name="until" value=(value("until")); }
            label { "Id" input name="id" value=(value("id")) placeholder="event_…" spellcheck="false"; }
            button type="submit" { "Filter" }
        }
        @for fault in faults { p.fault role="alert" { (fault.message) } }
    }
}

/// A table of events.
pub(super) fn table(events: &[Event], names: &Names, now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { th { "Type" } th.wide { "Event" } th.wide { "Organization" } th.num.wide { "Position" } th { "Recorded" } } }
                tbody {
                    @for event in events {
                        tr {
                            td { a.name href={ "/portal/events/" (event.id) } { (event.event_type) } }
                            td.wide { (short_link("/portal/events/", event.id)) }
                            td.wide { (names.short(event.organization)) }
                            td.num.wide { (event.position) }
                            td { (when(event.id.time(), now)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn show(visit: Visit) -> Shown {
    let PathId(event_id) =
        PathId::<EventId>::extract(&visit.request, &mut actix_web::dev::Payload::None).await?;
    let event = app::events::find(&visit.app, &visit.caller, event_id).await?;
    let filter = DeliveryFilter {
        event: Some(event.id),
        ..DeliveryFilter::default()
    };
    let all = PageQuery {
        size: PageSize::LARGEST,
        order: Order::Ascending,
        cursor: None,
    };
    let deliveries = app::deliveries::list(&visit.app, &visit.caller, &filter, &all)
        .await?
        .items;
    let endpoints = app::endpoints::list(&visit.app, &visit.caller, &first_page())
        .await?
        .items;
    let names = Names::of(&visit, [event.organization]).await?;
    let now = visit.app.clock().now();
    let of = |wanted| {
        endpoints
            .iter()
            .find(|endpoint: &&Endpoint| endpoint.id == wanted)
    };
    let body = std::str::from_utf8(&event.body).map_err(Problem::internal)?;
    let content = html! {
        p.crumbs { a href="/portal/events" { "Events" } }
        h1 { (event.event_type) }
        dl.facts {
            dt { "Id" } dd { (id(event.id)) }
            dt { "Recorded" } dd { (when(event.id.time(), now)) }
            dt { "Position" } dd { (event.position) }
            dt { "Organization" }
            dd { @match event.organization { Some(organization) => (names.whole(organization)), None => span.soft { "none" } } }
        }
        section #live data-live="2000" {
            h2 { "Deliveries" }
            @if deliveries.is_empty() {
                (empty("It went nowhere", &html! { p { "No endpoint wanted it when it was recorded. Ask below why." } }))
            } @else {
                div.scroll { table {
                    thead { tr { th { "Endpoint" } th { "State" } th.num.wide { "Attempts" } th { "Delivery" } th { "Reason" } } }
                    tbody { @for delivery in &deliveries { tr {
                        td { @match of(delivery.endpoint) {
                            Some(endpoint) => a.url href={ "/portal/endpoints/" (endpoint.id) } { (endpoint.url) },
                            None => code { (delivery.endpoint) },
                        } }
                        td { (state_badge(&delivery.state, of(delivery.endpoint))) }
                        td.num.wide { (delivery.attempts) }
                        td { (short_link("/portal/deliveries/", delivery.id)) }
                        td { a href={ "/portal/events/" (event.id) "/why?endpoint=" (delivery.endpoint) } { "Why?" } }
                    } } }
                } }
            }
        }
        section {
            h2 { "Why did it go to an endpoint, or not?" }
            (ask(&event, &endpoints))
        }
        section {
            div.head { h2 { "Payload" } span.soft { (event.body.len()) " bytes, as signed and sent" } }
            (json(body, ROOM, &format!("/portal/events/{}/body", event.id)))
        }
    };
    page(&visit, Part::Events, event.event_type.as_str(), &content)
}

/// Asks about one endpoint.
fn ask(event: &Event, endpoints: &[Endpoint]) -> Markup {
    html! {
        @if endpoints.is_empty() { p.soft { "There is no endpoint yet." } }
        @else {
            form.line method="get" action={ "/portal/events/" (event.id) "/why" } {
                label { "Endpoint"
                    select name="endpoint" {
                        @for endpoint in endpoints { option value=(endpoint.id) { (endpoint.url) } }
                    }
                }
                button type="submit" { "Ask why" }
            }
        }
    }
}
