//! Deliveries: the list with its filters, and one delivery as the timeline of its attempts.

use actix_web::dev::Payload;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::listing;
use super::json_view::{ROOM, json};
use super::parts::{
    cancel_words, empty, id, millis_text, notice, outcome_badge, pager, probe, short_link,
    span_text, state_badge, state_name_badge, when,
};
use super::view::{Part, page, proof};
use crate::app;
use crate::domain::access::Permission;
use crate::domain::attempt::{Answer, Outcome, OutcomeName, RecordedAttempt};
use crate::domain::breaker::BreakerState;
use crate::domain::delivery::{Delivery, DeliveryFilter, DeliveryState, StateName};
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::id::DeliveryId;
use crate::domain::invalid::Faults;
use crate::domain::time::to_text;
use crate::http::extract::{Extract, PathId, Query};

pub(super) async fn list(visit: Visit) -> Shown {
    let mut faults = Faults::default();
    let filter = DeliveryFilter {
        event: visit.query.id("event", &mut faults),
        endpoint: visit.query.id("endpoint", &mut faults),
        state: visit.query.filled("state").and_then(StateName::parse),
        outcome: visit.query.filled("outcome").and_then(OutcomeName::parse),
    };
    let told = faults.check().err().unwrap_or_default();
    let listing = listing(&visit.query)?;
    let deliveries = app::deliveries::list(&visit.app, &visit.caller, &filter, &listing).await?;
    let now = visit.app.clock().now();
    let content = html! {
        div.head { h1 { "Deliveries" } a href="/portal/replays" { "Replays" } }
        (filters(&visit.query, &filter))
        @for fault in &told { p.fault role="alert" { (fault.message) } }
        div #live data-live=[listing.cursor.is_none().then_some("2000")] {
            @if deliveries.items.is_empty() {
                (empty("No deliveries", &html! {
                    p { "An event makes one for each endpoint that wants it. " a href="/portal/endpoints/new" { "Add an endpoint" } }
                }))
            } @else { (table(&deliveries.items, now)) }
            (pager(&deliveries, &visit.query, |delivery| delivery.id.to_string()))
        }
    };
    page(&visit, Part::Deliveries, "Deliveries", &content)
}

fn filters(query: &Query, filter: &DeliveryFilter) -> Markup {
    let value = |name| query.one(name).unwrap_or_default();
    html! {
        form.filters method="get" role="search" aria-label="Filter deliveries" {
            label { "State"
                select name="state" {
                    option value="" { "any" }
                    @for one in StateName::ALL { option value=(one.as_str()) selected[filter.state == Some(one)] { (one.as_str()) } }
                }
            }
            label { "Last attempt"
                select name="outcome" {
                    option value="" { "any" }
                    @for one in OutcomeName::ALL { option value=(one.as_str()) selected[filter.outcome == Some(one)] { (outcome_words(one)) } }
                }
            }
            label { "Endpoint" input name="endpoint" value=(value("endpoint")) placeholder="we_…" spellcheck="false"; }
            label { "Event" input name="event" value=(value("event")) placeholder="event_…" spellcheck="false"; }
            button type="submit" { "Filter" }
        }
    }
}

const fn outcome_words(outcome: OutcomeName) -> &'static str {
    match outcome {
        OutcomeName::TimedOut => "timed out",
        OutcomeName::Accepted
        | OutcomeName::Refused
        | OutcomeName::Unreachable
        | OutcomeName::Forbidden => outcome.as_str(),
    }
}

/// A table of deliveries.
pub(super) fn table(deliveries: &[Delivery], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "State" } th { "Delivery" } th.wide { "Event" } th.wide { "Endpoint" } th.num { "Attempts" } th { "When" } } }
            tbody { @for delivery in deliveries { tr {
                td { (state_name_badge(delivery.state.name())) }
                td { (short_link("/portal/deliveries/", delivery.id)) @if delivery.replay_of.is_some() { span.soft { " replay" } } }
                td.wide { (short_link("/portal/events/", delivery.event)) }
                td.wide { (short_link("/portal/endpoints/", delivery.endpoint)) }
                td.num { (delivery.attempts) }
                td { (moment(delivery, now)) }
            } } }
        } }
    }
}

/// The time that matters in a delivery's state.
fn moment(delivery: &Delivery, now: DateTime<Utc>) -> Markup {
    match delivery.state {
        DeliveryState::Pending { leased: true, .. } => html! { "sending now" },
        DeliveryState::Pending { due_at, .. } if due_at > now => {
            html! { "due " (when(due_at, now)) }
        }
        DeliveryState::Pending { due_at, .. } => {
            let exact = to_text(due_at);
            html! { "waiting for " time datetime=(exact) title={ "due " (exact) } { (span_text(now - due_at)) } }
        }
        DeliveryState::Delivered { at }
        | DeliveryState::Exhausted { at }
        | DeliveryState::Cancelled { at, .. } => when(at, now),
    }
}

pub(super) async fn show(visit: Visit) -> Shown {
    let PathId(wanted) = PathId::<DeliveryId>::extract(&visit.request, &mut Payload::None).await?;
    let delivery = app::deliveries::find(&visit.app, &visit.caller, wanted).await?;
    let attempts = app::deliveries::attempts(&visit.app, &visit.caller, wanted).await?;
    let endpoint = app::endpoints::find(&visit.app, &visit.caller, delivery.endpoint)
        .await
        .ok();
    let event = app::events::find(&visit.app, &visit.caller, delivery.event)
        .await
        .ok();
    let standing = match &endpoint {
        Some(endpoint) => Some((
            endpoint.state,
            app::endpoints::breaker(&visit.app, endpoint).await?,
        )),
        None => None,
    };
    let now = visit.app.clock().now();
    let done = notice(
        &visit.query,
        &[("replayed", "Sent again as this new delivery.")],
    );
    let content = html! {
        p.crumbs { a href="/portal/deliveries" { "Deliveries" } }
        h1 { "Delivery " (state_badge(&delivery.state, endpoint.as_ref())) }
        (done)
        (facts(&delivery, endpoint.as_ref(), now))
        @if visit.caller.may(Permission::EndpointsWrite) && endpoint.as_ref().is_some_and(Endpoint::is_enabled) {
            form.line method="post" action={ "/portal/deliveries/" (delivery.id) "/replay" } {
                (proof(&visit))
                button type="submit" { "Replay" }
                span.soft { "Sends the event to the endpoint again, as a new delivery." }
            }
        }
        section #live data-live=[matches!(delivery.state, DeliveryState::Pending { .. }).then_some("2000")] {
            h2 { "Attempts" }
            @if attempts.is_empty() { p.soft { "Not tried yet." } }
            ol.timeline {
                @for attempt in &attempts { li { (attempt_view(delivery.id, attempt, attempts.len(), now)) } }
                @if let DeliveryState::Pending { due_at, leased: false } = delivery.state {
                    li.next { (next_step(due_at, standing, now)) }
                }
            }
        }
        @if let Some(event) = &event {
            section {
                div.head { h2 { "Request body" } a href={ "/portal/events/" (event.id) } { (event.event_type) } }
                (json(&String::from_utf8_lossy(&event.body), ROOM / 2, &format!("/portal/events/{}/body", event.id)))
            }
        }
    };
    page(&visit, Part::Deliveries, "Delivery", &content)
}

/// What comes next for a delivery that waits, by how its endpoint stands.
fn next_step(
    due_at: DateTime<Utc>,
    standing: Option<(EndpointState, BreakerState)>,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        @match standing {
            Some((EndpointState::Disabled(_), _)) => p { "It is held: the endpoint is disabled, and it is sent when that is enabled." },
            Some((_, BreakerState::Open { since, probe_at })) if due_at <= probe_at => p {
                "It waits for the endpoint to recover. " (probe(since, probe_at, now))
            },
            _ if due_at > now => p { "Next attempt " (when(due_at, now)) },
            Some((_, BreakerState::HalfOpen { .. })) => p {
                "It waits for its turn: the endpoint has answered again, and is sent more and more."
            },
            _ => p { "It was due " (when(due_at, now)) " and waits for its turn: the endpoint is busy." },
        }
    }
}

fn facts(delivery: &Delivery, endpoint: Option<&Endpoint>, now: DateTime<Utc>) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd { (id(delivery.id)) }
            dt { "Event" } dd { (short_link("/portal/events/", delivery.event)) }
            dt { "Endpoint" }
            dd { @match endpoint {
                Some(endpoint) => a.url href={ "/portal/endpoints/" (endpoint.id) } { (endpoint.url) },
                None => { code { (delivery.endpoint) } span.soft { " deleted" } },
            } }
            dt { "Made" } dd { (when(delivery.created_at, now)) }
            @if let Some(first) = delivery.replay_of { dt { "Replay of" } dd { (short_link("/portal/deliveries/", first)) } }
            @if let DeliveryState::Cancelled { reason, .. } = delivery.state { dt { "Cancelled" } dd { (cancel_words(reason)) } }
            dt { "Why?" } dd { a href={ "/portal/events/" (delivery.event) "/why?endpoint=" (delivery.endpoint) } { "Explain this delivery" } }
        }
    }
}

/// The last attempt's answer is open where it is what somebody came for: a failure.
fn attempt_view(
    delivery: DeliveryId,
    recorded: &RecordedAttempt,
    count: usize,
    now: DateTime<Utc>,
) -> Markup {
    let attempt = &recorded.attempt;
    let whole = format!("/portal/deliveries/{delivery}/answers/{}", recorded.number);
    // Half of the page is the event's, and of what is left an answer's headers get as much as its body.
    let room = ROOM / 4 / count.max(1);
    let is_last = usize::try_from(recorded.number).is_ok_and(|number| number == count);
    let is_open = is_last && !attempt.outcome.is_accepted();
    html! {
        p.what {
            strong { "Attempt " (recorded.number) } " " (outcome_badge(&attempt.outcome))
            span.soft { (when(recorded.started_at, now)) ", took " (millis_text(u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX))) }
        }
        @if let Outcome::Forbidden { reason } = &attempt.outcome { p.fault { (reason) } }
        details {
            summary { "Request headers" }
            (headers(&recorded.request_headers, room))
        }
        @match &attempt.answer {
            Some(answer) if answer.headers.is_empty() && answer.body.is_empty() => {
                p.soft { "The answer was nothing but its status." }
            },
            Some(answer) => details open[is_open] { summary { "Answer" } (answer_view(answer, room, &whole)) },
            None => p.soft { "No answer came." },
        }
    }
}

fn answer_view(answer: &Answer, room: usize, whole: &str) -> Markup {
    html! {
        (headers(&answer.headers, room))
        @if answer.body.is_empty() { p.soft { "The body is empty." } }
        @else { (json(&String::from_utf8_lossy(&answer.body), room, whole)) }
    }
}

/// As many headers as there is room for, and how many are left out.
fn headers(headers: &[(String, String)], room: usize) -> Markup {
    let mut left = room;
    let fits = headers.iter().take_while(|(name, value)| {
        let fits = name.len() + value.len() <= left;
        left = left.saturating_sub(name.len() + value.len());
        fits
    });
    let count = fits.count();
    html! {
        @if headers.is_empty() { p.soft { "None was kept." } }
        @else { dl.headers { @for (name, value) in headers.iter().take(count) { dt { (name) } dd { (value) } } } }
        @if count < headers.len() { p.soft { (headers.len() - count) " more are left out here; the API answers with them." } }
    }
}

/// Sends a delivery's event again.
pub(super) async fn replay(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let PathId(old) = PathId::<DeliveryId>::extract(&visit.request, &mut Payload::None).await?;
    let new = app::deliveries::replay(&visit.app, &visit.caller, old, None).await?;
    Ok(redirect(&format!(
        "/portal/deliveries/{}?done=replayed",
        new.id
    )))
}
