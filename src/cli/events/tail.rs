//! `tidings events tail`: the feed of a running server, page by page, then as it grows.
//!
//! Invariant: every event is printed once, in the feed's order; the cursor is the last printed event, so a server
//! that was away loses nothing. A refusal ends the command, absence is waited for.

use std::time::Duration;

use clap::{ArgAction, Args};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::client::{Client, ClientError, ServerFlags};
use crate::cli::output;
use crate::domain::event::EventPattern;
use crate::domain::id::EventId;
use crate::domain::limits::PAGE_SIZE_MAX;
use crate::domain::time::{self, Clock};

pub(super) const EXAMPLES: &str = "\
Starts with the oldest event that is kept, unless --after or --since say otherwise.

Examples:
  tidings events tail
  tidings events tail --since 10m --events 'invoice.*,user.created'
  tidings events tail --no-follow --json | jq .data
  tidings events tail --after event_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// Between two looks when nothing new was there.
const POLL: Duration = Duration::from_secs(1);
/// The first and the longest wait for a server that is away.
const AWAY_FIRST: Duration = Duration::from_secs(1);
const AWAY_LONGEST: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(in crate::cli) struct Tail {
    /// Only these types; patterns end in .*
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = pattern)]
    events: Vec<EventPattern>,
    /// Start behind this event
    #[arg(long, value_name = "ID")]
    after: Option<EventId>,
    /// Start this long ago, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "after")]
    since: Option<Duration>,
    /// Go on when all is printed (the default)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// Stop when all is printed
    #[arg(long, action = ArgAction::SetTrue)]
    no_follow: bool,
    /// Print each event as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    list_metadata: ListMetadata,
}

#[derive(Deserialize)]
struct ListMetadata {
    after: Option<String>,
}

/// What is printed of an event.
#[derive(Deserialize)]
struct Shown<'a> {
    id: EventIdText,
    #[serde(borrow)]
    data: &'a RawValue,
    event: String,
    created_at: String,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct EventIdText(EventId);

impl TryFrom<String> for EventIdText {
    type Error = crate::domain::id::IdFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// The place in the feed.
struct Position {
    patterns: String,
    range_start: Option<String>,
    after: Option<EventId>,
}

pub(super) async fn run(command: Tail) -> anyhow::Result<()> {
    let follow = !command.no_follow;
    let range_start = command
        .since
        .map(|since| time::to_text(Clock::System.now() - since));
    let patterns: Vec<_> = command.events.iter().map(ToString::to_string).collect();
    let mut position = Position {
        patterns: patterns.join(","),
        range_start,
        after: command.after,
    };
    let client = Client::new(command.server)?;
    let mut away = AWAY_FIRST;
    loop {
        let wait = match client
            .send::<Page>(client.get("/events", &position.query())?)
            .await
        {
            Ok(page) => {
                away = AWAY_FIRST;
                let more = page.list_metadata.after.is_some();
                for line in position.pass(&page.data, command.json)? {
                    output::line(&line)?;
                }
                match (more, follow) {
                    (true, _) => continue,
                    (false, true) => POLL,
                    (false, false) => return Ok(()),
                }
            }
            Err(error @ ClientError::Away { .. }) if follow => {
                eprintln!(
                    "tidings: {error}; trying again in {}",
                    humantime::format_duration(away)
                );
                let wait = away;
                away = (away * 2).min(AWAY_LONGEST);
                wait
            }
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(wait).await;
    }
}

impl Position {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![("limit", PAGE_SIZE_MAX.to_string())];
        // Present but empty would mean: no type at all.
        if !self.patterns.is_empty() {
            query.push(("events", self.patterns.clone()));
        }
        query.extend(self.range_start.clone().map(|start| ("range_start", start)));
        query.extend(self.after.map(|after| ("after", after.to_string())));
        query
    }

    /// Moves behind the events; gives the line to print for each.
    fn pass(&mut self, events: &[Box<RawValue>], json: bool) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            let shown: Shown<'_> = serde_json::from_str(event.get())?;
            lines.push(if json {
                event.get().to_owned()
            } else {
                shown.line()
            });
            self.after = Some(shown.id.0);
        }
        Ok(lines)
    }
}

impl Shown<'_> {
    fn line(&self) -> String {
        let Self {
            id,
            data,
            event,
            created_at,
        } = self;
        output::printable(&format!("{created_at}  {event}  {}  {data}", id.0))
    }
}

fn pattern(text: &str) -> Result<EventPattern, String> {
    EventPattern::parse("LIST", text.trim()).map_err(|invalid| invalid.message.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_behind_what_is_printed() {
        let mut position = Position {
            patterns: "invoice.*".to_owned(),
            range_start: None,
            after: None,
        };
        let id = EventId::at(7, 7);
        let event = format!(
            r#"{{"object":"event","id":"{id}","event":"a","data":{{"b":1.0}},"created_at":"t","new":1}}"#
        );

        let raw = RawValue::from_string(event.clone()).unwrap();
        let lines = position.pass(&[raw], true).unwrap();

        assert_eq!(lines, [event]);
        let expected = [
            ("limit", "100".to_owned()),
            ("events", "invoice.*".to_owned()),
            ("after", id.to_string()),
        ];
        assert_eq!(position.query(), expected);
    }

    #[test]
    fn an_event_is_one_line() {
        let id = EventId::at(7, 7);
        let event = format!(
            r#"{{"id":"{id}","event":"invoice.paid","data":{{"b":1.50}},"created_at":"2026-01-01T00:00:00.000Z"}}"#
        );
        let shown: Shown<'_> = serde_json::from_str(&event).unwrap();

        assert_eq!(
            shown.line(),
            format!("2026-01-01T00:00:00.000Z  invoice.paid  {id}  {{\"b\":1.50}}")
        );
    }

    #[test]
    fn all_types_are_asked_for_by_naming_none() {
        let position = Position {
            patterns: String::new(),
            range_start: None,
            after: None,
        };

        assert_eq!(position.query(), [("limit", "100".to_owned())]);
    }
}
