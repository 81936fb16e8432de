//! Breakers: which endpoints fail, as this process has seen it and as other servers have written it down.
//!
//! Invariant: of an endpoint whose breaker is open, one attempt at a time is let through, and none before its time;
//! what was claimed for it already is given back unsent. What this process has just seen counts more than what the
//! rows say, and the rows more than what it saw long ago. Does not write: `health` does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::breaker::{Breaker, BreakerState};
use crate::domain::delivery::Health;
use crate::domain::time::Clock;
use crate::store::agenda::Agenda;
use crate::store::claims::Owed;
use crate::store::gate::Gate;
use crate::store::handoff::EndpointKey;

/// How long the attempt that was let through is waited for.
const PROBE_TAKES: TimeDelta = TimeDelta::seconds(30);
/// How long what this process has seen counts more than the rows, which it may still be writing.
const OWN_WORD_COUNTS: Duration = Duration::from_secs(5);
/// Endpoints with failures that are remembered; the breakers of those beyond stay closed.
const KNOWN_MAX: usize = 50_000;

/// The breakers of a process.
pub(super) struct Breakers {
    clock: Clock,
    gate: Gate,
    agenda: Agenda,
    known: Mutex<HashMap<EndpointKey, Known>>,
}

struct Known {
    breaker: Breaker,
    /// Until when the attempt that was let through is waited for.
    probing_until: Option<DateTime<Utc>>,
    /// When it last changed by what this process has seen.
    changed_at: Option<Instant>,
    /// Whether a row tells of it.
    has_row: bool,
}

impl Known {
    fn new(breaker: Breaker) -> Self {
        Self {
            breaker,
            probing_until: None,
            changed_at: None,
            has_row: false,
        }
    }

    fn counts_more_than_rows(&self) -> bool {
        self.changed_at
            .is_some_and(|at| at.elapsed() < OWN_WORD_COUNTS)
    }

    /// When an attempt may be made; `None`: now.
    fn waits_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let BreakerState::Open { probe_at, .. } = self.breaker.state(now) else {
            return None;
        };
        // By a clock that was set back, the attempt that was let through is far ahead; it has been waited for.
        let probing = self
            .probing_until
            .filter(|until| *until - now <= PROBE_TAKES);
        let until = probing.map_or(probe_at, |at| at.max(probe_at));
        (now < until).then_some(until)
    }
}

impl Breakers {
    pub(super) fn new(clock: Clock, gate: Gate, agenda: Agenda) -> Self {
        Self {
            clock,
            gate,
            agenda,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<EndpointKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_process_time(&self, at: DateTime<Utc>) -> Instant {
        Instant::now() + (at - self.clock.now()).to_std().unwrap_or_default()
    }

    /// Whether an endpoint that is due may be asked for work now; otherwise its place on the agenda is put off.
    pub(super) fn may_claim(&self, endpoint: EndpointKey) -> bool {
        let now = self.clock.now();
        let mut known = self.known();
        let Some(one) = known.get(&endpoint) else {
            return true;
        };
        self.gate.bound(endpoint, one.breaker.room(now));
        if let Some(until) = one.waits_until(now) {
            self.agenda.postpone(endpoint, self.in_process_time(until));
            return false;
        }
        if one.breaker.is_pristine(now) && !one.has_row {
            known.remove(&endpoint);
        }
        true
    }

    /// Asks, just before a POST, whether it may be made; otherwise answers when to try again.
    pub(super) fn admit(&self, endpoint: EndpointKey) -> Result<(), Instant> {
        let now = self.clock.now();
        let mut known = self.known();
        let Some(one) = known.get_mut(&endpoint) else {
            return Ok(());
        };
        if let Some(until) = one.waits_until(now) {
            return Err(self.in_process_time(until));
        }
        if matches!(one.breaker.state(now), BreakerState::Open { .. }) {
            one.probing_until = Some(now + PROBE_TAKES);
        }
        Ok(())
    }

    /// Notes what an attempt says about its endpoint; answers whether the breaker's row has to be written.
    pub(super) fn note(&self, endpoint: EndpointKey, health: Health, unit: f64) -> bool {
        let now = self.clock.now();
        let mut known = self.known();
        if !known.contains_key(&endpoint) {
            if health == Health::Well {
                return false;
            }
            if known.len() >= KNOWN_MAX {
                known.retain(|_, one| one.breaker.state(now) != BreakerState::Closed);
            }
            if known.len() >= KNOWN_MAX {
                return false;
            }
        }
        let one = known
            .entry(endpoint)
            .or_insert_with(|| Known::new(Breaker::default()));
        let before = one.breaker.state(now);
        one.breaker = one.breaker.after(health, now, unit);
        let state = one.breaker.state(now);
        one.probing_until = None;
        let mut has_to_be_written = false;
        if std::mem::discriminant(&before) != std::mem::discriminant(&state)
            || matches!(state, BreakerState::Open { .. })
            || (state == BreakerState::Closed && one.has_row)
        {
            one.changed_at = Some(Instant::now());
            has_to_be_written = true;
        }
        if before != state {
            self.gate.bound(endpoint, one.breaker.room(now));
        }
        let asks_at = match state {
            BreakerState::Open { probe_at, .. } => Some(self.in_process_time(probe_at)),
            // What was held back has room now.
            BreakerState::HalfOpen { .. } | BreakerState::Closed => {
                (before != state).then(Instant::now)
            }
        };
        if one.breaker.is_pristine(now) {
            self.gate.bound(endpoint, None);
            known.remove(&endpoint);
        }
        drop(known);
        if let Some(at) = asks_at {
            self.agenda.note([endpoint], at);
            self.agenda.postpone(endpoint, at);
        }
        has_to_be_written
    }

    /// How an endpoint's breaker stands, as it is to be written down.
    pub(super) fn state(&self, endpoint: EndpointKey) -> BreakerState {
        let now = self.clock.now();
        self.known()
            .get(&endpoint)
            .map_or(BreakerState::Closed, |one| one.breaker.state(now))
    }

    /// Notes that the row tells how the breaker stood.
    pub(super) fn written(&self, endpoint: EndpointKey, state: BreakerState) {
        if let Some(one) = self.known().get_mut(&endpoint) {
            one.has_row = state != BreakerState::Closed;
        }
    }

    /// Takes over what other servers have written down about endpoints that are owed something.
    pub(super) fn learn(&self, owed: &[Owed]) {
        let now = self.clock.now();
        let mut known = self.known();
        for Owed {
            endpoint, breaker, ..
        } in owed
        {
            let own = known.get(endpoint).map(|one| {
                let unwritten = !one.has_row && *breaker == BreakerState::Closed;
                (
                    one.breaker.state(now),
                    one.counts_more_than_rows() || unwritten,
                )
            });
            let learned = match (own, *breaker) {
                (Some((_, true)), _)
                | (None | Some((BreakerState::Closed, _)), BreakerState::Closed) => {
                    continue;
                }
                // It was closed by hand, or by a server on which it has recovered.
                (Some(_), BreakerState::Closed) => {
                    known.remove(endpoint);
                    self.gate.bound(*endpoint, None);
                    continue;
                }
                (_, open @ BreakerState::Open { .. }) => Breaker::in_state(open),
                (
                    None | Some((BreakerState::Open { .. }, _)),
                    BreakerState::HalfOpen { since, .. },
                ) => Breaker::recovering(since),
                (Some(_), BreakerState::HalfOpen { .. }) => continue,
            };
            if known.len() >= KNOWN_MAX && !known.contains_key(endpoint) {
                continue;
            }
            let one = known
                .entry(*endpoint)
                .or_insert_with(|| Known::new(Breaker::default()));
            one.breaker = learned;
            one.has_row = true;
            self.gate.bound(*endpoint, learned.room(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::domain::id::{EndpointId, EnvironmentId};
    use crate::domain::time::from_millis;
    use crate::store::gate::HoldLimits;

    fn key() -> EndpointKey {
        (EnvironmentId::at(1, 1), EndpointId::at(1, 1))
    }

    /// Breakers of which one is open, their clock, and the gate.
    fn open() -> (Breakers, Clock, Gate) {
        let clock = Clock::manual(from_millis(1_000_000));
        let gate = Gate::new(HoldLimits {
            claims_max: 1_000,
            claims_per_endpoint_max: 1_000,
            bytes_max: 1,
        });
        let breakers = Breakers::new(clock.clone(), gate.clone(), Agenda::default());
        let written: Vec<bool> = (0..10)
            .map(|_| breakers.note(key(), Health::Failing, 0.5))
            .collect();
        assert_eq!(written, [[false; 9].as_slice(), &[true]].concat());
        (breakers, clock, gate)
    }

    fn owed(breaker: BreakerState) -> [Owed; 1] {
        [Owed {
            endpoint: key(),
            due_in_ms: 0,
            floor: from_millis(0),
            breaker,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_lets_one_attempt_through_when_its_time_has_come() {
        let (breakers, clock, gate) = open();
        assert!(breakers.admit(key()).is_err() && !breakers.may_claim(key()));
        assert!(gate.reserve(key(), 0).is_none());

        clock.advance(Duration::from_secs(2));

        assert!(breakers.may_claim(key()));
        assert_eq!(gate.deal(&[key()]).len(), 1);
        assert!(breakers.admit(key()).is_ok());
        assert!(breakers.admit(key()).is_err() && !breakers.may_claim(key()));
        // a probe that is never heard of again does not close the way for ever
        clock.advance(Duration::from_secs(31));
        assert!(breakers.admit(key()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_just_seen_counts_more_than_the_rows_and_later_the_rows_do() {
        let (breakers, clock, gate) = open();
        let own = breakers.state(key());
        let row = BreakerState::HalfOpen {
            since: clock.now(),
            room: 1,
        };

        breakers.learn(&owed(row));
        assert_eq!(breakers.state(key()), own);
        tokio::time::advance(OWN_WORD_COUNTS).await;
        // no row was ever written: that there is none says nothing
        breakers.learn(&owed(BreakerState::Closed));
        assert_eq!(breakers.state(key()), own);
        breakers.learn(&owed(row));
        assert_eq!(breakers.state(key()), row);

        breakers.learn(&owed(BreakerState::Closed));
        assert_eq!(breakers.state(key()), BreakerState::Closed);
        assert!(gate.deal(&[key()]).len() > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_does_not_keep_an_endpoint_waiting_for_a_probe() {
        let millis = Arc::new(AtomicI64::new(1_000_000));
        let told = millis.clone();
        let clock = Clock::told(move || {
            DateTime::from_timestamp_millis(told.load(Ordering::SeqCst)).unwrap()
        });
        let (_, _, gate) = open();
        let breakers = Breakers::new(clock, gate, Agenda::default());
        for _ in 0..10 {
            breakers.note(key(), Health::Failing, 0.5);
        }
        millis.fetch_add(2_000, Ordering::SeqCst);
        assert!(breakers.admit(key()).is_ok());

        // an hour back: when the probe was let through is an hour ahead now
        millis.fetch_sub(3_600_000, Ordering::SeqCst);

        assert!(breakers.may_claim(key()) && breakers.admit(key()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_recovers_is_forgotten() {
        let (breakers, clock, gate) = open();
        clock.advance(Duration::from_secs(2));

        let writes = (0..64)
            .filter(|_| breakers.note(key(), Health::Well, 0.5))
            .count();

        // once when it lets more through, and once when it is closed
        assert_eq!(writes, 2);
        assert!(breakers.known().is_empty());
        assert_eq!(gate.deal(&[key()]).len(), crate::store::gate::FIRST_CLAIMS);
    }
}
