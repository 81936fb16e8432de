//! `tidings demo`: fills an environment with a story, so that the portal has something to show.
//!
//! Invariant: everything is made through the API, as anybody would; bounded in time and count. Told twice, the story
//! adds nothing: every request has an idempotency key, and an environment that has it all is left as it is. Takes
//! nothing away: for a clean table make another environment.

mod receiver;
mod report;
mod story;
mod teller;
mod trail;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use url::Url;

use super::client::{Client, ServerFlags};
use super::output;
use receiver::Receiver;
use teller::Teller;

pub(super) const EXAMPLES: &str = "\
Makes three organizations, event types with schemas, seven endpoints (one flaky, one dead,
one gone), some hundred events, the audit trail of a small company and an export. While it
runs it is the receiver that the endpoints point at, so the server must be allowed to
deliver to this machine: start it with --egress-allow 127.0.0.1. The key needs `admin`.

Everything stays; so tell it in an environment that may keep it.

Examples:
  tidings demo
  tidings demo --quick                         in seconds, with fewer events
  tidings demo --events 2000 --over 5m         something to watch live

A place of its own:
  tidings environments create demo
  tidings keys create --environment env_… --permissions admin";

/// What `--quick` comes to.
const QUICK_EVENTS: u32 = 60;
/// It ends earlier when everything is where it should be.
const QUICK_STAY: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3_600);

#[derive(Args)]
pub(super) struct Demo {
    /// Events to publish
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=5_000))]
    events: u32,
    /// Publish them over this time, such as 30s; at most 1h
    #[arg(long, value_name = "DURATION", value_parser = bounded, default_value = "30s")]
    over: Duration,
    /// Go on receiving for so long, if something is still to be delivered; at most 1h
    #[arg(long, value_name = "DURATION", value_parser = bounded, default_value = "30s")]
    stay: Duration,
    /// Fewer events, all at once
    #[arg(long, conflicts_with_all = ["events", "over", "stay"])]
    quick: bool,
    /// Receive deliveries on this address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9010")]
    receive_on: SocketAddr,
    /// Where the server reaches the receiver, when not at the address it listens on
    #[arg(long, value_name = "URL")]
    receive_url: Option<Url>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

/// How much is told, and how fast.
#[derive(Debug, Clone, Copy)]
struct Pace {
    events: u32,
    over: Duration,
    stay: Duration,
}

impl Demo {
    fn pace(&self) -> Pace {
        match self.quick {
            true => Pace {
                events: QUICK_EVENTS,
                over: Duration::ZERO,
                stay: QUICK_STAY,
            },
            false => Pace {
                events: self.events,
                over: self.over,
                stay: self.stay,
            },
        }
    }
}

pub(super) async fn run(mut command: Demo) -> anyhow::Result<()> {
    let client = Client::new(std::mem::take(&mut command.server))?;
    let receiver = Receiver::bind(command.receive_on)?;
    let at = match &command.receive_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{}/", receiver.address()))?,
    };
    let teller = Teller::new(&client, at);
    let report = tokio::select! {
        told = Box::pin(teller.tell(command.pace())) => told?,
        // A signal ends it.
        ended = receiver.run() => {
            ended.context("the receiver failed")?;
            anyhow::bail!("interrupted; the same command goes on from there");
        }
    };
    match command.json {
        true => output::json(&report),
        false => Ok(output::line(&report.text())?),
    }
}

fn bounded(text: &str) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|fault| fault.to_string())?;
    match wait <= LONGEST {
        true => Ok(wait),
        false => Err("at most 1h".to_owned()),
    }
}
