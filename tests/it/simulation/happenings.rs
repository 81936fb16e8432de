//! What happens on a voyage, one thing at a time, by the dice.
//!
//! Invariant: whatever people and machines can do to a server and its database is done here now and then, and nothing
//! that they cannot. Publishing happens in tasks of its own, so that much goes on at once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tidings::domain::breaker::{Breaker, BreakerState};
use tidings::domain::endpoint::{DisabledReason, Endpoint, EndpointChange, EndpointState, Secrets};
use tidings::domain::id::EndpointId;
use tidings::domain::retry::RetrySchedule;
use tidings::domain::signature::SigningSecret;
use tidings::store::handoff::{EndpointKey, Handoff};

use super::dice::Dice;
use super::sea::{Manner, State, Weather};
use super::server::{LEASE, Server, afloat};
use super::voyage::{Voyage, environment};

/// How long a server may be away before its leases are given to others, if anybody notices.
const NOTICED_AFTER: Duration = Duration::from_secs(2);
const ENDPOINTS_MAX: usize = 8;
const SERVERS_MAX: usize = 3;

impl Voyage {
    /// One thing happens.
    pub(super) async fn happen(&mut self) {
        match self.sea.throw(|dice| dice.below(100)) {
            0..45 => self.publish(),
            45..65 => self.change_manner(),
            65..72 => self.change_endpoint(),
            72..74 => self.create_endpoint(),
            74..80 => self.change_weather(),
            80..84 => self.crash(),
            84..88 => self.stop().await,
            88..94 => self.start(),
            94..96 => self.fence(),
            96..98 => self.step_clock(),
            98 => self.lose_body(),
            _ => self.wake(),
        }
    }

    fn publish(&self) {
        let Some(place) = self
            .sea
            .throw(|dice| (!self.fleet.is_empty()).then(|| dice.below(self.fleet.len())))
        else {
            return;
        };
        let (which, count) = self.sea.throw(|dice| (dice.below(2), 1 + dice.below(6)));
        let server = &self.fleet[place];
        let (line, handoff) = (server.line.clone(), server.handoff.clone());
        afloat(Server::publish(line, handoff, environment(which), count));
    }

    fn any_endpoint(&self) -> Option<EndpointKey> {
        let mut state = self.sea.state();
        let State { rows, dice, .. } = &mut *state;
        let keys: Vec<EndpointKey> = rows.endpoints.keys().copied().collect();
        dice.pick(&keys).copied()
    }

    fn change_manner(&self) {
        if let Some(key) = self.any_endpoint() {
            let manner = self.sea.throw(any_manner);
            self.sea.tell(&format!("{} is {manner:?}", key.1));
            self.sea.state().manners.insert(key, manner);
        }
    }

    pub(super) fn create_endpoint(&mut self) {
        let at = self.sea.elapsed();
        let now = self.sea.time();
        let mut state = self.sea.state();
        let alive = state
            .rows
            .endpoints
            .values()
            .filter(|one| one.deleted_at.is_none());
        if alive.count() >= ENDPOINTS_MAX {
            return;
        }
        let number = u128::try_from(state.rows.endpoints.len()).unwrap();
        let key = (environment(state.dice.below(2)), EndpointId::at(1, number));
        let schedule = any_schedule(&mut state.dice);
        let endpoint = new_endpoint(key, schedule, now);
        let manner = any_manner(&mut state.dice);
        state.manners.insert(key, manner);
        state.put_endpoint(endpoint, at);
    }

    /// Somebody disables, enables, changes or deletes an endpoint, through one of the servers or none of these.
    fn change_endpoint(&self) {
        let Some(key) = self.any_endpoint() else {
            return;
        };
        let (at, now) = (self.sea.elapsed(), self.sea.time());
        let mut state = self.sea.state();
        let before = state.rows.endpoints[&key].clone();
        if before.deleted_at.is_some() {
            return;
        }
        let mut after = before.clone();
        match state.dice.below(8) {
            0 => after.deleted_at = Some(now),
            1 | 2 => change_state(
                &mut after,
                EndpointState::Disabled(DisabledReason::ByHand),
                now,
            ),
            3 => {
                let schedule = any_schedule(&mut state.dice);
                let change = EndpointChange {
                    schedule: Some(schedule),
                    ..EndpointChange::default()
                };
                change.apply(&mut after, now);
            }
            _ => change_state(&mut after, EndpointState::Enabled, now),
        }
        // As in `app/endpoints.rs`: one that is enabled again is not flooded, one that is disabled has no breaker.
        match (before.is_enabled(), after.is_enabled()) {
            (false, true) => {
                let since = now + state.database_skew;
                let breaker = Breaker::recovering(since).state(since);
                state.rows.set_breaker(key, breaker);
            }
            (true, false) => state.rows.set_breaker(key, BreakerState::Closed),
            (true, true) | (false, false) => {}
        }
        state.put_endpoint(after.clone(), at);
        drop(state);
        self.sea.tell(&format!(
            "{} is {:?} {:?}",
            key.1, after.state, after.deleted_at
        ));
        let through = self.sea.throw(|dice| dice.below(SERVERS_MAX));
        if let Some(server) = self.fleet.get(through) {
            server.line.cache.forget(key);
            server.handoff.wake();
        }
    }

    fn change_weather(&self) {
        let weather = self.sea.throw(|dice| match dice.below(10) {
            0 => Weather::Away,
            1 => Weather::Slow(Duration::from_secs(20)),
            2 | 3 => Weather::Slow(Duration::from_millis(800)),
            4 => Weather::Rough(0.5),
            5 => Weather::Rough(0.05),
            _ => Weather::Calm,
        });
        self.sea.tell(&format!("the database is {weather:?}"));
        self.sea.state().weather = weather;
        self.unquiet();
    }

    fn start(&mut self) {
        if self.fleet.len() < SERVERS_MAX {
            self.fleet.push(Server::start(&self.sea, self.pace.poll));
            self.sea.tell("a server starts");
            self.unquiet();
        }
    }

    pub(super) fn any_server(&mut self) -> Option<Server> {
        let count = self.fleet.len();
        (count > 0).then(|| {
            self.fleet
                .swap_remove(self.sea.throw(|dice| dice.below(count)))
        })
    }

    fn crash(&mut self) {
        let Some(server) = self.any_server() else {
            return;
        };
        let worker = server.worker();
        self.sea.tell(&format!("{} crashes", server.life));
        server.crash();
        self.unquiet();
        // Most of the time somebody notices; otherwise the leases run out.
        if self.sea.throw(|dice| dice.chance(0.7)) {
            let sea = self.sea.clone();
            let others: Vec<_> = self
                .fleet
                .iter()
                .map(|server| server.handoff.clone())
                .collect();
            afloat(async move {
                tokio::time::sleep(NOTICED_AFTER).await;
                sea.tell("a crash is noticed");
                let mut state = sea.state();
                let now = sea.time() + state.database_skew;
                state.rows.release_worker(worker, now);
                others.iter().for_each(Handoff::wake);
            });
        }
    }

    async fn stop(&mut self) {
        let Some(server) = self.any_server() else {
            return;
        };
        let (life, worker) = (server.life, server.worker());
        self.sea.tell(&format!("{life} stops"));
        let began = self.sea.elapsed();
        let drained = server.finish().await;
        self.unquiet();
        let mut state = self.sea.state();
        // Signing off gives back what it was cut off from.
        let now = self.sea.time() + state.database_skew;
        let left = state.rows.leased_to(worker, now);
        state.rows.release_worker(worker, now);
        // What a lost answer has claimed is nobody's until its lease runs out.
        let lately = |at: Option<Duration>| at.is_some_and(|at| at + LEASE >= began);
        let seen = state.laws.lives[life];
        let was_calm =
            !lately(seen.disturbed_at) && seen.fenced_at.is_none() && !lately(seen.published_at);
        let what = || format!("{life} has left {left} deliveries, {drained:?}");
        state
            .laws
            .demand(!was_calm || left <= drained.aborted, what);
    }

    /// A server's lock was lost for a moment, and others took it for dead.
    fn fence(&self) {
        let at = self.sea.elapsed();
        self.sea.tell("the first server is taken for dead");
        let mut state = self.sea.state();
        let now = self.sea.time() + state.database_skew;
        if let Some(server) = self.fleet.first() {
            state.rows.release_worker(server.worker(), now);
            state.laws.lives[server.life].fenced_at = Some(at);
        }
    }

    fn step_clock(&mut self) {
        let at = self.sea.elapsed();
        let step = self.sea.throw(|dice| {
            let step = dice.between(Duration::ZERO, Duration::from_secs(7_200));
            TimeDelta::from_std(step).unwrap() - TimeDelta::hours(1)
        });
        self.sea.tell(&format!("a clock steps by {step}"));
        self.unquiet();
        let mut state = self.sea.state();
        match self.fleet.first() {
            Some(server) if state.dice.chance(0.7) => {
                state.skews[server.life] = step;
                state.laws.lives[server.life].stepped_at = Some(at);
            }
            _ => {
                state.database_skew = step;
                for life in &mut state.laws.lives {
                    life.fenced_at = Some(at);
                    life.stepped_at = Some(at);
                }
            }
        }
    }

    /// Retention drops the oldest event before upkeep has cancelled what was owed of it.
    fn lose_body(&self) {
        let mut state = self.sea.state();
        let event = state.rows.owed().values().map(|row| row.event).min();
        if let Some(event) = event {
            state.rows.bodies.remove(&event);
        }
    }

    fn wake(&self) {
        self.fleet.iter().for_each(|server| server.handoff.wake());
    }
}

pub(super) fn new_endpoint(
    key: EndpointKey,
    schedule: Option<RetrySchedule>,
    now: DateTime<Utc>,
) -> Endpoint {
    Endpoint {
        environment: key.0,
        id: key.1,
        url: format!("https://{}.test/", key.1),
        patterns: Vec::new(),
        organization: None,
        description: String::new(),
        state: EndpointState::Enabled,
        secrets: Secrets {
            current: SigningSecret::from_bytes([7; 32]),
            current_since: now,
            previous: None,
        },
        schedule,
        failing_since: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

fn change_state(endpoint: &mut Endpoint, state: EndpointState, now: DateTime<Utc>) {
    let change = EndpointChange {
        state: Some(state),
        ..EndpointChange::default()
    };
    change.apply(endpoint, now);
}

fn any_schedule(dice: &mut Dice) -> Option<RetrySchedule> {
    if dice.chance(0.5) {
        return None;
    }
    let count = dice.below(6);
    let delays = (0..count).map(|_| dice.around(Duration::from_secs(60)) + Duration::from_secs(1));
    Some(RetrySchedule::new(delays.collect()).unwrap())
}

fn any_manner(dice: &mut Dice) -> Manner {
    match dice.below(12) {
        0 | 1 => Manner::Refusing {
            status: 503,
            retry_after: None,
        },
        2 => Manner::Refusing {
            status: 429,
            retry_after: Some(dice.around(Duration::from_secs(600))),
        },
        3 if dice.chance(0.2) => Manner::Refusing {
            status: 410,
            retry_after: None,
        },
        4 => Manner::Hanging,
        5 => Manner::Slow,
        6 => Manner::Flaky(0.05),
        7 => Manner::Flaky(0.7),
        8 => Manner::Unreachable(dice.around(Duration::from_secs(3))),
        _ => Manner::Well,
    }
}
