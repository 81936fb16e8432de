//! Replays: the list, and one with how far it is and the button that stops it. Asking for one: `replay_forms`.

use actix_web::dev::Payload;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::endpoints::listing;
use super::parts::{Tone, badge, empty, id, notice, number, pager, short_link, when};
use super::view::{Part, page, proof};
use crate::app;
use crate::domain::access::Permission;
use crate::domain::id::{EndpointId, ReplayId};
use crate::domain::invalid::Faults;
use crate::domain::replay::{Replay, ReplayCount, ReplayFailure, ReplayScope, ReplayState};
use crate::http::extract::{Extract, PathId};

pub(super) async fn list(visit: Visit) -> Shown {
    let mut faults = Faults::default();
    let endpoint: Option<EndpointId> = visit.query.id("endpoint", &mut faults);
    let told = faults.check().err().unwrap_or_default();
    let listing = listing(&visit.query)?;
    let replays = app::replays::list(&visit.app, &visit.caller, endpoint, &listing).await?;
    let now = visit.app.clock().now();
    let may_write = visit.caller.may(Permission::EndpointsWrite);
    let content = html! {
        p.crumbs { a href="/portal/deliveries" { "Deliveries" } }
        div.head {
            h1 { "Replays" }
            @if may_write { a.button href="/portal/replays/new" { "Replay events" } }
        }
        @for fault in &told { p.fault role="alert" { (fault.message) } }
        div #live data-live=[listing.cursor.is_none().then_some("2000")] {
            @if replays.items.is_empty() { (none_yet()) }
            @else { (table(&replays.items, now)) }
            (pager(&replays, &visit.query, |replay| replay.id.to_string()))
        }
    };
    page(&visit, Part::Deliveries, "Replays", &content)
}

fn none_yet() -> Markup {
    empty(
        "No replays",
        &html! {
            p { "A replay sends events to one endpoint again: what failed while its receiver was down, or what a new endpoint has missed." }
        },
    )
}

fn table(replays: &[Replay], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "State" } th { "Replay" } th.wide { "Endpoint" } th.wide { "Events" } th.num { "Made" } th { "Asked for" } } }
            tbody { @for replay in replays { tr {
                td { (state_badge(replay.state)) }
                td { (short_link("/portal/replays/", replay.id)) }
                td.wide { (short_link("/portal/endpoints/", replay.endpoint)) }
                td.wide { (replay.scope.as_str()) }
                td.num { (number(replay.made)) " of " (total(replay.total)) }
                td { (when(replay.created_at, now)) }
            } } }
        } }
    }
}

fn state_badge(state: ReplayState) -> Markup {
    let tone = match state {
        ReplayState::Pending | ReplayState::Running => Tone::Waiting,
        ReplayState::Completed => Tone::Good,
        ReplayState::Cancelled => Tone::Plain,
        ReplayState::Failed(_) => Tone::Bad,
    };
    badge(tone, state.words().0)
}

/// How many there are, as far as that is known.
pub(super) fn total(total: ReplayCount) -> Markup {
    html! { @if total.at_least { "at least " } (number(total.count)) }
}

/// What a scope sends, for people.
pub(super) const fn scope_words(scope: ReplayScope) -> &'static str {
    match scope {
        ReplayScope::Failed => "what failed and never arrived",
        ReplayScope::Missing => "what it wants and has not got",
        ReplayScope::All => "everything that it wants, again",
    }
}

const fn state_words(state: ReplayState) -> &'static str {
    match state {
        ReplayState::Pending => "It begins in a moment.",
        ReplayState::Running => "It goes on by itself, also after a restart of the server.",
        ReplayState::Completed => {
            "Every delivery is made. What became of each is in the endpoint's deliveries."
        }
        ReplayState::Cancelled => "Somebody stopped it. What it had made is sent.",
        ReplayState::Failed(ReplayFailure::EndpointDeleted) => {
            "The endpoint was deleted before the end."
        }
        ReplayState::Failed(ReplayFailure::EndpointDisabled) => {
            "The endpoint was disabled before the end. Enable it and ask for what is still lacking."
        }
    }
}

async fn id_of(visit: &Visit) -> Result<ReplayId, crate::http::problem::Problem> {
    let PathId(id) = PathId::<ReplayId>::extract(&visit.request, &mut Payload::None).await?;
    Ok(id)
}

pub(super) async fn show(visit: Visit) -> Shown {
    let wanted = id_of(&visit).await?;
    let replay = app::replays::find(&visit.app, &visit.caller, wanted).await?;
    let endpoint = app::endpoints::find(&visit.app, &visit.caller, replay.endpoint)
        .await
        .ok();
    let now = visit.app.clock().now();
    let url = endpoint.as_ref().map(|endpoint| endpoint.url.as_str());
    let content = html! {
        p.crumbs { a href="/portal/replays" { "Replays" } }
        h1 { "Replay" }
        (notice(&visit.query, &[("asked", "The replay is asked for."), ("cancelled", "The replay is stopped.")]))
        section #live data-live=[replay.state.is_active().then_some("1000")] {
            (progress(&replay))
            @if replay.state.is_active() && visit.caller.may(Permission::EndpointsWrite) {
                form method="post" action={ "/portal/replays/" (replay.id) "/cancel" } {
                    (proof(&visit))
                    button.quiet type="submit" { "Stop" }
                }
            }
        }
        section { (facts(&replay, url, now)) }
    };
    page(&visit, Part::Deliveries, "Replay", &content)
}

fn progress(replay: &Replay) -> Markup {
    html! {
        p.verdict { (state_badge(replay.state)) " " (state_words(replay.state)) }
        progress max="1000" value=(replay.per_mille()) aria-label="How far it is" {}
        p { strong { (number(replay.made)) } " of " (total(replay.total)) " deliveries made, at most " (number(replay.rate.into())) " a second" }
    }
}

fn facts(replay: &Replay, url: Option<&str>, now: DateTime<Utc>) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd { (id(replay.id)) }
            dt { "Endpoint" }
            dd { @match url {
                Some(url) => a.url href={ "/portal/endpoints/" (replay.endpoint) } { (url) },
                None => { code { (replay.endpoint) } span.soft { " deleted" } },
            } }
            dt { "Sends" } dd { (scope_words(replay.scope)) }
            dt { "Events from" } dd { (when(replay.range.start, now)) }
            dt { "Until" } dd { (when(replay.range.end, now)) }
            @if let Some(through) = replay.done_through { dt { "Done through" } dd { (when(through, now)) } }
            dt { "Asked for" } dd { (when(replay.created_at, now)) }
            @if let Some(finished) = replay.finished_at { dt { "Ended" } dd { (when(finished, now)) } }
            dt { "Deliveries" } dd { a href={ "/portal/deliveries?endpoint=" (replay.endpoint) } { "All of the endpoint's" } }
        }
    }
}

/// Stops a replay.
pub(super) async fn cancel(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let wanted = id_of(&visit).await?;
    app::replays::cancel(&visit.app, &visit.caller, wanted, None).await?;
    Ok(redirect(&format!(
        "/portal/replays/{wanted}?done=cancelled"
    )))
}
