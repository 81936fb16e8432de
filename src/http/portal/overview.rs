//! The first page: how things go, and what needs somebody.

use chrono::TimeDelta;
use maud::{Markup, html};

use super::door::{Shown, Visit};
use super::events::table;
use super::naming::Names;
use super::parts::{empty, endpoint_badge, when};
use super::view::{Part, page};
use super::{charts, endpoints};
use crate::app;
use crate::domain::endpoint::Endpoint;
use crate::domain::event::EventFilter;
use crate::domain::page::{Order, PageQuery, PageSize};
use crate::domain::portal::Visitor;

/// Events that the page shows.
const EVENTS_SHOWN: usize = 8;

pub(super) async fn show(visit: Visit) -> Shown {
    let (app, caller) = (&visit.app, &visit.caller);
    let now = app.clock().now();
    let is_operator = visit.session.grant.visitor == Visitor::Operator;
    // The feed's positions count all organizations' events.
    let bars = match is_operator {
        true => app::overview::events_over_time(app, caller, TimeDelta::hours(1), 24).await?,
        false => Vec::new(),
    };
    let summary = app::overview::deliveries(app, caller, None).await?;
    let newest = PageQuery {
        size: PageSize::LARGEST,
        order: Order::Descending,
        cursor: None,
    };
    let mut known = app::endpoints::list(app, caller, &newest).await?.items;
    known.sort_by_key(rank);
    let (filter, first) = (EventFilter::default(), endpoints::first_page());
    let events = app::events::recent(app, caller, &filter, &first)
        .await?
        .items;
    let events = events.get(..EVENTS_SHOWN).unwrap_or(&events);
    let names = Names::of(&visit, events.iter().map(|event| event.organization)).await?;
    let content = html! {
        h1 { "Overview" }
        div #live data-live="5000" {
            @if is_operator { (charts::events(&bars)) }
            (charts::figures(&summary, now))
            (charts::ticks(&summary.settled))
            section {
                div.head { h2 { "Endpoints" } a href="/portal/endpoints" { "All endpoints" } }
                (troubles(&known, now))
            }
            section {
                div.head { h2 { "Last events" } a href="/portal/events" { "All events" } }
                @if events.is_empty() { (no_events()) }
                @else { (table(events, &names, now)) }
            }
        }
    };
    page(&visit, Part::Overview, "Overview", &content)
}

/// What fails comes first, what is disabled next.
fn rank(endpoint: &Endpoint) -> u8 {
    match (endpoint.is_enabled(), endpoint.failing_since) {
        (true, Some(_)) => 0,
        (false, _) => 1,
        (true, None) => 2,
    }
}

fn troubles(endpoints: &[Endpoint], now: chrono::DateTime<chrono::Utc>) -> Markup {
    html! {
        @if endpoints.is_empty() { (endpoints::none_yet()) }
        @else {
            ul.cards {
                @for endpoint in endpoints.iter().take(6) {
                    li {
                        a.url href={ "/portal/endpoints/" (endpoint.id) } { (endpoint.url) }
                        span {
                            (endpoint_badge(endpoint))
                            @if let Some(since) = endpoint.failing_since { span.soft { "since " (when(since, now)) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn no_events() -> Markup {
    empty(
        "No events yet",
        &html! {
            p { "Publish one, and it is here a moment later:" }
            pre tabindex="0" { code { "tidings events publish invoice.paid '{\"amount\": 12}'" } }
        },
    )
}
