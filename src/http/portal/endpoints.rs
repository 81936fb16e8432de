//! Endpoints: the list with their health, and one endpoint with its secret, its figures and its buttons.
//!
//! Invariant: a secret is on the page only after somebody who may read secrets asked for it.

use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::charts::{failures_table, figures, ticks};
use super::deliveries::table as deliveries_table;
use super::door::{Shown, Visit, redirect};
use super::naming::Names;
use super::parts::{Tone, badge, empty, endpoint_badge, id, notice, pager, probe, when};
use super::replay_forms::field_text;
use super::view::{Part, page, proof};
use crate::app;
use crate::app::endpoints::Rotation;
use crate::domain::access::Permission;
use crate::domain::breaker::BreakerState;
use crate::domain::delivery::DeliveryFilter;
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointChange, EndpointState};
use crate::domain::id::EndpointId;
use crate::domain::invalid::Invalid;
use crate::domain::limits::ROTATION_OVERLAP_SECONDS_MAX;
use crate::domain::page::{Cursor, Order, PageQuery, PageSize};
use crate::http::extract::{Extract, PathId, Query};
use crate::http::problem::{Code, Problem};

const NOTICES: [(&str, &str); 7] = [
    (
        "created",
        "The endpoint is there. It gets what is recorded from now on.",
    ),
    ("saved", "Saved. It counts from the next event on."),
    (
        "rotated",
        "The secret was replaced. Give the new one to the receiver before the overlap ends.",
    ),
    (
        "completed",
        "The rotation is complete: only the new secret signs.",
    ),
    (
        "enabled",
        "The endpoint is enabled; what waited for it is sent now.",
    ),
    (
        "disabled",
        "The endpoint is disabled; what is owed to it waits.",
    ),
    (
        "tested",
        "A sample event is on its way. It is the first delivery below.",
    ),
];

/// The page that a list's query asks for.
pub(super) fn listing<Id: FromStr>(query: &Query) -> Result<PageQuery<Id>, Problem> {
    let cursor = match (query.cursor("after")?, query.cursor("before")?) {
        (Some(id), _) => Some(Cursor::After(id)),
        (None, Some(id)) => Some(Cursor::Before(id)),
        (None, None) => None,
    };
    Ok(PageQuery {
        size: PageSize::OF_A_TABLE,
        order: Order::Descending,
        cursor,
    })
}

/// The newest of a list.
pub(super) fn first_page<Id>() -> PageQuery<Id> {
    PageQuery {
        size: PageSize::OF_A_TABLE,
        order: Order::Descending,
        cursor: None,
    }
}

pub(super) async fn list(visit: Visit) -> Shown {
    let listing = listing(&visit.query)?;
    let endpoints = app::endpoints::list(&visit.app, &visit.caller, &listing).await?;
    let owners = endpoints.items.iter().map(|endpoint| endpoint.organization);
    let names = Names::of(&visit, owners).await?;
    let is_operator = visit.caller.bound_to.is_none();
    let now = visit.app.clock().now();
    let may_write = visit.caller.may(Permission::EndpointsWrite);
    let content = html! {
        div.head {
            h1 { "Endpoints" }
            @if may_write { a.button href="/portal/endpoints/new" { "Add an endpoint" } }
        }
        (notice(&visit.query, &[("deleted", "The endpoint was deleted; what was owed to it is cancelled.")]))
        @if endpoints.items.is_empty() { (none_yet()) }
        @else {
            div.scroll { table {
                thead { tr { th { "URL" } th { "State" } th.wide { "Wants" } th.wide { "Description" } @if is_operator { th.wide { "Organization" } } th.wide { "Created" } } }
                tbody { @for endpoint in &endpoints.items { tr {
                    td { a.url href={ "/portal/endpoints/" (endpoint.id) } { (endpoint.url) } }
                    td { (endpoint_badge(endpoint)) }
                    td.wide { (patterns(endpoint)) }
                    td.wide { (endpoint.description) }
                    @if is_operator { td.wide { @match endpoint.organization { Some(_) => (names.short(endpoint.organization)), None => span.soft { "all" } } } }
                    td.wide { (when(endpoint.created_at, now)) }
                } } }
            } }
        }
        (pager(&endpoints, &visit.query, |endpoint| endpoint.id.to_string()))
    };
    page(&visit, Part::Endpoints, "Endpoints", &content)
}

/// What a list without endpoints teaches.
pub(super) fn none_yet() -> Markup {
    empty(
        "No endpoints yet",
        &html! {
            p { "An endpoint is a URL that wants events. No receiver at hand? " code { "tidings receive" } " is one." }
            p { a.button href="/portal/endpoints/new" { "Add an endpoint" } }
        },
    )
}

fn patterns(endpoint: &Endpoint) -> Markup {
    html! {
        @if endpoint.patterns.is_empty() { span.soft { "everything" } }
        @for pattern in endpoint.patterns.iter().take(4) { code.tag { (pattern) } " " }
        @if endpoint.patterns.len() > 4 { span.soft { "and " (endpoint.patterns.len() - 4) " more" } }
    }
}

async fn id_of(visit: &Visit) -> Result<EndpointId, Problem> {
    let PathId(id) = PathId::<EndpointId>::extract(&visit.request, &mut Payload::None).await?;
    Ok(id)
}

pub(super) async fn show(visit: Visit) -> Shown {
    let wanted = id_of(&visit).await?;
    show_with(&visit, wanted, false).await
}

async fn show_with(visit: &Visit, wanted: EndpointId, reveal: bool) -> Shown {
    let endpoint = app::endpoints::find(&visit.app, &visit.caller, wanted).await?;
    let summary = app::overview::deliveries(&visit.app, &visit.caller, Some(wanted)).await?;
    let failures = app::overview::failures(&visit.app, &visit.caller, wanted).await?;
    let filter = DeliveryFilter {
        endpoint: Some(wanted),
        ..DeliveryFilter::default()
    };
    let recent = app::deliveries::list(&visit.app, &visit.caller, &filter, &first_page()).await?;
    let recent = recent.items;
    let breaker = app::endpoints::breaker(&visit.app, &endpoint).await?;
    let names = Names::of(visit, [endpoint.organization]).await?;
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/endpoints" { "Endpoints" } }
        h1.url { (endpoint.url) }
        p { (endpoint_badge(&endpoint)) " " (health(&endpoint, now)) }
        @if let (true, BreakerState::Open { since, probe_at }) = (endpoint.is_enabled(), breaker) {
            p { (badge(Tone::Waiting, "paused")) " " (probe(since, probe_at, now)) " What is owed to it waits." }
        }
        (notice(&visit.query, &NOTICES))
        (facts(&endpoint, &names, now))
        @if visit.caller.may(Permission::EndpointsWrite) { (buttons(visit, &endpoint)) }
        (secret(visit, &endpoint, now, reveal))
        section #live data-live="3000" {
            div.head {
                h2 { "Deliveries" }
                a href={ "/portal/deliveries?endpoint=" (endpoint.id) } { "All of this endpoint's" }
            }
            (figures(&summary, now))
            (ticks(&summary.settled))
            (failures_table(&failures, now))
            @if recent.is_empty() {
                (empty("Nothing sent yet", &html! { p { "Send a sample event, or publish one that it wants." } }))
            } @else { (deliveries_table(&recent, now)) }
        }
    };
    page(visit, Part::Endpoints, &endpoint.url, &content)
}

fn health(endpoint: &Endpoint, now: DateTime<Utc>) -> Markup {
    html! {
        @match (endpoint.state, endpoint.failing_since) {
            (EndpointState::Disabled(DisabledReason::Gone), _) => "The receiver answered 410 Gone. Enable it once the receiver is back.",
            (EndpointState::Disabled(DisabledReason::Failing), _) => "Every attempt failed for five days. Enable it once the receiver is well.",
            (EndpointState::Disabled(DisabledReason::ByHand), _) => "Somebody disabled it. What is owed to it waits.",
            (EndpointState::Enabled, Some(since)) => {
                "Every attempt has failed since " (when(since, now)) ". After five days of that it is disabled."
            },
            (EndpointState::Enabled, None) => span.soft { "It is well." },
        }
    }
}

fn facts(endpoint: &Endpoint, names: &Names, now: DateTime<Utc>) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd { (id(endpoint.id)) }
            dt { "Wants" } dd { (patterns(endpoint)) }
            dt { "Organization" }
            dd { @match endpoint.organization { Some(organization) => (names.whole(organization)), None => span.soft { "all" } } }
            @if !endpoint.description.is_empty() { dt { "Description" } dd { (endpoint.description) } }
            dt { "Created" } dd { (when(endpoint.created_at, now)) }
            dt { "Changed" } dd { (when(endpoint.updated_at, now)) }
        }
    }
}

/// One button that does one thing.
fn button(visit: &Visit, endpoint: &Endpoint, act: &str, words: &str) -> Markup {
    html! {
        form method="post" action={ "/portal/endpoints/" (endpoint.id) } {
            (proof(visit))
            input type="hidden" name="act" value=(act);
            button.quiet type="submit" { (words) }
        }
    }
}

fn buttons(visit: &Visit, endpoint: &Endpoint) -> Markup {
    html! {
        div.actions {
            @if endpoint.is_enabled() {
                (button(visit, endpoint, "test", "Send a sample event"))
                a.button.quiet href={ "/portal/replays/new?endpoint=" (endpoint.id) (failing_since(endpoint)) } { "Replay what failed" }
            }
            a.button.quiet href={ "/portal/endpoints/" (endpoint.id) "/edit" } { "Edit" }
            @if endpoint.is_enabled() { (button(visit, endpoint, "disable", "Disable")) }
            @else { (button(visit, endpoint, "enable", "Enable")) }
            details.danger {
                summary { "Delete" }
                p { "What is still owed to it is cancelled. This cannot be undone." }
                (button(visit, endpoint, "delete", "Delete this endpoint"))
            }
        }
    }
}

/// Where a replay begins: a while before the first failure, which is later than the event was published.
fn failing_since(endpoint: &Endpoint) -> String {
    let since = endpoint.failing_since;
    let since = since.map(|since| field_text(since - TimeDelta::hours(1)));
    since.map_or_else(String::new, |since| format!("&from={since}"))
}

fn secret(visit: &Visit, endpoint: &Endpoint, now: DateTime<Utc>, reveal: bool) -> Markup {
    let secrets = &endpoint.secrets;
    let overlap = secrets
        .previous
        .as_ref()
        .filter(|_| secrets.previous_at(now).is_some());
    let may_write = visit.caller.may(Permission::EndpointsWrite);
    html! {
        section #secret {
            h2 { "Signing secret" }
            @if reveal {
                p { (id(secrets.current.expose())) }
                @if let Some(previous) = overlap { p { "Previous: " (id(previous.secret.expose())) } }
            } @else {
                p { code.id { "whsec_••••••••••••••••" } " " span.soft { "since " (when(secrets.current_since, now)) } }
            }
            @if let Some(previous) = overlap {
                p.notice {
                    "Two secrets sign until " (when(previous.valid_until, now))
                    ": the new one and the one before it."
                }
            }
            div.actions {
                @if !reveal && visit.caller.may(Permission::SecretsRead) { (button(visit, endpoint, "reveal", "Reveal")) }
                @if may_write {
                    @if overlap.is_some() { (button(visit, endpoint, "complete", "End the overlap now")) }
                    form.line method="post" action={ "/portal/endpoints/" (endpoint.id) } {
                        (proof(visit))
                        input type="hidden" name="act" value="rotate";
                        label { "Both sign for"
                            select name="overlap" {
                                option value="86400" { "one day" }
                                option value="3600" { "one hour" }
                                option value="604800" { "seven days" }
                                option value="0" { "no overlap" }
                            }
                        }
                        button.quiet type="submit" { "Rotate" }
                    }
                }
            }
        }
    }
}

/// Does what a button of the page says.
pub(super) async fn act(visit: Visit) -> Shown {
    let wanted = id_of(&visit).await?;
    let (app, caller) = (&visit.app, &visit.caller);
    let act = visit.form.one("act").unwrap_or_default();
    if act == "reveal" {
        visit.require(Permission::SecretsRead)?;
        return show_with(&visit, wanted, true).await;
    }
    visit.require(Permission::EndpointsWrite)?;
    let state = |state| EndpointChange {
        state: Some(state),
        ..EndpointChange::default()
    };
    let done = match act {
        "test" => {
            app::endpoints::test(app, caller, wanted, None, None).await?;
            "tested"
        }
        "enable" => {
            app::endpoints::update(app, caller, wanted, state(EndpointState::Enabled)).await?;
            "enabled"
        }
        "disable" => {
            let by_hand = EndpointState::Disabled(DisabledReason::ByHand);
            app::endpoints::update(app, caller, wanted, state(by_hand)).await?;
            "disabled"
        }
        "rotate" => {
            let rotation = Rotation {
                secret: None,
                overlap: overlap(&visit.form)?,
            };
            app::endpoints::rotate_secret(app, caller, wanted, rotation, None).await?;
            "rotated"
        }
        "complete" => {
            app::endpoints::complete_rotation(app, caller, wanted, None).await?;
            "completed"
        }
        "delete" => {
            app::endpoints::delete(app, caller, wanted).await?;
            return Ok(redirect("/portal/endpoints?done=deleted"));
        }
        _ => {
            return Err(Problem::new(
                Code::InvalidRequestParameters,
                "There is no such button.",
            ));
        }
    };
    Ok(redirect(&format!("/portal/endpoints/{wanted}?done={done}")))
}

fn overlap(form: &Query) -> Result<Duration, Vec<Invalid>> {
    let seconds = form
        .one("overlap")
        .and_then(|text| text.parse::<u64>().ok());
    let seconds = seconds.filter(|seconds| *seconds <= ROTATION_OVERLAP_SECONDS_MAX);
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let message = "The overlap is at most seven days.";
        vec![Invalid::new("overlap", "out_of_range", message)]
    })
}
