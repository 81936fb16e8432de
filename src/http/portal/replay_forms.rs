//! The form that asks for a replay: counted first, then made.
//!
//! Invariant: what was typed stays in the form, whether it is counted or refused. A preview makes nothing.

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::door::{Shown, Visit, redirect};
use super::events::moment;
use super::replays::{scope_words, total};
use super::view::{Part, page, page_with, proof};
use crate::app;
use crate::app::AppError;
use crate::domain::access::Permission;
use crate::domain::endpoint::Endpoint;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX};
use crate::domain::page::{Order, PageQuery, PageSize};
use crate::domain::replay::{ReplayCount, ReplayRequest, ReplayScope};
use crate::http::extract::Query;
use crate::http::problem::Problem;

/// What stands in the fields.
struct Fields {
    endpoint: String,
    scope: ReplayScope,
    from: String,
    until: String,
    rate: String,
}

/// What stands above the buttons.
enum Told {
    Nothing,
    Faults(Vec<String>),
    Count(ReplayCount),
}

impl Fields {
    fn of(sent: &Query, now: DateTime<Utc>) -> Self {
        let text = |name| sent.filled(name).unwrap_or_default().to_owned();
        let day_ago = now - TimeDelta::days(1);
        let rate = || REPLAY_RATE_DEFAULT.to_string();
        Self {
            endpoint: text("endpoint"),
            scope: sent
                .filled("scope")
                .and_then(ReplayScope::parse)
                .unwrap_or(ReplayScope::Failed),
            from: sent
                .filled("from")
                .map_or_else(|| field_text(day_ago), str::to_owned),
            until: text("until"),
            rate: sent.filled("rate").map_or_else(rate, str::to_owned),
        }
    }
}

/// A time as a browser's field takes it.
pub(super) fn field_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M").to_string()
}

fn read(form: &Query) -> Result<ReplayRequest, Vec<Invalid>> {
    let mut faults = Faults::default();
    let required =
        |field: &str, name: &str| Invalid::new(field, "required", format!("{name} is needed."));
    let endpoint = form.id("endpoint", &mut faults);
    if form.filled("endpoint").is_none() {
        faults.push(required("endpoint", "An endpoint"));
    }
    let scope = form.filled("scope").and_then(ReplayScope::parse);
    let scope = faults.take(scope.ok_or_else(|| required("scope", "What to send")));
    let start = moment(form, "from", &mut faults);
    if form.filled("from").is_none() {
        faults.push(required("from", "The time from which on"));
    }
    let end = moment(form, "until", &mut faults);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        let message = "The range ends before it begins.";
        faults.push(Invalid::new("until", "invalid_range", message));
    }
    let rate = form.filled("rate").and_then(|text| text.parse().ok());
    let rate = rate.filter(|rate| (1..=REPLAY_RATE_MAX).contains(rate));
    let rate = faults.take(rate.ok_or_else(|| {
        let message = format!("The rate is a whole number from 1 to {REPLAY_RATE_MAX}.");
        Invalid::new("rate", "out_of_range", message)
    }));
    let (Some(endpoint), Some(scope), Some(start), Some(rate)) = (endpoint, scope, start, rate)
    else {
        return Err(faults.check().err().unwrap_or_default());
    };
    faults.check()?;
    Ok(ReplayRequest {
        endpoint,
        scope,
        start,
        end,
        rate,
    })
}

pub(super) async fn show_new(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let fields = Fields::of(&visit.query, visit.app.clock().now());
    let content = form(&visit, &fields, &Told::Nothing).await?;
    page(&visit, Part::Deliveries, "Replay events", &content)
}

/// Counts, or asks for the replay, by the button that was pressed.
pub(super) async fn create(visit: Visit) -> Shown {
    visit.require(Permission::EndpointsWrite)?;
    let (app, caller) = (&visit.app, &visit.caller);
    let told = match (read(&visit.form), visit.form.one("act")) {
        (Err(faults), _) => Told::Faults(messages(faults)),
        (Ok(request), Some("create")) => {
            match app::replays::create(app, caller, &request, None).await {
                Ok(replay) => {
                    let path = format!("/portal/replays/{}?done=asked", replay.id);
                    return Ok(redirect(&path));
                }
                Err(error) => Told::Faults(refused(error)?),
            }
        }
        (Ok(request), _) => match app::replays::preview(app, caller, &request).await {
            Ok(preview) => Told::Count(preview.total),
            Err(error) => Told::Faults(refused(error)?),
        },
    };
    let fields = Fields::of(&visit.form, app.clock().now());
    let status = match &told {
        Told::Faults(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Told::Nothing | Told::Count(_) => StatusCode::OK,
    };
    let content = form(&visit, &fields, &told).await?;
    page_with(status, &visit, Part::Deliveries, "Replay events", &content)
}

fn messages(faults: Vec<Invalid>) -> Vec<String> {
    let messages = faults.into_iter().map(|fault| fault.message.into_owned());
    messages.collect()
}

/// What a refused form says; a failure of the platform itself is not the form's.
fn refused(error: AppError) -> Result<Vec<String>, AppError> {
    let words = if matches!(error, AppError::Invalid(_)) {
        "The range begins in the future.".to_owned()
    } else if matches!(error, AppError::EndpointDisabled { .. }) {
        "The endpoint is disabled. Enable it first.".to_owned()
    } else if matches!(error, AppError::LimitReached { .. }) {
        error.to_string()
    } else {
        return Err(error);
    };
    Ok(vec![words])
}

async fn form(visit: &Visit, fields: &Fields, told: &Told) -> Result<Markup, Problem> {
    let all = PageQuery {
        size: PageSize::LARGEST,
        order: Order::Descending,
        cursor: None,
    };
    let endpoints = app::endpoints::list(&visit.app, &visit.caller, &all).await?;
    let mut endpoints = endpoints.items;
    if let Ok(wanted) = fields.endpoint.parse()
        && !endpoints.iter().any(|endpoint| endpoint.id == wanted)
    {
        endpoints.push(app::endpoints::find(&visit.app, &visit.caller, wanted).await?);
    }
    Ok(html! {
        p.crumbs { a href="/portal/replays" { "Replays" } }
        h1 { "Replay events" }
        form.tall method="post" action="/portal/replays" {
            (proof(visit))
            @if let Told::Faults(faults) = told { ul.fault role="alert" { @for fault in faults { li { (fault) } } } }
            (inputs(fields, &endpoints))
            @if let Told::Count(count) = told { p.verdict role="status" { (counted(*count)) } }
            div.actions {
                button.quiet type="submit" name="act" value="preview" { "Count first" }
                button type="submit" name="act" value="create" { "Start the replay" }
            }
        }
    })
}

fn inputs(fields: &Fields, endpoints: &[Endpoint]) -> Markup {
    html! {
        label { "Endpoint"
            select name="endpoint" required {
                @for endpoint in endpoints {
                    option value=(endpoint.id) selected[endpoint.id.to_string() == fields.endpoint] {
                        (endpoint.url) @if !endpoint.is_enabled() { " (disabled)" }
                    }
                }
            }
        }
        label { "Send"
            select name="scope" aria-describedby="scope-help" {
                @for scope in ReplayScope::ALL {
                    option value=(scope.as_str()) selected[scope == fields.scope] { (scope_words(scope)) }
                }
            }
        }
        p #scope-help .help { "What is still being tried is not sent a second time. A new endpoint has missed what was published before it was made." }
        div.pair {
            label { "Published from (UTC)" input type="datetime-local" name="from" value=(fields.from) required; }
            label { "Until (UTC) " span.soft { "(empty: now)" } input type="datetime-local" name="until" value=(fields.until); }
        }
        label { "Deliveries a second, at most"
            input type="number" name="rate" min="1" max=(REPLAY_RATE_MAX) value=(fields.rate) required aria-describedby="rate-help";
        }
        p #rate-help .help { "What the receiver can bear beside its usual load." }
    }
}

fn counted(count: ReplayCount) -> Markup {
    html! {
        @if count.count == 0 && !count.at_least { "There is nothing to send." }
        @else if count.count == 0 { "Counting takes longer than a second." }
        @else { "This makes " strong { (total(count)) } @if count.count == 1 && !count.at_least { " delivery." } @else { " deliveries." } }
    }
}
