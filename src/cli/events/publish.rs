//! `tidings events publish`: one event, from the command line or standard input.
//!
//! Invariant: `data` goes out as it was written, member order and number text included.

use std::io::{Read as _, stdin};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::client::{Client, ServerFlags};
use crate::cli::output;
use crate::domain::event::EventType;
use crate::domain::id::OrganizationId;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings events publish invoice.paid '{\"amount\": 12.50}'
  echo '{\"amount\": 12.50}' | tidings events publish invoice.paid -
  tidings events publish invoice.paid --organization org_01ARZ3NDEKTSV4RRFFQ69G5FAV --idempotency-key invoice-17";

#[derive(Args)]
pub(in crate::cli) struct Publish {
    /// What happened, such as invoice.paid
    #[arg(value_name = "TYPE", value_parser = event_type)]
    event_type: EventType,
    /// A JSON object, or - to read it from standard input
    #[arg(default_value = "{}")]
    data: String,
    /// The organization that it happened to
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Publishing again with the same key records nothing new
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the event as the server answered it, instead of its id
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<OrganizationId>,
}

#[derive(Deserialize)]
struct Published {
    id: String,
}

pub(super) async fn run(command: Publish) -> anyhow::Result<()> {
    let data = match command.data.as_str() {
        "-" => object(from_stdin()?)?,
        text => object(text.to_owned())?,
    };
    let client = Client::new(command.server)?;
    let body = Body {
        event: command.event_type.as_str(),
        data: &data,
        organization_id: command.organization,
    };
    let mut request = client.post("/events")?.json(&body);
    if let Some(key) = command.idempotency_key {
        request = request.header("Idempotency-Key", key);
    }
    let answer: Box<RawValue> = client.send(request).await?;
    if command.json {
        return Ok(output::line(answer.get())?);
    }
    let published: Published =
        serde_json::from_str(answer.get()).context("the answer is no event")?;
    Ok(output::line(&output::printable(&published.id))?)
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    stdin()
        .read_to_string(&mut text)
        .context("cannot read standard input")?;
    Ok(text)
}

/// Any JSON object; the server judges the rest.
fn object(text: String) -> anyhow::Result<Box<RawValue>> {
    let json = RawValue::from_string(text)
        .context("DATA is not JSON; mind the shell's quotes: '{\"amount\": 12}'")?;
    anyhow::ensure!(
        json.get().starts_with('{'),
        "DATA must be a JSON object, such as '{{\"amount\": 12}}'"
    );
    Ok(json)
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::parse("TYPE", text).map_err(|invalid| invalid.message.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_out_as_it_was_written() {
        let data = object(" {\"b\": 1.50, \"a\": 12345678901234567890123}\n".to_owned()).unwrap();
        let body = Body {
            event: "invoice.paid",
            data: &data,
            organization_id: None,
        };

        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"event":"invoice.paid","data":{"b": 1.50, "a": 12345678901234567890123}}"#
        );
    }

    #[test]
    fn data_that_is_no_object_is_refused_before_it_is_sent() {
        for bad in ["", "[]", "{amount: 12}", "\"{}\"", "{} {}"] {
            assert!(object(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
