//! The circuit breaker of one endpoint: whether it is worth calling now, by what its last attempts came to.
//!
//! Invariant: it postpones and never ends: an open breaker always has a time at which one attempt is let through, and
//! that time is at most 36 seconds away. It opens when nearly everything fails, so an endpoint that fails one
//! time in twenty never meets it. After the first attempt that succeeds it lets more through as they succeed. Pure:
//! time and chance are arguments.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::delivery::Health;

/// Attempts that are looked back upon, and how many of them have to have failed to open it.
const LOOKS_BACK: u32 = 20;
const FAILED_MAX: u32 = 16;
/// Failures in a row that open it, however short the history.
const FAILED_IN_ROW_MAX: u32 = 10;
/// A probe comes after this part of the outage so far: who was away for long may be found well a little later.
const PART_OF_OUTAGE: u32 = 10;
/// The shortest and the longest wait for a probe, before chance moves it by a fifth.
const PROBE_WAIT_MIN: Duration = Duration::from_secs(1);
const PROBE_WAIT_MAX: Duration = Duration::from_secs(30);
const SPREAD: f64 = 0.2;
/// Further ahead no probe is.
const PROBE_AHEAD_MAX: TimeDelta = TimeDelta::seconds(36);
/// How many claims an endpoint may hold when it counts as recovered.
const ROOM_MAX: usize = 32;
/// Failures in a row that open a breaker again that is half open.
const FAILED_AGAIN_MAX: u32 = 3;
/// After this long half open without opening again, it is closed: an endpoint with few events never fills its room.
const HALF_OPEN_MAX: TimeDelta = TimeDelta::seconds(60);

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts are made as they come due.
    Closed,
    /// No attempt is made before `probe_at`, and then one.
    Open {
        since: DateTime<Utc>,
        probe_at: DateTime<Utc>,
    },
    /// As many attempts at a time as `room`, which doubles when as many have succeeded.
    HalfOpen { since: DateTime<Utc>, room: usize },
}

/// One endpoint's breaker; new ones are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// The last attempts, the latest in the lowest bit; a failure is 1.
    recent: u32,
    /// How many attempts `recent` holds.
    seen: u32,
    /// Since the room of a half-open breaker last changed.
    succeeded: usize,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::in_state(BreakerState::Closed)
    }
}

impl Breaker {
    /// A breaker of which nothing is known but its state.
    pub const fn in_state(state: BreakerState) -> Self {
        Self {
            state,
            recent: 0,
            seen: 0,
            succeeded: 0,
        }
    }

    /// A breaker that lets one attempt through, and more as they succeed.
    pub const fn recovering(since: DateTime<Utc>) -> Self {
        Self::in_state(BreakerState::HalfOpen { since, room: 1 })
    }

    /// Where it stands at `now`.
    pub fn state(&self, now: DateTime<Utc>) -> BreakerState {
        if let BreakerState::HalfOpen { since, .. } = self.state
            && now - since >= HALF_OPEN_MAX
        {
            return BreakerState::Closed;
        }
        // A clock that was set back must not make a wait of a minute into one of hours.
        if let BreakerState::Open { since, probe_at } = self.state
            && probe_at - now > PROBE_AHEAD_MAX
        {
            return BreakerState::Open {
                since: since.min(now),
                probe_at: now,
            };
        }
        self.state
    }

    /// How many attempts may be in hand; `None`: the breaker sets no bound.
    pub fn room(&self, now: DateTime<Utc>) -> Option<usize> {
        match self.state(now) {
            BreakerState::Closed => None,
            BreakerState::Open { probe_at, .. } => Some(usize::from(now >= probe_at)),
            BreakerState::HalfOpen { room, .. } => Some(room),
        }
    }

    /// Whether it is as good as new.
    pub fn is_pristine(&self, now: DateTime<Utc>) -> bool {
        self.state(now) == BreakerState::Closed && self.recent == 0
    }

    /// The breaker after one more attempt, which ended at `now`.
    ///
    /// Shape: `unit` is in `[0, 1)` and spreads the wait for a probe.
    #[must_use]
    pub fn after(mut self, health: Health, now: DateTime<Utc>, unit: f64) -> Self {
        self.state = self.state(now);
        let failed = health != Health::Well;
        self.recent = ((self.recent << 1) | u32::from(failed)) & ((1 << LOOKS_BACK) - 1);
        self.seen = (self.seen + 1).min(LOOKS_BACK);
        match (self.state, failed) {
            (BreakerState::Closed, false) => self,
            (BreakerState::Closed, true) if self.is_failing() => self.opened(now, now, unit),
            (BreakerState::Closed, true) => self,
            // An attempt that had begun before the breaker opened is as good a proof as a probe.
            (BreakerState::Open { .. }, false) => Self::recovering(now),
            (BreakerState::Open { since, .. }, true) => self.opened(since, now, unit),
            (BreakerState::HalfOpen { since, room }, false) => self.widened(since, room),
            (BreakerState::HalfOpen { room, .. }, true) => {
                if room == 1 || self.failed_in_row() >= FAILED_AGAIN_MAX {
                    self.opened(now, now, unit)
                } else {
                    self
                }
            }
        }
    }

    fn failed_in_row(&self) -> u32 {
        self.recent.trailing_ones()
    }

    fn is_failing(&self) -> bool {
        self.failed_in_row() >= FAILED_IN_ROW_MAX
            || (self.seen == LOOKS_BACK && self.recent.count_ones() >= FAILED_MAX)
    }

    fn opened(mut self, since: DateTime<Utc>, now: DateTime<Utc>, unit: f64) -> Self {
        // By a clock that was set back, the outage begins now.
        let since = since.min(now);
        let outage = (now - since).to_std().unwrap_or_default();
        let wait = (outage / PART_OF_OUTAGE).clamp(PROBE_WAIT_MIN, PROBE_WAIT_MAX);
        let unit = if (0.0..1.0).contains(&unit) {
            unit
        } else {
            0.5
        };
        let probe_at = now + wait.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * unit);
        self.state = BreakerState::Open { since, probe_at };
        self.succeeded = 0;
        self
    }

    fn widened(mut self, since: DateTime<Utc>, room: usize) -> Self {
        self.succeeded += 1;
        if self.succeeded < room {
            return self;
        }
        if room >= ROOM_MAX {
            return Self::default();
        }
        self.succeeded = 0;
        self.state = BreakerState::HalfOpen {
            since,
            room: room * 2,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::from_millis;
    use Health::{Failing, Well};

    fn at(seconds: u32) -> DateTime<Utc> {
        from_millis(u64::from(seconds) * 1_000)
    }

    fn after(breaker: Breaker, healths: &[Health], now: DateTime<Utc>) -> Breaker {
        let next = |breaker: Breaker, &health| breaker.after(health, now, 0.5);
        healths.iter().fold(breaker, next)
    }

    fn open(now: DateTime<Utc>) -> Breaker {
        after(Breaker::default(), &[Failing; 10], now)
    }

    #[test]
    fn ten_failures_in_a_row_open_it_and_nine_do_not() {
        let nine = after(Breaker::default(), &[Failing; 9], at(0));

        assert_eq!(nine.room(at(0)), None);
        let ten = after(nine, &[Failing], at(0));
        assert_eq!((ten.room(at(0)), ten.room(at(1))), (Some(0), Some(1)));
    }

    #[test]
    fn four_failures_of_five_open_it_and_one_of_two_does_not() {
        let bad = [Failing, Failing, Failing, Failing, Well].repeat(4);
        let half = [Failing, Well].repeat(100);

        assert_eq!(after(Breaker::default(), &bad, at(0)).room(at(0)), None);
        let worse = after(Breaker::default(), &[&bad[..], &[Failing]].concat(), at(0));
        assert_eq!(worse.room(at(0)), Some(0));
        assert_eq!(after(Breaker::default(), &half, at(0)).room(at(0)), None);
    }

    #[test]
    fn a_probe_comes_after_a_tenth_of_the_outage_within_one_second_and_thirty() {
        let mut breaker = open(at(0));
        let waits = [1, 80, 4_000].map(|now| {
            breaker = breaker.after(Failing, at(now), 0.5);
            let BreakerState::Open { since, probe_at } = breaker.state(at(now)) else {
                panic!("{breaker:?}");
            };
            assert_eq!(since, at(0));
            (probe_at - at(now)).num_seconds()
        });

        assert_eq!(waits, [1, 8, 30]);
    }

    #[test]
    fn what_recovers_is_let_in_by_doubling() {
        let probed = after(open(at(0)), &[Well], at(3));

        let rooms: Vec<_> = (0..64)
            .map(|count| after(probed, &vec![Well; count], at(3)).room(at(3)))
            .collect();
        let mut distinct = rooms.clone();
        distinct.dedup();
        assert_eq!(
            distinct,
            [1, 2, 4, 8, 16, 32, 0].map(|room| (room > 0).then_some(room))
        );
        assert_eq!(rooms[62], Some(32));
        assert_eq!(after(probed, &[Well], at(3)).room(at(63)), None);
    }

    #[test]
    fn what_fails_while_it_recovers_is_left_alone_again() {
        let probed = after(open(at(0)), &[Well], at(3));

        assert_eq!(after(probed, &[Failing], at(3)).room(at(3)), Some(0));
        let two = after(probed, &[Well], at(3));
        assert_eq!(after(two, &[Failing; 2], at(3)).room(at(3)), Some(2));
        assert_eq!(after(two, &[Failing; 3], at(3)).room(at(3)), Some(0));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lengthen_the_wait() {
        assert_eq!(open(at(10_000)).room(at(0)), Some(1));
    }

    proptest! {
        #[test]
        fn one_failure_in_twenty_never_opens_it(seed in proptest::collection::vec(0..20_u32, 2_000)) {
            let mut breaker = Breaker::default();
            for one in seed {
                let health = if one == 0 { Failing } else { Well };
                breaker = breaker.after(health, at(0), 0.5);
                prop_assert_eq!(breaker.room(at(0)), None);
            }
        }

        #[test]
        fn whatever_happens_an_attempt_is_let_through_within_36_seconds(
            steps in proptest::collection::vec((any::<bool>(), 0..200_000_i64, 0.0..1.0_f64), 0..300),
        ) {
            let (mut breaker, mut now) = (Breaker::default(), at(0));
            for (well, wait, unit) in steps {
                now += TimeDelta::milliseconds(wait);
                breaker = breaker.after(if well { Well } else { Failing }, now, unit);
                prop_assert!(breaker.room(now + TimeDelta::seconds(36)) != Some(0));
                prop_assert!(!well || breaker.room(now) != Some(0));
            }
        }
    }
}
