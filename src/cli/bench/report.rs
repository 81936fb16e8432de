//! The report: what a run has found, as one JSON document or a table.
//!
//! Invariant: both show the same values, rounded here once; what is not known is null, and "not known" in the
//! table. Units are in the names: milliseconds, bytes, events a second.

mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::options::Bench;
use super::producer::{Latencies, latencies};
use super::run::Measured;

/// What a run has found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    /// `private`, or the server's URL.
    pub(super) platform: String,
    pub(super) load: LoadLine,
    /// Events that were answered by a 2xx.
    pub(super) accepted: u64,
    /// Events that were not.
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
    pub(super) accepted_per_s: f64,
    /// Pairs of accepted event and endpoint that were received.
    pub(super) delivered: u64,
    pub(super) delivered_per_s: f64,
    /// Pairs that were not.
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) strangers: u64,
    pub(super) signatures_checked: u64,
    pub(super) signatures_wrong: u64,
    /// From when a request was due to its answer.
    pub(super) post_ms: Spread,
    /// From the answer to the arrival; 0 for what arrived first.
    pub(super) accept_to_receive_ms: Option<Spread>,
    /// From when a request was due to the arrival.
    pub(super) due_to_receive_ms: Option<Spread>,
    pub(super) cpu: CpuLine,
    pub(super) server_peak_bytes: Option<u64>,
    pub(super) database_bytes_per_event: Option<f64>,
    pub(super) wal_bytes_per_event: Option<f64>,
    #[serde(skip)]
    why_lost: Option<String>,
}

/// What the load was.
#[derive(Debug, Serialize)]
pub(super) struct LoadLine {
    pub(super) events: u32,
    pub(super) warmup: u32,
    pub(super) payload_bytes: usize,
    pub(super) endpoints: usize,
    pub(super) producers: u16,
    pub(super) batch: u32,
    /// Null: closed loop.
    pub(super) rate: Option<u32>,
}

/// How a latency is spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// CPU time, user and system.
#[derive(Debug, Serialize)]
pub(super) struct CpuLine {
    /// Server and Postgres.
    pub(super) ms_per_event: Option<f64>,
    pub(super) ms_per_delivery: Option<f64>,
    pub(super) server_ms_per_event: Option<f64>,
    pub(super) postgres_ms_per_event: Option<f64>,
    /// The bench itself: producers and receiver.
    pub(super) bench_ms_per_event: Option<f64>,
    /// Everything else on this machine, in seconds; large means that the figures are disturbed.
    pub(super) others_s: Option<f64>,
}

impl Report {
    pub(super) fn new(command: &Bench, platform: String, measured: &Measured) -> Self {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (counts, times) = (&measured.ledger.counts, Times::of(measured));
        let per_event = |time: Option<Duration>| per(time, times.accepted);
        let bytes = |bytes: Option<i64>| {
            let grown = u64::try_from(bytes?).unwrap_or(0);
            (times.accepted > 0).then(|| round(number(grown) / number(times.accepted)))
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            platform,
            load: LoadLine {
                events: command.events,
                warmup: command.warmup,
                payload_bytes: command.payload,
                endpoints: command.endpoints(),
                producers: command.producers(),
                batch: command.batch,
                rate: command.rate,
            },
            accepted: times.accepted,
            failed: read(&counts.failed),
            first_failure: measured.ledger.first_failure(),
            accepted_per_s: rate(times.accepted, times.first_due, times.last_accepted),
            delivered: times.delivered,
            delivered_per_s: rate(times.delivered, times.first_due, times.last_received),
            lost: times.lost,
            duplicates: read(&counts.duplicates),
            strangers: read(&counts.strangers),
            signatures_checked: read(&counts.signatures_checked),
            signatures_wrong: read(&counts.signatures_wrong),
            post_ms: Spread::of(&measured.posts),
            accept_to_receive_ms: some(&times.from_accepted),
            due_to_receive_ms: some(&times.from_due),
            cpu: CpuLine {
                ms_per_event: per_event(measured.cpu.platform()),
                ms_per_delivery: per(measured.cpu.platform(), times.delivered),
                server_ms_per_event: per_event(measured.cpu.server),
                postgres_ms_per_event: per_event(measured.cpu.postgres),
                bench_ms_per_event: per_event(measured.cpu.bench),
                others_s: measured.cpu.others().map(|time| round(time.as_secs_f64())),
            },
            server_peak_bytes: measured.server_peak_bytes,
            database_bytes_per_event: bytes(measured.database_bytes),
            wal_bytes_per_event: bytes(measured.wal_bytes),
            why_lost: measured.why_lost.clone(),
        }
    }

    /// Errors: events that were not accepted, deliveries that did not arrive, signatures that do not hold.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let mut faults = Vec::new();
        if self.failed > 0 {
            let why = self.first_failure.as_deref().unwrap_or_default();
            faults.push(format!(
                "{} events were not accepted; the first: {why}",
                self.failed
            ));
        }
        if self.lost > 0 {
            let why = self.why_lost.as_deref().unwrap_or_default();
            faults.push(format!("{} deliveries did not arrive; {why}", self.lost));
        }
        if self.signatures_wrong > 0 {
            let Self {
                signatures_wrong: wrong,
                signatures_checked: checked,
                ..
            } = self;
            faults.push(format!("{wrong} of {checked} signatures do not hold"));
        }
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }
}

/// The times of all events, summed up.
struct Times {
    accepted: u64,
    delivered: u64,
    lost: u64,
    first_due: u64,
    last_accepted: u64,
    last_received: u64,
    from_accepted: Latencies,
    from_due: Latencies,
}

impl Times {
    fn of(measured: &Measured) -> Self {
        let mut times = Self {
            accepted: 0,
            delivered: 0,
            lost: 0,
            first_due: u64::MAX,
            last_accepted: 0,
            last_received: 0,
            from_accepted: latencies(),
            from_due: latencies(),
        };
        for (event, received) in measured.ledger.accepted(measured.numbers.clone()) {
            times.accepted += 1;
            times.first_due = times.first_due.min(event.due);
            times.last_accepted = times.last_accepted.max(event.accepted);
            for at in received {
                let Some(at) = at else {
                    times.lost += 1;
                    continue;
                };
                times.delivered += 1;
                times.last_received = times.last_received.max(at);
                let since = |then: u64| at.saturating_sub(then);
                times.from_accepted.saturating_record(since(event.accepted));
                times.from_due.saturating_record(since(event.due));
            }
        }
        times
    }
}

impl Spread {
    fn of(taken: &Latencies) -> Self {
        let ms = |micros: u64| round(Duration::from_micros(micros).as_secs_f64() * 1_000.0);
        Self {
            p50: ms(taken.value_at_quantile(0.5)),
            p90: ms(taken.value_at_quantile(0.9)),
            p99: ms(taken.value_at_quantile(0.99)),
            max: ms(taken.max()),
        }
    }
}

fn some(taken: &Latencies) -> Option<Spread> {
    (!taken.is_empty()).then(|| Spread::of(taken))
}

/// Milliseconds for each; `None` when the time is not known, or there is none to share it.
fn per(time: Option<Duration>, count: u64) -> Option<f64> {
    let time = time.filter(|_| count > 0)?;
    Some(round(time.as_secs_f64() * 1_000.0 / number(count)))
}

/// How many a second, between two times in microseconds.
fn rate(count: u64, from: u64, to: u64) -> f64 {
    match to.checked_sub(from) {
        Some(took) if took > 0 => round(number(count) / Duration::from_micros(took).as_secs_f64()),
        Some(_) | None => 0.0,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one run are far below 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}

/// To a thousandth.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
