//! The producers: publish the events of a run, as fast as they are answered or at fixed times.
//!
//! Invariant: in an open loop a request is due at its time whatever became of those before it, and its latency
//! counts from then: a server that stalls is not measured as if nobody had come meanwhile. All producers share
//! one thread of their own, whose timer they do not depend on: the runtime's has a grain of a millisecond.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, micros};
use super::payload::Payload;
use super::wire::{Address, Connection};

/// How long a producer rests after a request that failed.
const REST: Duration = Duration::from_millis(5);

/// Which events are to be published, and how.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: Address,
    pub(super) payload: Payload,
    pub(super) numbers: Range<u32>,
    pub(super) batch: u32,
    pub(super) producers: u16,
    /// Events a second; `None`: as fast as they are answered.
    pub(super) rate: Option<u32>,
}

/// How long requests took, in microseconds.
pub(super) type Latencies = Histogram<u64>;

/// The longest latency that is told apart from longer ones: an hour.
const LATENCY_MICROS_MAX: u64 = 3_600_000_000;

/// An empty histogram, for latencies to three significant digits.
pub(super) fn latencies() -> Latencies {
    Histogram::new_with_max(LATENCY_MICROS_MAX, 3).expect("the bounds are allowed")
}

/// Publishes all events; answers how long the accepted requests took.
///
/// Errors: a server that does not take connections. Refused requests are in the ledger.
pub(super) async fn publish(
    load: Load,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> anyhow::Result<Latencies> {
    let (answer, answered) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("producers".to_owned())
        .spawn(move || {
            let produced = LocalSet::new().block_on(&runtime, produce(load, ledger, stop));
            // Nobody listens any more after an interruption.
            let _gone = answer.send(produced);
        })?;
    answered.await.context("the producers have failed")?
}

async fn produce(
    load: Load,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> anyhow::Result<Latencies> {
    let address = Rc::new(load.address.clone());
    let mut connections = Vec::new();
    for _ in 0..load.producers {
        let opened = Connection::open(address.clone()).await;
        connections.push(opened.map_err(anyhow::Error::msg)?);
    }
    let starts = Rc::new(Starts::new(&load, &ledger, &stop)?);
    let taken = Rc::new(RefCell::new(latencies()));
    let mut producers = JoinSet::new();
    for mut connection in connections {
        let (starts, payload, ledger) = (starts.clone(), load.payload.clone(), ledger.clone());
        let (taken, stop) = (taken.clone(), stop.clone());
        producers.spawn_local(async move {
            while let Some(Start { numbers, due }) = starts.next(&ledger).await {
                if stop.is_cancelled() {
                    return;
                }
                let body = payload.body(numbers.clone());
                match connection.post(payload.path(), body).await {
                    Ok(()) => {
                        let took = ledger.accept(numbers, due);
                        taken.borrow_mut().saturating_record(micros(took));
                    }
                    Err(why) => {
                        ledger.fail(&numbers, why);
                        tokio::time::sleep(REST).await;
                    }
                }
            }
        });
    }
    while let Some(ended) = producers.join_next().await {
        ended?;
    }
    Ok(taken.replace(latencies()))
}

/// One request: its events, and when it is due.
struct Start {
    numbers: Range<u32>,
    due: u64,
}

/// Where producers learn of their next request.
enum Starts {
    /// Whoever is free takes the next one at once.
    Closed {
        next: Cell<u32>,
        end: u32,
        batch: u32,
    },
    /// Whoever is free takes what is due; it queues up when nobody is.
    Open(Mutex<mpsc::UnboundedReceiver<Start>>),
}

impl Starts {
    fn new(load: &Load, ledger: &Arc<Ledger>, stop: &CancellationToken) -> anyhow::Result<Self> {
        let Range { start, end } = load.numbers;
        let batch = load.batch;
        let Some(rate) = load.rate else {
            let next = Cell::new(start);
            return Ok(Self::Closed { next, end, batch });
        };
        let (sender, taken) = mpsc::unbounded_channel();
        let pacer = Pacer {
            ledger: ledger.clone(),
            stop: stop.clone(),
            sender,
        };
        let numbers = start..end;
        std::thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || pacer.run(numbers, batch, rate))?;
        Ok(Self::Open(Mutex::new(taken)))
    }

    async fn next(&self, ledger: &Ledger) -> Option<Start> {
        match self {
            Self::Closed { next, end, batch } => {
                let numbers = slice(next.get(), *end, *batch)?;
                next.set(numbers.end);
                let due = ledger.now();
                Some(Start { numbers, due })
            }
            Self::Open(due) => due.lock().await.recv().await,
        }
    }
}

/// The next events up to `batch` of them; `None` when there are none left.
fn slice(start: u32, end: u32, batch: u32) -> Option<Range<u32>> {
    let numbers = start..end.min(start.saturating_add(batch));
    (!numbers.is_empty()).then_some(numbers)
}

/// Hands out requests when they are due, on a thread of its own.
struct Pacer {
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    sender: mpsc::UnboundedSender<Start>,
}

impl Pacer {
    fn run(self, numbers: Range<u32>, batch: u32, rate: u32) {
        let (begin, first) = (self.ledger.now(), numbers.start);
        let mut next = first;
        while let Some(numbers) = slice(next, numbers.end, batch) {
            next = numbers.end;
            let due = begin + offset(numbers.start - first, rate);
            if !self.wait_until(due) || self.sender.send(Start { numbers, due }).is_err() {
                return;
            }
        }
    }

    /// Answers whether to go on.
    fn wait_until(&self, due: u64) -> bool {
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            match due.checked_sub(self.ledger.now()) {
                // In pieces, so that a stop is noticed.
                Some(left) if left > 0 => {
                    std::thread::park_timeout(Duration::from_micros(left.min(100_000)));
                }
                Some(_) | None => return true,
            }
        }
    }
}

/// How many microseconds after the first event this one is due.
fn offset(events: u32, rate: u32) -> u64 {
    u64::from(events) * 1_000_000 / u64::from(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_kept_to_three_digits_from_a_microsecond_to_an_hour() {
        for micros in [1, 999, 1_234, 5_670_000, LATENCY_MICROS_MAX] {
            let mut taken = latencies();
            taken.saturating_record(micros);

            let (kept, exact) = (taken.value_at_quantile(0.5), micros);
            assert!(kept.abs_diff(exact) <= exact / 1_000, "{kept} for {exact}");
        }
    }

    #[test]
    fn requests_cover_all_events_once() {
        let (mut next, mut all) = (3, Vec::new());
        while let Some(numbers) = slice(next, 10, 3) {
            next = numbers.end;
            all.push(numbers);
        }

        assert_eq!(all, [3..6, 6..9, 9..10]);
    }

    #[test]
    fn the_rate_is_kept_over_any_number_of_events() {
        assert_eq!(offset(0, 300), 0);
        assert_eq!(offset(1, 300), 3_333);
        assert_eq!(offset(300, 300), 1_000_000);
        assert_eq!(offset(u32::MAX, 1), u64::from(u32::MAX) * 1_000_000);
    }

    #[tokio::test]
    async fn an_open_loop_does_not_wait_for_answers() {
        let ledger = Arc::new(Ledger::open(5, 0));
        let (sender, mut taken) = mpsc::unbounded_channel();
        let pacer = Pacer {
            ledger: ledger.clone(),
            stop: CancellationToken::new(),
            sender,
        };

        pacer.run(0..5, 2, 1_000);

        let mut due = Vec::new();
        while let Some(start) = taken.recv().await {
            due.push((start.numbers, start.due));
        }
        let first = due[0].1;
        let expected = [(0..2, 0), (2..4, 2_000), (4..5, 4_000)];
        assert_eq!(
            due,
            expected.map(|(numbers, after)| (numbers, first + after))
        );
        assert!(ledger.now() >= first + 4_000, "they were not sent early");
    }
}
