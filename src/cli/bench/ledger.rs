//! The ledger: when each event was due, accepted and received; shared by the producers and the receiver.
//!
//! Invariant: all times are of one clock, in microseconds since the ledger was opened, and of each kind the first
//! counts. Nothing is lost from it: an event that was accepted and never received stays visible as just that.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Stands for "not yet". No measured time is 0: the ledger opens before the first event.
const NOT_YET: u64 = 0;

/// What became of every event.
pub(super) struct Ledger {
    opened: Instant,
    endpoints: usize,
    events: Vec<Entry>,
    /// When each endpoint received each event: all endpoints of the first event, then of the second.
    received: Vec<AtomicU64>,
    pub(super) counts: Counts,
    first_failure: Mutex<Option<String>>,
}

/// What goes up while it runs.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    /// Events in requests that were not answered by a 2xx.
    pub(super) failed: AtomicU64,
    /// Pairs of event and endpoint.
    pub(super) delivered: AtomicU64,
    pub(super) duplicates: AtomicU64,
    /// Requests to the receiver that are none of ours.
    pub(super) strangers: AtomicU64,
    pub(super) signatures_checked: AtomicU64,
    pub(super) signatures_wrong: AtomicU64,
}

#[derive(Default)]
struct Entry {
    due: AtomicU64,
    accepted: AtomicU64,
}

/// One event as it is read afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) due: u64,
    pub(super) accepted: u64,
}

impl Ledger {
    pub(super) fn open(events: u32, endpoints: usize) -> Self {
        let events = usize::try_from(events).unwrap_or(usize::MAX);
        Self {
            opened: Instant::now(),
            endpoints,
            events: (0..events).map(|_| Entry::default()).collect(),
            received: (0..events.saturating_mul(endpoints))
                .map(|_| AtomicU64::new(NOT_YET))
                .collect(),
            counts: Counts::default(),
            first_failure: Mutex::new(None),
        }
    }

    /// Microseconds since the ledger was opened; never 0.
    pub(super) fn now(&self) -> u64 {
        micros(self.opened.elapsed()).max(1)
    }

    /// Notes that the events of one request, due then, were accepted now; answers how long that took.
    pub(super) fn accept(&self, events: Range<u32>, due: u64) -> Duration {
        let now = self.now();
        self.counts
            .accepted
            .fetch_add(u64::from(events.end - events.start), Ordering::Relaxed);
        for number in events {
            if let Some(entry) = self.events.get(index(number)) {
                entry.due.store(due, Ordering::Relaxed);
                entry.accepted.store(now, Ordering::Release);
            }
        }
        Duration::from_micros(now.saturating_sub(due))
    }

    /// Notes that a request was not accepted.
    pub(super) fn fail(&self, events: &Range<u32>, why: String) {
        let count = u64::from(events.end - events.start);
        self.counts.failed.fetch_add(count, Ordering::Relaxed);
        let mut first = self
            .first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(why);
    }

    /// Why the first request that failed did.
    pub(super) fn first_failure(&self) -> Option<String> {
        let first = self.first_failure.lock();
        first.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that an endpoint has received an event.
    pub(super) fn receive(&self, endpoint: usize, number: u32) {
        let place = index(number)
            .checked_mul(self.endpoints)
            .and_then(|first| self.received.get(first.checked_add(endpoint)?));
        let (Some(place), true) = (place, endpoint < self.endpoints) else {
            return self.counts.stranger();
        };
        let first =
            place.compare_exchange(NOT_YET, self.now(), Ordering::Release, Ordering::Relaxed);
        let count = match first {
            Ok(_) => &self.counts.delivered,
            Err(_) => &self.counts.duplicates,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The events of `numbers` that were accepted, each with when its endpoints received it, as far as they did.
    pub(super) fn accepted(
        &self,
        numbers: Range<u32>,
    ) -> impl Iterator<Item = (Accepted, impl Iterator<Item = Option<u64>>)> {
        numbers.filter_map(|number| {
            let entry = self.events.get(index(number))?;
            let accepted = entry.accepted.load(Ordering::Acquire);
            let due = entry.due.load(Ordering::Relaxed);
            let first = index(number) * self.endpoints;
            let received = self.received.get(first..first + self.endpoints)?;
            let times = received
                .iter()
                .map(|time| Some(time.load(Ordering::Acquire)).filter(|&time| time != NOT_YET));
            (accepted != NOT_YET).then_some((Accepted { due, accepted }, times))
        })
    }

    /// How many deliveries of accepted events have not been received.
    pub(super) fn missing(&self, numbers: Range<u32>) -> usize {
        self.accepted(numbers)
            .map(|(_, times)| times.filter(Option::is_none).count())
            .sum()
    }

    /// Everything that has happened so far, as one number: it stands still when nothing does.
    pub(super) fn progress(&self) -> u64 {
        let Counts {
            accepted,
            failed,
            delivered,
            ..
        } = &self.counts;
        [accepted, failed, delivered]
            .map(|count| count.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

impl Counts {
    pub(super) fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn what_was_accepted_and_not_received_is_missing() {
        let ledger = Ledger::open(4, 2);
        ledger.accept(0..3, 1);
        ledger.fail(&(3..4), "503".to_owned());
        for (endpoint, number) in [(0, 0), (1, 0), (1, 2)] {
            ledger.receive(endpoint, number);
        }

        assert_eq!(ledger.missing(0..4), 3);
        assert_eq!(ledger.missing(0..1), 0);
        assert_eq!(ledger.progress(), 3 + 1 + 3);
        assert_eq!(ledger.first_failure().as_deref(), Some("503"));
    }

    #[test]
    fn a_second_arrival_is_a_duplicate_and_changes_no_time() {
        let ledger = Ledger::open(1, 1);
        let times = || -> Vec<_> {
            let accepted = ledger.accepted(0..1);
            accepted.flat_map(|(_, times)| times).collect()
        };
        ledger.accept(0..1, 1);
        ledger.receive(0, 0);
        let first = times();
        ledger.receive(0, 0);

        assert_eq!(times(), first);
        assert_eq!(read(&ledger.counts.delivered), 1);
        assert_eq!(read(&ledger.counts.duplicates), 1);
    }

    #[test]
    fn what_nobody_sent_is_a_stranger() {
        let ledger = Ledger::open(1, 1);
        ledger.receive(0, 1);
        ledger.receive(1, 0);
        ledger.receive(usize::MAX, u32::MAX);

        assert_eq!(read(&ledger.counts.strangers), 3);
        assert_eq!(read(&ledger.counts.delivered), 0);
    }

    #[test]
    fn an_event_that_was_not_accepted_is_not_missed() {
        let ledger = Ledger::open(2, 1);
        ledger.receive(0, 1);

        assert_eq!(ledger.missing(0..2), 0);
        assert_eq!(ledger.accepted(0..2).count(), 0);
    }
}
