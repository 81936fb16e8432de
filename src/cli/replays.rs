//! `tidings replays`: have events sent again in bulk, and watch it.
//!
//! Invariant: a replay is the server's; a command that ends, or is interrupted, neither stops nor repeats it.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Client, ServerFlags};
use super::output;
use crate::domain::id::{EndpointId, ReplayId};
use crate::domain::limits::REPLAY_RATE_MAX;
use crate::domain::replay::ReplayScope;
use crate::domain::time::{self, Clock};

const CREATE_EXAMPLES: &str = "\
Scopes: failed (sent and never received), missing (wanted and not received, also by a new endpoint),
all (wanted, received or not). Times are when events were published: 2h is two hours ago.

Examples:
  tidings replays preview we_01ARZ3NDEKTSV4RRFFQ69G5FAV --since 2h
  tidings replays create we_01ARZ3NDEKTSV4RRFFQ69G5FAV --since 2h --rate 20
  tidings replays create we_01ARZ3NDEKTSV4RRFFQ69G5FAV --scope missing --since 2026-01-31T09:00:00Z --until 1h";

#[derive(Subcommand)]
pub(super) enum Replays {
    /// Count what a replay would send now, and make nothing
    #[command(after_help = CREATE_EXAMPLES)]
    Preview(Request),
    /// Send events of a time range to an endpoint again, in the background
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List replays, newest first
    List(List),
    /// Show one replay, and how far it is
    Show(One),
    /// Stop a replay; what it has made stays
    Cancel(One),
}

#[derive(Args)]
pub(super) struct Request {
    /// The endpoint that gets the events
    #[arg(value_name = "ENDPOINT")]
    endpoint: EndpointId,
    /// Which events: failed, missing or all
    #[arg(long, value_parser = scope, default_value = "failed")]
    scope: ReplayScope,
    /// Events published since then: a time, or how long ago, such as 2h
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: When,
    /// Events published until then [default: now]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// Deliveries a second, at most
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPLAY_RATE_MAX)))]
    rate: Option<u32>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub(super) struct Create {
    #[command(flatten)]
    request: Request,
    /// Asking again with the same key makes no second replay
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Args)]
pub(super) struct List {
    /// Only replays to this endpoint
    #[arg(long, value_name = "ID")]
    endpoint: Option<EndpointId>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub(super) struct One {
    /// The replay
    #[arg(value_name = "REPLAY")]
    id: ReplayId,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(DateTime<Utc>),
    Ago(Duration),
}

#[derive(Serialize)]
struct Body {
    webhook_endpoint_id: EndpointId,
    scope: &'static str,
    range_start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
}

/// What is printed of a replay.
#[derive(Deserialize)]
struct Shown {
    id: String,
    webhook_endpoint_id: String,
    scope: String,
    state: String,
    failure: Option<String>,
    rate: u32,
    made: u64,
    #[serde(flatten)]
    total: Total,
    created_at: String,
}

#[derive(Deserialize)]
struct Total {
    total: u64,
    total_is_at_least: bool,
}

impl Total {
    fn text(&self) -> String {
        let Self {
            total,
            total_is_at_least,
        } = self;
        match total_is_at_least {
            true => format!("at least {total}"),
            false => total.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Shown>,
}

pub(super) async fn run(command: Replays) -> anyhow::Result<()> {
    match command {
        Replays::Preview(request) => preview(request).await,
        Replays::Create(command) => create(command).await,
        Replays::List(command) => list(command).await,
        Replays::Show(one) => {
            let client = Client::new(one.server)?;
            let request = client.get(&format!("/replays/{}", one.id), &[])?;
            print(&client.send::<Box<RawValue>>(request).await?, one.json)
        }
        Replays::Cancel(one) => {
            let client = Client::new(one.server)?;
            let request = client.post(&format!("/replays/{}/cancel", one.id))?;
            let request = request.json(&serde_json::json!({}));
            print(&client.send::<Box<RawValue>>(request).await?, one.json)
        }
    }
}

impl Request {
    fn body(&self) -> Body {
        let now = Clock::System.now();
        Body {
            webhook_endpoint_id: self.endpoint,
            scope: self.scope.as_str(),
            range_start: self.since.text(now),
            range_end: self.until.map(|until| until.text(now)),
            rate: self.rate,
        }
    }
}

impl When {
    fn text(self, now: DateTime<Utc>) -> String {
        time::to_text(match self {
            Self::At(time) => time,
            Self::Ago(ago) => TimeDelta::from_std(ago)
                .ok()
                .and_then(|ago| now.checked_sub_signed(ago))
                .unwrap_or(DateTime::UNIX_EPOCH),
        })
    }
}

async fn preview(command: Request) -> anyhow::Result<()> {
    let body = command.body();
    let client = Client::new(command.server)?;
    let request = client.post("/replays/preview")?.json(&body);
    let answer: Box<RawValue> = client.send(request).await?;
    if command.json {
        return Ok(output::line(answer.get())?);
    }
    let total: Total = serde_json::from_str(answer.get()).context("the answer is no preview")?;
    Ok(output::line(&total.text())?)
}

async fn create(command: Create) -> anyhow::Result<()> {
    let body = command.request.body();
    let client = Client::new(command.request.server)?;
    let mut request = client.post("/replays")?.json(&body);
    if let Some(key) = command.idempotency_key {
        request = request.header("Idempotency-Key", key);
    }
    let answer: Box<RawValue> = client.send(request).await?;
    if command.request.json {
        return Ok(output::line(answer.get())?);
    }
    let made: Shown = serde_json::from_str(answer.get()).context("the answer is no replay")?;
    Ok(output::line(&output::printable(&made.id))?)
}

async fn list(command: List) -> anyhow::Result<()> {
    let client = Client::new(command.server)?;
    let mut query = vec![("limit", "100".to_owned())];
    query.extend(
        command
            .endpoint
            .map(|id| ("webhook_endpoint_id", id.to_string())),
    );
    let answer: Box<RawValue> = client.send(client.get("/replays", &query)?).await?;
    if command.json {
        return Ok(output::line(answer.get())?);
    }
    let page: Page = serde_json::from_str(answer.get()).context("the answer is no list")?;
    table(&page.data)
}

fn print(answer: &RawValue, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(answer.get())?);
    }
    let shown: Shown = serde_json::from_str(answer.get()).context("the answer is no replay")?;
    table(&[shown])
}

fn table(replays: &[Shown]) -> anyhow::Result<()> {
    let head = [
        "id", "state", "made", "of", "scope", "rate", "endpoint", "created",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(replays.iter().map(|replay| {
        let state = match &replay.failure {
            Some(failure) => format!("{}: {failure}", replay.state),
            None => replay.state.clone(),
        };
        [
            replay.id.clone(),
            state,
            replay.made.to_string(),
            replay.total.text(),
            replay.scope.clone(),
            format!("{}/s", replay.rate),
            replay.webhook_endpoint_id.clone(),
            replay.created_at.clone(),
        ]
    }));
    Ok(output::table(&rows)?)
}

fn scope(text: &str) -> Result<ReplayScope, String> {
    ReplayScope::parse(text).ok_or_else(|| "there are failed, missing and all".to_owned())
}

fn when(text: &str) -> Result<When, String> {
    if let Some(time) = time::from_text(text) {
        return Ok(When::At(time));
    }
    let ago = humantime::parse_duration(text);
    ago.map(When::Ago).map_err(|_fault| {
        "a time such as 2026-01-31T09:00:00Z, or how long ago, such as 2h".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_or_how_long_ago() {
        let now = time::from_text("2026-01-31T12:00:00Z").unwrap();
        let told = |text| when(text).unwrap().text(now);

        assert_eq!(told("90m"), "2026-01-31T10:30:00.000Z");
        assert_eq!(told("2026-01-30T09:00:00Z"), "2026-01-30T09:00:00.000Z");
        assert!(when("yesterday").is_err());
    }

    #[test]
    fn a_count_that_is_not_whole_says_so() {
        let total = |total_is_at_least| Total {
            total: 7,
            total_is_at_least,
        };

        assert_eq!(
            [total(false), total(true)].map(|one| one.text()),
            ["7", "at least 7"]
        );
    }
}
