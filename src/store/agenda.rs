//! The agenda: which endpoints are worth asking for work, and when, as far as this process knows.
//!
//! Invariant: nothing depends on its being right. What it never learned or has forgotten, the next look through the
//! outbox brings back (`claims::find_owed`); an endpoint that is on it for nothing costs one look into an index. It
//! holds one entry for each endpoint and none for a delivery, so a million that are owed to one weigh as much as one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::handoff::EndpointKey;

/// Endpoints that are remembered; those beyond wait for a look through the outbox.
const ENTRIES_MAX: usize = 200_000;

/// What is known of endpoints that are owed something. Cheap to clone.
#[derive(Clone, Default)]
pub struct Agenda {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<EndpointKey, Entry>,
    /// The entries that have a time, by it.
    order: BTreeSet<(Instant, EndpointKey)>,
}

#[derive(Default)]
struct Entry {
    /// When the endpoint is worth asking.
    at: Option<Instant>,
    /// Nothing that can be claimed was due before: what vacuum has not removed yet need not be passed again.
    floor: Option<DateTime<Utc>>,
}

impl Inner {
    fn entry(&mut self, endpoint: EndpointKey) -> Option<&mut Entry> {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&endpoint) {
            self.entries.retain(|_, entry| entry.at.is_some());
            if self.entries.len() >= ENTRIES_MAX {
                return None;
            }
        }
        Some(self.entries.entry(endpoint).or_default())
    }

    fn set(&mut self, endpoint: EndpointKey, at: Option<Instant>) {
        let Some(entry) = self.entry(endpoint) else {
            return;
        };
        let before = std::mem::replace(&mut entry.at, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, endpoint));
        }
        if let Some(at) = at {
            self.order.insert((at, endpoint));
        }
    }

    fn note(&mut self, endpoint: EndpointKey, at: Instant) {
        let earlier = self.at(endpoint).map_or(at, |known| known.min(at));
        self.set(endpoint, Some(earlier));
    }

    fn at(&self, endpoint: EndpointKey) -> Option<Instant> {
        self.entries.get(&endpoint)?.at
    }
}

impl Agenda {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something of these endpoints is due at `at`; what was due earlier stays so.
    pub fn note(&self, endpoints: impl IntoIterator<Item = EndpointKey>, at: Instant) {
        let mut inner = self.inner();
        for endpoint in endpoints {
            inner.note(endpoint, at);
        }
        drop(inner);
        self.tell(at);
    }

    /// The same for one endpoint, by whoever looks again of his own accord.
    pub fn note_quietly(&self, endpoint: EndpointKey, at: Instant) {
        self.inner().note(endpoint, at);
    }

    fn tell(&self, at: Instant) {
        if at <= Instant::now() {
            self.changed.notify_one();
        }
    }

    /// Says that endpoints are not to be asked before `until`, and then are.
    pub fn put_off(&self, endpoints: impl IntoIterator<Item = EndpointKey>, until: Instant) {
        let mut inner = self.inner();
        for endpoint in endpoints {
            inner.set(endpoint, Some(until));
        }
    }

    /// Says that an endpoint that is on the agenda is not to be asked before `until`.
    pub fn postpone(&self, endpoint: EndpointKey, until: Instant) {
        let mut inner = self.inner();
        if inner.at(endpoint).is_some_and(|at| at < until) {
            inner.set(endpoint, Some(until));
        }
    }

    /// What a look through the outbox has found: an endpoint is owed something from then on, and nothing before the
    /// floor.
    pub fn found(&self, owed: impl IntoIterator<Item = (EndpointKey, Instant, DateTime<Utc>)>) {
        let mut inner = self.inner();
        let mut first = None;
        for (endpoint, at, floor) in owed {
            inner.note(endpoint, at);
            if let Some(entry) = inner.entries.get_mut(&endpoint) {
                entry.floor = Some(floor);
            }
            first = Some(first.map_or(at, |first: Instant| first.min(at)));
        }
        drop(inner);
        if let Some(at) = first {
            self.tell(at);
        }
    }

    /// The endpoints whose time has come, those that wait longest first.
    pub fn due(&self, limit: usize) -> Vec<EndpointKey> {
        let now = Instant::now();
        let inner = self.inner();
        let due = inner.order.iter().take_while(|(at, _)| *at <= now);
        due.take(limit).map(|(_, endpoint)| *endpoint).collect()
    }

    /// Takes an endpoint off the agenda, before it is asked: what is noted meanwhile must not be lost. Answers from
    /// which due time on it is worth asking.
    pub fn take(&self, endpoint: EndpointKey) -> Option<DateTime<Utc>> {
        let mut inner = self.inner();
        inner.set(endpoint, None);
        inner.entries.get(&endpoint)?.floor
    }

    /// Says that a claim has left nothing that was due before `floor`.
    pub fn raise(&self, endpoint: EndpointKey, floor: DateTime<Utc>) {
        if let Some(entry) = self.inner().entries.get_mut(&endpoint) {
            entry.floor = entry.floor.max(Some(floor));
        }
    }

    /// Says that claims of these endpoints were given back: they are due since they were made.
    pub fn given_back(&self, endpoints: impl IntoIterator<Item = EndpointKey>, at: Instant) {
        let mut inner = self.inner();
        for endpoint in endpoints {
            if let Some(entry) = inner.entry(endpoint) {
                entry.floor = None;
            }
            inner.note(endpoint, at);
        }
        drop(inner);
        self.tell(at);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.inner() = Inner::default();
    }

    /// Waits until something is noted that is due already; at once, if it was since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::id::{EndpointId, EnvironmentId};
    use crate::domain::time::from_millis;

    fn key(number: u128) -> EndpointKey {
        (EnvironmentId::at(1, 1), EndpointId::at(1, number))
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_come_up_when_they_are_due_those_that_wait_longest_first() {
        let agenda = Agenda::default();
        let now = Instant::now();
        agenda.note([key(1)], now);
        agenda.note([key(2)], now + Duration::from_secs(5));
        agenda.note([key(3)], now - Duration::from_secs(1));
        // what is due later does not put off what is due
        agenda.note([key(1)], now + Duration::from_secs(9));

        assert_eq!(agenda.due(10), [key(3), key(1)]);
        assert_eq!(agenda.due(1), [key(3)]);
        agenda.postpone(key(3), now + Duration::from_secs(7));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(agenda.due(10), [key(1), key(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_while_an_endpoint_is_asked_is_not_lost() {
        let agenda = Agenda::default();
        agenda.note([key(1)], Instant::now());

        agenda.take(key(1));
        assert_eq!(agenda.due(10), []);
        agenda.note([key(1)], Instant::now());

        assert_eq!(agenda.due(10), [key(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_rises_with_claims_and_goes_when_something_is_given_back() {
        let agenda = Agenda::default();
        let now = Instant::now();
        agenda.found([(key(1), now, from_millis(5))]);
        agenda.raise(key(1), from_millis(9));
        agenda.raise(key(1), from_millis(7));
        assert_eq!(agenda.take(key(1)), Some(from_millis(9)));

        agenda.given_back([key(1)], now);
        assert_eq!((agenda.due(10), agenda.take(key(1))), (vec![key(1)], None));

        // a look through the outbox knows better than whoever claimed
        agenda.raise(key(1), from_millis(9));
        agenda.found([(key(1), now, from_millis(3))]);
        assert_eq!(agenda.take(key(1)), Some(from_millis(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_agenda_is_bounded() {
        let agenda = Agenda::default();
        let many = 0..u128::try_from(ENTRIES_MAX).unwrap() + 10;

        agenda.note(many.map(key), Instant::now());

        assert_eq!(agenda.due(usize::MAX).len(), ENTRIES_MAX);
    }
}
