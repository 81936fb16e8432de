//! What is to be measured, and how hard: the command's options.
//!
//! Invariant: a [`Bench`] that clap has accepted can be run; what contradicts what is refused before anything
//! starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use url::Url;

use crate::cli::client::ServerFlags;
use crate::domain::limits::BATCH_EVENTS_MAX;

/// Bytes of `data`: the smallest holds an event's number, the largest is the largest that a server may take.
const PAYLOAD_BYTES: std::ops::RangeInclusive<u64> = 64..=1024 * 1024;

pub(in crate::cli) const EXAMPLES: &str = "\
Without --url a private platform is started, measured and removed: a server and a
Postgres of its own, with the settings in effect. With --url a running server is
measured; its events stay in its feed, of type bench.run_…, and every endpoint that
is subscribed to them or to * gets them too.

Closed loop (the default): each producer publishes its next event when the last one
was answered; tells how much the platform can do. Open loop (--rate): events are due
at fixed times, and latency counts from then, whatever the server was doing; tells
how long things take.

Examples:
  tidings bench                                        one endpoint, 16 producers
  tidings bench --no-deliveries --producers 64         recording alone
  tidings bench --no-deliveries --batch 100            POST /events/batch
  tidings bench --rate 500 --events 15000              latency at half a thousand a second
  tidings bench --endpoints 10 --json | jq .cpu
  TIDINGS_API_KEY=sk_… tidings bench --url http://127.0.0.1:8080 --pid $(pidof tidings)";

/// `tidings bench`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Bench {
    /// Events that are measured
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) events: u32,
    /// Events before those, that are not measured
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(super) warmup: u32,
    /// Connections that publish at the same time [default: 16; with --rate a quarter of the requests a second, 4 to 128]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    producers: Option<u16>,
    /// Endpoints that each get every event
    #[arg(long, value_name = "E", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    endpoints: u16,
    /// No endpoint: recording alone
    #[arg(long, conflicts_with_all = ["endpoints", "receive_on", "receive_url"])]
    no_deliveries: bool,
    /// Size of each event's data, such as 1KiB or 300
    #[arg(long, value_name = "BYTES", default_value = "1KiB", value_parser = payload)]
    pub(super) payload: usize,
    /// Events in each request; more than one goes to POST /events/batch
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = batch)]
    pub(super) batch: u32,
    /// Events a second, whether or not the server keeps up (open loop)
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: Option<u32>,
    /// Give up when nothing has been accepted or delivered for this long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "15s")]
    pub(super) give_up: Duration,
    /// Receive deliveries on this address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) receive_on: SocketAddr,
    /// Where the server reaches the receiver, when not at the address it listens on
    #[arg(long, value_name = "URL", requires = "url")]
    pub(super) receive_url: Option<Url>,
    /// Keep the private platform below this folder while it is measured [default: the system's for temporary files]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(super) scratch: Option<PathBuf>,
    /// The server's process on this machine, to tell its CPU time and memory
    #[arg(long, value_name = "PID", requires = "url", value_parser = clap::value_parser!(i32).range(2..))]
    pub(super) pid: Option<i32>,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

impl Bench {
    /// Endpoints that get every event; none without deliveries.
    pub(super) fn endpoints(&self) -> usize {
        if self.no_deliveries {
            0
        } else {
            self.endpoints.into()
        }
    }

    /// Connections. In an open loop one should be free whenever a request is due, if answers take up to a quarter of
    /// a second; and none so rarely used that the server closes it.
    pub(super) fn producers(&self) -> u16 {
        let usual = self.rate.map_or(16, |rate| {
            let quarter = (rate / self.batch / 4).clamp(4, 128);
            u16::try_from(quarter).unwrap_or(128)
        });
        self.producers.unwrap_or(usual)
    }

    /// All events, those before the measurement included.
    pub(super) fn total(&self) -> u32 {
        self.warmup.saturating_add(self.events)
    }
}

fn payload(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.parse()?;
    if !PAYLOAD_BYTES.contains(&size.as_u64()) {
        return Err("must be 64 bytes to 1 MiB".to_owned());
    }
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

fn batch(text: &str) -> Result<u32, String> {
    let most = u32::try_from(BATCH_EVENTS_MAX).unwrap_or(u32::MAX);
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        Ok(_) | Err(_) => Err(format!("must be 1 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn parse(line: &str) -> Result<Bench, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.bench)
    }

    #[test]
    fn an_open_loop_has_as_many_connections_as_its_rate_needs() {
        let producers = |line| parse(line).unwrap().producers();

        assert_eq!(producers("bench"), 16);
        assert_eq!(producers("bench --rate 1"), 4);
        assert_eq!(producers("bench --rate 400"), 100);
        assert_eq!(producers("bench --rate 400 --batch 10"), 10);
        assert_eq!(producers("bench --rate 100000"), 128);
        assert_eq!(producers("bench --rate 400 --producers 7"), 7);
    }

    #[test]
    fn sizes_are_written_with_or_without_a_unit() {
        let payload = |text: &str| parse(&format!("bench --payload {text}")).map(|it| it.payload);

        assert_eq!(payload("1KiB").unwrap(), 1024);
        assert_eq!(payload("300").unwrap(), 300);
        assert!(payload("63").is_err());
        assert!(payload("2MiB").is_err());
    }

    #[test]
    fn what_contradicts_is_refused() {
        for line in [
            "bench --no-deliveries --endpoints 2",
            "bench --batch 0",
            "bench --batch 501",
            "bench --pid 17",
            "bench --receive-url http://10.0.0.1/",
            "bench --url http://127.0.0.1:1 --scratch /tmp",
            "bench --rate 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
