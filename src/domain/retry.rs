//! When to try again: the delays between the attempts of one delivery.
//!
//! Invariant: a schedule is finite and every delay is bounded, so every delivery ends; the same arguments give
//! the same delay. Does not decide whether to try again (an accepted or cancelled delivery is not asked about);
//! that is `domain::delivery::decide`.

use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

use super::attempt::Outcome;

const DELAYS_MAX: usize = 20;
const DELAY: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 60 * 60);

/// How far chance moves a delay, to either side.
const SPREAD: f64 = 0.2;

/// How many times its base a delay may become when the receiver asks for it.
pub const RETRY_AFTER_FACTOR_MAX: u32 = 4;

/// The delays after the first, the second, … attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
}

/// Why delays are no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RetryScheduleFault {
    #[error("{count} delays; at most {DELAYS_MAX} are allowed")]
    TooMany { count: usize },
    #[error("delay {number} is {delay:?}; it must be from 1 s to 7 days")]
    OutOfRange { number: usize, delay: Duration },
}

impl RetrySchedule {
    /// Checks the delays; none at all means a single attempt.
    pub fn new(delays: Vec<Duration>) -> Result<Self, RetryScheduleFault> {
        if delays.len() > DELAYS_MAX {
            return Err(RetryScheduleFault::TooMany {
                count: delays.len(),
            });
        }
        for (number, &delay) in (1..).zip(&delays) {
            if !DELAY.contains(&delay) {
                return Err(RetryScheduleFault::OutOfRange { number, delay });
            }
        }
        Ok(Self { delays })
    }

    /// The delays before chance and receivers change them.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// Returns how long to wait after attempt `number`, or `None` when the delivery is spent.
    ///
    /// Shape: `number` counts from 1 (0 is taken for 1); `unit` is in `[0, 1)` and spreads the delay by ± 20 %
    /// (anything else is taken for the middle).
    /// `Retry-After` may lengthen the delay, up to four times the base (Source: RFC 9110, 10.2.3).
    pub fn delay_after(&self, number: u32, outcome: &Outcome, unit: f64) -> Option<Duration> {
        let index = usize::try_from(number.saturating_sub(1)).ok()?;
        let base = *self.delays.get(index)?;
        let asked = match outcome {
            Outcome::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Outcome::Accepted { .. }
            | Outcome::TimedOut { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Forbidden { .. } => Duration::ZERO,
        };
        Some(spread(base, unit).max(asked.min(base * RETRY_AFTER_FACTOR_MAX)))
    }

    /// The attempts a delivery has in all.
    pub fn attempts_max(&self) -> u32 {
        let delays = u32::try_from(self.delays.len()).expect("a schedule has at most 20 delays");
        delays + 1
    }

    /// The longest time all delays together can take; the attempts themselves come on top.
    pub fn horizon(&self) -> Duration {
        self.delays.iter().sum::<Duration>() * RETRY_AFTER_FACTOR_MAX
    }
}

impl Default for RetrySchedule {
    /// Eight attempts within three days: soon enough for a restart, long enough for a weekend.
    fn default() -> Self {
        let delays = [5, 20, 60, 10 * 60, 60 * 60, 10 * 60 * 60, 60 * 60 * 60];
        Self {
            delays: delays.map(Duration::from_secs).to_vec(),
        }
    }
}

fn spread(base: Duration, unit: f64) -> Duration {
    let unit = if (0.0..1.0).contains(&unit) {
        unit
    } else {
        0.5
    };
    base.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::attempt::Unreachable;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refused(retry_after: Option<Duration>) -> Outcome {
        Outcome::Refused {
            status: 503,
            retry_after,
        }
    }

    #[test]
    fn the_default_schedule_has_eight_attempts() {
        let schedule = RetrySchedule::default();

        let delays: Vec<_> = (1..=8)
            .map(|number| schedule.delay_after(number, &refused(None), 0.5))
            .collect();

        let expected = [5, 20, 60, 600, 3_600, 36_000, 216_000].map(|delay| Some(seconds(delay)));
        assert_eq!(delays, [&expected[..], &[None]].concat());
        assert_eq!(schedule.attempts_max(), 8);
        assert_eq!(schedule.horizon(), seconds(4 * 256_285));
        assert_eq!(RetrySchedule::new(schedule.delays().to_vec()), Ok(schedule));
    }

    #[test]
    fn chance_moves_a_delay_by_a_fifth_to_either_side() {
        let schedule = RetrySchedule::new(vec![seconds(10)]).unwrap();
        let delay = |unit| schedule.delay_after(1, &refused(None), unit);

        assert_eq!(delay(0.0), Some(seconds(8)));
        assert_eq!(delay(0.5), Some(seconds(10)));
        assert!(
            delay(1.0 - f64::EPSILON).is_some_and(|delay| delay > Duration::from_millis(11_999))
        );
        assert_eq!(delay(f64::NAN), Some(seconds(10)));
        assert_eq!(delay(-1e300), Some(seconds(10)));
    }

    #[test]
    fn a_receiver_may_lengthen_a_delay_up_to_four_times_but_never_shorten_it() {
        let schedule = RetrySchedule::new(vec![seconds(10)]).unwrap();
        let delay = |asked| schedule.delay_after(1, &refused(Some(asked)), 0.5);

        assert_eq!(delay(Duration::ZERO), Some(seconds(10)));
        assert_eq!(delay(seconds(9)), Some(seconds(10)));
        assert_eq!(delay(seconds(39)), Some(seconds(39)));
        assert_eq!(delay(seconds(41)), Some(seconds(40)));
        assert_eq!(delay(Duration::MAX), Some(seconds(40)));
    }

    #[test]
    fn a_schedule_without_delays_is_a_single_attempt() {
        let schedule = RetrySchedule::new(Vec::new()).unwrap();

        assert_eq!(schedule.attempts_max(), 1);
        assert_eq!(schedule.horizon(), Duration::ZERO);
        assert_eq!(schedule.delay_after(1, &refused(None), 0.5), None);
    }

    #[test]
    fn too_many_too_short_and_too_long_delays_are_refused() {
        let refusal = |delays| RetrySchedule::new(delays).unwrap_err().to_string();
        let week = seconds(7 * 86_400);

        assert!(RetrySchedule::new(vec![week; 20]).is_ok());
        assert_eq!(refusal(vec![week; 21]), "21 delays; at most 20 are allowed");
        assert_eq!(
            refusal(vec![week, Duration::from_millis(999)]),
            "delay 2 is 999ms; it must be from 1 s to 7 days"
        );
        assert_eq!(
            refusal(vec![week + Duration::from_nanos(1)]),
            "delay 1 is 604800.000000001s; it must be from 1 s to 7 days"
        );
    }

    fn any_schedule() -> impl Strategy<Value = RetrySchedule> {
        let delay = (1_000..=7 * 86_400_000_u64).prop_map(Duration::from_millis);
        proptest::collection::vec(delay, 0..=20)
            .prop_map(|delays| RetrySchedule::new(delays).unwrap())
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Accepted { status: 200 }),
            proptest::option::of(any::<Duration>()).prop_map(refused),
            (0..10_000_000_u64).prop_map(|asked| refused(Some(seconds(asked)))),
            any::<Duration>().prop_map(|after| Outcome::TimedOut { after }),
            Just(Outcome::Unreachable {
                reason: Unreachable::Dns
            }),
            Just(Outcome::Forbidden {
                reason: String::new()
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_delivery_is_spent_exactly_after_the_last_delay(
            schedule in any_schedule(), outcome in any_outcome(), unit in any::<f64>(), number in 1..50_u32,
        ) {
            let delay = schedule.delay_after(number, &outcome, unit);

            prop_assert_eq!(delay.is_none(), number >= schedule.attempts_max());
            prop_assert_eq!(schedule.delay_after(u32::MAX, &outcome, unit), None);
        }

        #[test]
        fn every_delay_is_within_its_bounds_and_all_of_them_within_the_horizon(
            schedule in any_schedule(), outcome in any_outcome(), unit in any::<f64>(),
        ) {
            let mut total = Duration::ZERO;
            for (number, &base) in (1..).zip(schedule.delays()) {
                let delay = schedule.delay_after(number, &outcome, unit).unwrap();
                prop_assert!(delay >= base.mul_f64(0.8) && delay <= base * 4);
                if !matches!(outcome, Outcome::Refused { .. }) {
                    prop_assert!(delay <= base.mul_f64(1.2));
                }
                total += delay;
            }
            prop_assert!(total <= schedule.horizon());
        }

        #[test]
        fn a_larger_unit_never_gives_a_shorter_delay(
            schedule in any_schedule(), outcome in any_outcome(), units in (0.0..1.0_f64, 0.0..1.0_f64), number in 1..22_u32,
        ) {
            let delay = |unit| schedule.delay_after(number, &outcome, unit);

            prop_assert!(delay(units.0.min(units.1)) <= delay(units.0.max(units.1)));
        }

        #[test]
        fn a_delay_depends_on_nothing_but_its_arguments(
            schedule in any_schedule(), outcome in any_outcome(), unit in any::<f64>(), number in any::<u32>(),
        ) {
            let again = schedule.clone().delay_after(number, &outcome.clone(), unit);

            prop_assert_eq!(schedule.delay_after(number, &outcome, unit), again);
        }
    }
}
