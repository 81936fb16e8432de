//! Why an event went to an endpoint, or did not.

use actix_web::dev::Payload;
use maud::html;

use super::door::{Shown, Visit};
use super::parts::{Tone, badge, endpoint_badge, id, probe, short_link, state_badge, when};
use super::view::{Part, page};
use crate::app;
use crate::app::why::Why;
use crate::domain::id::EventId;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::why::{Match, Verdict};
use crate::http::extract::{Extract, PathId};

pub(super) async fn show(visit: Visit) -> Shown {
    let PathId(event_id) = PathId::<EventId>::extract(&visit.request, &mut Payload::None).await?;
    let mut faults = Faults::default();
    let endpoint = visit.query.id("endpoint", &mut faults);
    faults.check()?;
    let endpoint = endpoint.ok_or_else(|| {
        vec![Invalid::new(
            "endpoint",
            "required",
            "An endpoint is required.",
        )]
    })?;
    let Why {
        event,
        endpoint,
        deliveries,
        explanation,
        ..
    } = app::why::explain(&visit.app, &visit.caller, event_id, endpoint).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs {
            a href="/portal/events" { "Events" } " / "
            a href={ "/portal/events/" (event.id) } { (event.event_type) }
        }
        h1 { "Why?" }
        p.verdict {
            (badge(tone(&explanation.verdict), &explanation.verdict.as_str().replace('_', " ")))
            " " (explanation.sentence)
            @if let Verdict::Retrying { due_at } = explanation.verdict { " Next attempt " (when(due_at, now)) "." }
            @if let Verdict::Paused { since, probe_at } = explanation.verdict { " " (probe(since, probe_at, now)) }
        }
        ol.reasons {
            li { strong { "The event" } " is " code { (event.event_type) } ", recorded " (when(event.id.time(), now)) ". " (id(event.id)) }
            li {
                strong { "The endpoint" } " is " a.url href={ "/portal/endpoints/" (endpoint.id) } { (endpoint.url) }
                ", created " (when(endpoint.created_at, now))
                @if endpoint.updated_at != endpoint.created_at { ", last changed " (when(endpoint.updated_at, now)) }
                ". " (endpoint_badge(&endpoint))
            }
            li { strong { "Match, as the endpoint is now: " } (matched(&explanation.matched)) }
            li {
                strong { "Deliveries: " }
                @if deliveries.is_empty() { "none was made." }
                @for delivery in &deliveries {
                    span.inline {
                        (short_link("/portal/deliveries/", delivery.id)) " "
                        (state_badge(&delivery.state, Some(&endpoint))) " "
                        @if delivery.replay_of.is_some() { "replay " }
                        (when(delivery.created_at, now))
                    }
                }
            }
        }
        p.soft { "For programs: " code { "GET /events/" (event.id) "/why?endpoint=" (endpoint.id) } }
    };
    page(&visit, Part::Events, "Why?", &content)
}

const fn tone(verdict: &Verdict) -> Tone {
    match verdict {
        Verdict::Delivered { .. } => Tone::Good,
        Verdict::Sending
        | Verdict::Due
        | Verdict::Retrying { .. }
        | Verdict::Paused { .. }
        | Verdict::Held { .. } => Tone::Waiting,
        Verdict::Exhausted { .. } => Tone::Bad,
        Verdict::Cancelled { .. }
        | Verdict::EndpointIsNewer
        | Verdict::OtherOrganization
        | Verdict::NoPattern
        | Verdict::NotSubscribedThen => Tone::Plain,
    }
}

fn matched(matched: &Match) -> maud::Markup {
    html! {
        @match matched {
            Match::EveryType => "it wants every type.",
            Match::ByPattern(pattern) => { "by the pattern " code { (pattern) } "." },
            Match::NoPattern => "none of its patterns is this type's.",
            Match::OtherOrganization => "it is bound to another organization.",
        }
    }
}
