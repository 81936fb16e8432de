//! The sea on which servers are afloat: time, chance, weather, committed rows, receivers, and what has happened.
//!
//! Invariant: one thread and one [`Dice`], so a seed is a history. Time is that of the paused runtime; the database
//! and each server have clocks of their own, which may jump.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tidings::domain::endpoint::Endpoint;
use tidings::domain::time::from_millis;
use tidings::store::handoff::EndpointKey;
use tokio::time::Instant;

use super::dice::Dice;
use super::laws::{Laws, Life};
use super::rows::Rows;

/// Where every simulation begins.
const BEGINS_MS: u64 = 1_700_000_000_000;
/// What is told of a run that breaks a law.
const TOLD: usize = 400;

/// How the database does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Weather {
    Calm,
    /// Answers take up to this long.
    Slow(Duration),
    /// This part of all questions fails: before anything was done, or after it was done.
    Rough(f64),
    /// Nothing is answered but refusals.
    Away,
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Well,
    Refusing {
        status: u16,
        retry_after: Option<Duration>,
    },
    Hanging,
    Slow,
    /// This part of all requests is refused.
    Flaky(f64),
    Unreachable(Duration),
}

pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) laws: Laws,
    pub(super) manners: BTreeMap<EndpointKey, Manner>,
    pub(super) database_skew: TimeDelta,
    pub(super) skews: Vec<TimeDelta>,
    /// Since when the database has been calm, all clocks steady, and the same servers afloat.
    pub(super) quiet_since: Duration,
    /// When each endpoint last became something else.
    pub(super) changed_at: BTreeMap<EndpointKey, Duration>,
    /// Events that were ever published.
    pub(super) events: u128,
    /// Of everything that has happened.
    digest: u64,
    told: VecDeque<String>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Sea {
    began: Instant,
    state: Arc<Mutex<State>>,
}

impl Sea {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            rows: Rows::default(),
            dice: Dice::new(seed),
            weather: Weather::Calm,
            laws: Laws::default(),
            manners: BTreeMap::new(),
            database_skew: TimeDelta::zero(),
            skews: Vec::new(),
            quiet_since: Duration::ZERO,
            changed_at: BTreeMap::new(),
            events: 0,
            digest: seed,
            told: VecDeque::new(),
        };
        Self {
            began: Instant::now(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a step ended badly")
    }

    /// Since the simulation began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The true time, which nobody's clock has to show.
    pub(super) fn time(&self) -> DateTime<Utc> {
        from_millis(BEGINS_MS) + self.elapsed()
    }

    pub(super) fn throw<T>(&self, dice: impl FnOnce(&mut Dice) -> T) -> T {
        dice(&mut self.state().dice)
    }

    /// Writes down that something has happened.
    pub(super) fn tell(&self, what: &str) {
        let elapsed = self.elapsed();
        let mut state = self.state();
        for byte in what.bytes().chain(elapsed.as_micros().to_be_bytes()) {
            state.digest = (state.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if state.told.len() >= TOLD {
            state.told.pop_front();
        }
        state
            .told
            .push_back(format!("{:12.3} {what}", elapsed.as_secs_f64()));
    }

    pub(super) fn digest(&self) -> u64 {
        self.state().digest
    }

    /// Ends the run if a law is broken.
    pub(super) fn uphold(&self, seed: u64) {
        let mut state = self.state();
        let State { laws, rows, .. } = &mut *state;
        laws.counted(rows);
        if let Some(broken) = state.laws.broken.take() {
            let told = state.told.iter().fold(String::new(), |mut told, line| {
                let _infallible = writeln!(told, "{line}");
                told
            });
            drop(state);
            panic!(
                "{told}\n{broken}\nreplay: TIDINGS_SIMULATION_SEED={seed} cargo test --test it -- simulation --nocapture"
            );
        }
    }
}

impl State {
    pub(super) fn begin_life(&mut self) -> usize {
        self.laws.lives.push(Life::default());
        self.skews.push(TimeDelta::zero());
        self.laws.lives.len() - 1
    }

    /// Makes an endpoint what it is from now on.
    pub(super) fn put_endpoint(&mut self, endpoint: Endpoint, at: Duration) {
        let key = (endpoint.environment, endpoint.id);
        self.laws.changed(&endpoint, at);
        self.changed_at.insert(key, at);
        self.rows.endpoints.insert(key, endpoint);
    }
}
