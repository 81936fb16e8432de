//! A voyage: servers come and go, receivers misbehave, people change endpoints, clocks jump and the database has its
//! weather; and in the end everything that is owed has ended.

use std::time::Duration;

use chrono::TimeDelta;
use tidings::domain::endpoint::Endpoint;
use tidings::domain::id::{EnvironmentId, EventId};
use tidings::domain::retry::RetrySchedule;
use tidings::domain::time::millis;
use tidings::store::outbox::Cancelled;

use super::sea::{Manner, Sea, Weather};
use super::server::{CLAIMS_MAX, Server};

/// How long deliveries are held for a disabled endpoint, and how much longer than its schedule one may be owed.
const HELD_FOR: TimeDelta = TimeDelta::days(12);
const POSTPONED_FOR: TimeDelta = TimeDelta::days(1);
/// How often upkeep looks for what will not be sent any more.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Longer than this nothing that is due waits while all is quiet.
const STALLS_AFTER: Duration = Duration::from_secs(600);
/// The most that the last delivery may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(60 * 86_400);

/// How fast things happen, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) lasts: Duration,
    /// Between two things that happen.
    pub(super) gap: Duration,
    pub(super) poll: Duration,
}

/// What a voyage came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) lasted: Duration,
    pub(super) happened: u64,
    pub(super) deliveries: usize,
    pub(super) posts: u64,
    /// POSTs of deliveries that had been accepted, each with a cause.
    pub(super) again: u64,
    pub(super) lives: usize,
    pub(super) digest: u64,
}

pub(super) struct Voyage {
    pub(super) sea: Sea,
    seed: u64,
    pub(super) pace: Pace,
    pub(super) fleet: Vec<Server>,
    swept_at: Duration,
}

pub(super) fn environment(number: usize) -> EnvironmentId {
    EnvironmentId::at(1, u128::try_from(number).unwrap())
}

impl Voyage {
    pub(super) fn new(seed: u64, pace: Pace) -> Self {
        let sea = Sea::new(seed);
        let mut voyage = Self {
            fleet: vec![Server::start(&sea, pace.poll)],
            sea,
            seed,
            pace,
            swept_at: Duration::ZERO,
        };
        for _ in 0..4 {
            voyage.create_endpoint();
        }
        voyage
    }

    pub(super) async fn sail(mut self) -> Log {
        let mut happened = 0;
        while self.sea.elapsed() < self.pace.lasts {
            let gap = self.sea.throw(|dice| dice.around(self.pace.gap));
            tokio::time::sleep(gap.max(Duration::from_millis(1))).await;
            self.happen().await;
            happened += 1;
            self.look_after();
        }
        self.come_home().await;
        let lasted = self.sea.elapsed();
        let digest = self.sea.digest();
        let state = self.sea.state();
        Log {
            lasted,
            happened,
            deliveries: state.rows.ended.len(),
            posts: state.laws.posts,
            again: state.laws.again,
            lives: state.laws.lives.len(),
            digest,
        }
    }

    /// After each step: upkeep, and the laws.
    fn look_after(&mut self) {
        let at = self.sea.elapsed();
        if at >= self.swept_at + SWEEP_EVERY {
            self.swept_at = at;
            self.sweep();
        }
        self.moves_on(at);
        for server in &self.fleet {
            let held = server.handoff.gate.held();
            assert!(
                held <= CLAIMS_MAX,
                "a server holds {held} claims; seed {}",
                self.seed
            );
        }
        self.sea.uphold(self.seed);
    }

    /// While all is quiet, an endpoint that is owed something is sent something.
    fn moves_on(&self, at: Duration) {
        let database_now = self.sea.time() + self.sea.state().database_skew;
        let mut state = self.sea.state();
        if state.weather != Weather::Calm || self.fleet.is_empty() {
            return;
        }
        let limit = STALLS_AFTER + 4 * self.pace.poll;
        for (key, due_at) in state.rows.first_due() {
            let is_enabled = state.rows.endpoints[&key].is_enabled();
            let due_for = (database_now - due_at).to_std().unwrap_or_default();
            let last = state.laws.last_post.get(&key).copied().unwrap_or_default();
            let since = state.quiet_since.max(last).max(state.changed_at[&key]);
            let waits = due_for.min(at.saturating_sub(since));
            if is_enabled {
                let what = || format!("{} is owed something for {waits:?} and sent nothing", key.1);
                state.laws.demand(waits <= limit, what);
            }
        }
    }

    pub(super) fn unquiet(&self) {
        let at = self.sea.elapsed();
        self.sea.state().quiet_since = at;
    }

    /// As `upkeep.rs` does it.
    fn sweep(&self) {
        let mut state = self.sea.state();
        let now = self.sea.time() + state.database_skew;
        let endpoints: Vec<Endpoint> = state.rows.endpoints.values().cloned().collect();
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.is_enabled()) {
            let deleted = endpoint.deleted_at.is_some();
            let which = Cancelled {
                endpoint: Some(endpoint.id),
                created_before: (!deleted).then_some(now - HELD_FOR),
                event_before: None,
            };
            state.rows.cancel(endpoint.environment, which);
        }
        let own = endpoints
            .iter()
            .filter_map(|endpoint| endpoint.schedule.as_ref());
        let longest = own.map(RetrySchedule::horizon).max().unwrap_or_default();
        let horizon = TimeDelta::from_std(longest).unwrap().max(HELD_FOR) + POSTPONED_FOR;
        let which = Cancelled {
            endpoint: None,
            created_before: Some(now - horizon),
            event_before: Some(EventId::at(millis(now - horizon), 0)),
        };
        for number in 0..2 {
            state.rows.cancel(environment(number), which);
        }
    }

    /// From now on all is well, or at least the same: everything that is owed ends.
    async fn come_home(&mut self) {
        while let Some(server) = self.any_server() {
            server.crash();
        }
        self.pace.poll = Duration::from_secs(1_800);
        self.fleet.push(Server::start(&self.sea, self.pace.poll));
        self.unquiet();
        {
            let mut state = self.sea.state();
            state.weather = Weather::Calm;
            let manner = match state.dice.below(3) {
                0 => Manner::Hanging,
                1 => Manner::Unreachable(Duration::from_millis(3)),
                _ => Manner::Well,
            };
            state.manners.values_mut().for_each(|one| *one = manner);
        }
        let home_by = self.sea.elapsed() + ENDS_WITHIN;
        while !self.sea.state().rows.owed().is_empty() {
            let owed = self.sea.state().rows.owed().len();
            assert!(
                self.sea.elapsed() < home_by,
                "{owed} deliveries do not end; seed {}",
                self.seed
            );
            tokio::time::sleep(SWEEP_EVERY).await;
            self.look_after();
        }
        for server in self.fleet.drain(..) {
            let gate = server.handoff.gate.clone();
            server.finish().await;
            assert_eq!(
                gate.held(),
                0,
                "room is held for nothing; seed {}",
                self.seed
            );
        }
        self.sea.uphold(self.seed);
    }
}
