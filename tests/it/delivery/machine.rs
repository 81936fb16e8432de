//! Every delivery ends: the rules that decide about deliveries, driven by chance.
//!
//! The rules are the platform's own (`decide`, the schedule, the breaker); what is around them is the least that a
//! database and a dispatcher do: a claim takes the oldest that is due, under a lease; a verdict counts or is lost.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tidings::domain::attempt::{Outcome, Unreachable};
use tidings::domain::breaker::Breaker;
use tidings::domain::delivery::{Health, Settlement, decide};
use tidings::domain::retry::RetrySchedule;
use tidings::domain::time::from_millis;

const LEASE: TimeDelta = TimeDelta::seconds(60);
/// As long as a breaker stays open.
const SOON: TimeDelta = TimeDelta::seconds(36);
/// Attempts of the longest schedule there may be.
const ATTEMPTS_MAX: u32 = 21;

#[derive(Debug, Clone)]
enum Step {
    Publish,
    /// Time goes on.
    Wait(u32),
    /// The clock is set back, as one that was ahead is.
    SetBack(u32),
    /// What is due is sent, and comes to this.
    Send(Outcome),
    /// It is sent, and the worker dies before it can say what it came to.
    Crash,
    /// A worker whose lease was lost says what became of it: for the breaker alone.
    Late(Outcome),
    Schedule(RetrySchedule),
    Disable,
    Enable,
}

struct Owed {
    due_at: DateTime<Utc>,
    attempts: u32,
}

struct Machine {
    now: DateTime<Utc>,
    owed: Vec<Owed>,
    breaker: Breaker,
    schedule: RetrySchedule,
    enabled: bool,
    ended: usize,
    published: usize,
    sent_while_disabled: usize,
}

impl Machine {
    fn new() -> Self {
        Self {
            now: from_millis(1_000_000_000_000),
            owed: Vec::new(),
            breaker: Breaker::default(),
            schedule: RetrySchedule::default(),
            enabled: true,
            ended: 0,
            published: 0,
            sent_while_disabled: 0,
        }
    }

    /// Takes the oldest that is due, if the endpoint may be sent to.
    fn claim(&mut self) -> Option<usize> {
        if !self.enabled || self.breaker.room(self.now) == Some(0) {
            return None;
        }
        let due = |(_, owed): &(usize, &Owed)| owed.due_at <= self.now;
        let due = self.owed.iter().enumerate().filter(due);
        let (place, _) = due.min_by_key(|(_, owed)| owed.due_at)?;
        self.owed[place].due_at = self.now + LEASE;
        Some(place)
    }

    fn send(&mut self, outcome: &Outcome, unit: f64) {
        let Some(place) = self.claim() else {
            return;
        };
        self.sent_while_disabled += usize::from(!self.enabled);
        let number = self.owed[place].attempts + 1;
        let (settlement, health) = decide(number, outcome, &self.schedule, unit);
        self.breaker = self.breaker.after(health, self.now, unit);
        if health == Health::Gone {
            self.enabled = false;
        }
        match settlement {
            Settlement::RetryAfter(delay) => {
                self.owed[place] = Owed {
                    due_at: self.now + delay,
                    attempts: number,
                };
            }
            Settlement::Delivered | Settlement::Exhausted | Settlement::Cancelled(_) => {
                self.owed.remove(place);
                self.ended += 1;
            }
        }
    }

    fn step(&mut self, step: Step, unit: f64) {
        match step {
            Step::Publish if self.enabled => {
                self.published += 1;
                self.owed.push(Owed {
                    due_at: self.now,
                    attempts: 0,
                });
            }
            Step::Publish => {}
            Step::Wait(seconds) => self.now += TimeDelta::seconds(seconds.into()),
            Step::SetBack(seconds) => self.now -= TimeDelta::seconds(seconds.into()),
            Step::Send(outcome) => self.send(&outcome, unit),
            Step::Crash => {
                self.claim();
            }
            Step::Late(outcome) => {
                let (_, health) = decide(1, &outcome, &self.schedule, unit);
                self.breaker = self.breaker.after(health, self.now, unit);
            }
            Step::Schedule(schedule) => self.schedule = schedule,
            Step::Disable => {
                self.enabled = false;
                self.breaker = Breaker::default();
            }
            Step::Enable if self.enabled => {}
            Step::Enable => {
                self.enabled = true;
                self.breaker = Breaker::recovering(self.now);
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.owed.len() + self.ended, self.published);
        prop_assert_eq!(self.sent_while_disabled, 0);
        for owed in &self.owed {
            prop_assert!(owed.attempts < ATTEMPTS_MAX, "{} attempts", owed.attempts);
        }
        // an endpoint that is enabled can be sent to soon, whatever has happened
        let rooms = [self.now, self.now + SOON].map(|at| self.breaker.room(at));
        prop_assert!(rooms != [Some(0); 2], "{:?}", self.breaker);
        Ok(())
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let refused = |status: u16, asked: Option<u32>| Outcome::Refused {
        status,
        retry_after: asked.map(|seconds| Duration::from_secs(seconds.into())),
    };
    prop_oneof![
        3 => Just(Outcome::Accepted { status: 200 }),
        6 => (400..600_u16, any::<Option<u32>>())
            .prop_filter("gone", |(status, _)| *status != 410)
            .prop_map(move |(status, asked)| refused(status, asked)),
        4 => Just(Outcome::TimedOut { after: Duration::from_secs(15) }),
        4 => Just(Outcome::Unreachable { reason: Unreachable::Connect }),
        1 => Just(Outcome::Forbidden { reason: String::new() }),
        1 => Just(refused(410, None)),
    ]
}

fn any_schedule() -> impl Strategy<Value = RetrySchedule> {
    let delay = (1..=7 * 86_400_u64).prop_map(Duration::from_secs);
    proptest::collection::vec(delay, 0..=20).prop_map(|delays| RetrySchedule::new(delays).unwrap())
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Publish),
        3 => (0..100_u32).prop_map(Step::Wait),
        1 => (0..3 * 86_400_u32).prop_map(Step::Wait),
        1 => (0..3_600_u32).prop_map(Step::SetBack),
        12 => any_outcome().prop_map(Step::Send),
        2 => Just(Step::Crash),
        1 => any_outcome().prop_map(Step::Late),
        1 => any_schedule().prop_map(Step::Schedule),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
    ]
}

proptest! {
    #[test]
    fn every_delivery_has_a_next_step_and_ends(
        steps in proptest::collection::vec((any_step(), 0.0..1.0_f64), 0..400),
        last in any_outcome(),
    ) {
        let mut machine = Machine::new();
        for (step, unit) in steps {
            machine.step(step, unit);
            machine.check()?;
        }

        // from now on it stays enabled, and every attempt comes to the same
        let attempts_left = machine.owed.len() * usize::try_from(ATTEMPTS_MAX).unwrap();
        for _ in 0..attempts_left {
            let Some(next) = machine.owed.iter().map(|owed| owed.due_at).min() else {
                break;
            };
            machine.step(Step::Enable, 0.5);
            machine.now = machine.now.max(next);
            if machine.breaker.room(machine.now) == Some(0) {
                machine.now += SOON;
            }
            machine.step(Step::Send(last.clone()), 0.5);
            machine.check()?;
        }
        prop_assert_eq!(machine.owed.len(), 0);
    }
}
