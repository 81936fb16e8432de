//! One server's line to the simulated database: what it asks takes time, fails, or has been done and is not answered.
//!
//! Invariant: a server whose life is over is never answered again, and what it had asked is done or not, but not by
//! half. The cache of endpoints is the store's own.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tidings::dispatch::{Answered, Ledger};
use tidings::domain::breaker::BreakerState;
use tidings::domain::endpoint::{DisabledReason, Endpoint, EndpointState};
use tidings::domain::id::{DeliveryId, EnvironmentId, LeaseId};
use tidings::store::StoreError;
use tidings::store::claims::{Claimed, Owed, Wanted};
use tidings::store::endpoint_cache::EndpointCache;
use tidings::store::handoff::EndpointKey;
use tidings::store::outbox::Lease;
use tidings::store::settlements::Settled;

use super::sea::{Sea, State, Weather};

/// Slower answers count as a disturbance.
const PROMPT: Duration = Duration::from_millis(50);

/// What becomes of a question.
enum Fate {
    Done,
    Refused,
    /// Done, and the answer is lost.
    Lost,
    /// Refused for good, by a conflict with others.
    Broken,
}

pub(super) struct Line {
    pub(super) sea: Sea,
    pub(super) life: usize,
    pub(super) cache: EndpointCache,
}

impl Line {
    /// Waits as long as the weather wants.
    async fn wait(&self, weather: Weather) {
        let wait = self.sea.throw(|dice| match weather {
            Weather::Slow(most) => dice.between(Duration::from_millis(1), most),
            Weather::Calm | Weather::Rough(_) | Weather::Away => {
                dice.between(Duration::from_millis(1), Duration::from_millis(6))
            }
        });
        tokio::time::sleep(wait).await;
        if wait > PROMPT {
            self.disturbed();
        }
        self.live().await;
    }

    fn disturbed(&self) {
        let at = self.sea.elapsed();
        self.sea.state().laws.lives[self.life].disturbed_at = Some(at);
    }

    /// Never ends when this life is over.
    async fn live(&self) {
        let is_over = self.sea.state().laws.lives[self.life].is_over;
        if is_over {
            std::future::pending::<()>().await;
        }
    }

    fn fate(&self, weather: Weather) -> Fate {
        match weather {
            Weather::Calm | Weather::Slow(_) => Fate::Done,
            Weather::Away => Fate::Refused,
            Weather::Rough(part) => self.sea.throw(|dice| {
                if !dice.chance(part) {
                    return Fate::Done;
                }
                match dice.below(5) {
                    0 | 1 => Fate::Refused,
                    2 | 3 => Fate::Lost,
                    _ => Fate::Broken,
                }
            }),
        }
    }

    /// Asks the database: `done` is one transaction, and is told the database's time.
    pub(super) async fn ask<T>(
        &self,
        what: &str,
        done: impl FnOnce(&mut State, DateTime<Utc>) -> T,
    ) -> Result<T, StoreError> {
        self.live().await;
        let weather = self.sea.state().weather;
        self.wait(weather).await;
        let fate = self.fate(weather);
        if !matches!(fate, Fate::Done) {
            self.disturbed();
        }
        match fate {
            Fate::Refused => return Err(StoreError::Unavailable("away".to_owned())),
            Fate::Broken => {
                let broken = diesel::result::Error::RollbackTransaction;
                return Err(StoreError::Query(broken));
            }
            Fate::Done | Fate::Lost => {}
        }
        self.sea.tell(&format!("{} {what}", self.life));
        let answer = {
            let mut state = self.sea.state();
            let now = self.sea.time() + state.database_skew;
            done(&mut state, now)
        };
        self.wait(weather).await;
        if matches!(fate, Fate::Lost) {
            self.disturbed();
            return Err(StoreError::Unavailable("the connection broke".to_owned()));
        }
        Ok(answer)
    }
}

/// The same endpoint, disabled.
fn disabled(endpoint: &Endpoint, reason: DisabledReason, now: DateTime<Utc>) -> Endpoint {
    Endpoint {
        state: EndpointState::Disabled(reason),
        updated_at: now,
        ..endpoint.clone()
    }
}

impl Ledger for Line {
    fn find_owed(&self, limit: i64) -> Answered<'_, Vec<Owed>> {
        let limit = usize::try_from(limit).unwrap();
        self.ask("looks", move |state, now| state.rows.find_owed(now, limit))
            .boxed()
    }

    fn claim_due<'a>(
        &'a self,
        environment: EnvironmentId,
        lease: Lease,
        wanted: &'a [Wanted],
    ) -> Answered<'a, Claimed> {
        async move {
            let at = self.sea.elapsed();
            let claim = self.ask("claims", |state, now| {
                let claimed = state.rows.claim_due(environment, now, lease, wanted);
                let ids = claimed
                    .claims
                    .iter()
                    .map(|claim| (claim.delivery, claim.lease));
                state.laws.claimed(self.life, at, ids);
                claimed
            });
            let claimed = claim.await?;
            self.sea
                .tell(&format!("{} claimed {}", self.life, claimed.claims.len()));
            Ok(claimed)
        }
        .boxed()
    }

    fn expire<'a>(
        &'a self,
        _environment: EnvironmentId,
        lease: LeaseId,
        ids: &'a [DeliveryId],
    ) -> Answered<'a, usize> {
        self.ask("expires", move |state, _| state.rows.expire(lease, ids))
            .boxed()
    }

    fn release<'a>(
        &'a self,
        _environment: EnvironmentId,
        claims: &'a [(DeliveryId, LeaseId)],
    ) -> Answered<'a, usize> {
        self.sea.state().laws.released(self.life, claims);
        self.ask("releases", move |state, now| {
            state.rows.release(now, claims)
        })
        .boxed()
    }

    fn settle<'a>(
        &'a self,
        _environment: EnvironmentId,
        settled: &'a [Settled],
    ) -> Answered<'a, usize> {
        self.ask("settles", move |state, now| state.rows.settle(now, settled))
            .boxed()
    }

    fn current_endpoint(&self, key: EndpointKey) -> Answered<'_, Option<Arc<Endpoint>>> {
        async move {
            let began = self.sea.elapsed();
            let read = async {
                let reading = self.ask("reads", |state, _| {
                    let endpoint = state.rows.endpoints.get(&key).cloned();
                    (endpoint, self.sea.elapsed())
                });
                let (endpoint, done) = reading.await?;
                let answered = self.sea.elapsed();
                let reader = (self.life, key);
                self.sea.state().laws.read(reader, began, done, answered);
                Ok(endpoint)
            };
            self.cache.current(key, read).await
        }
        .boxed()
    }

    fn set_breaker(&self, key: EndpointKey, breaker: BreakerState) -> Answered<'_, ()> {
        async move {
            {
                let mut state = self.sea.state();
                let now = self.sea.time() + state.skews[self.life];
                state.laws.breaker_written(breaker, now);
            }
            self.ask("writes a breaker", |state, _| {
                state.rows.set_breaker(key, breaker);
            })
            .await
        }
        .boxed()
    }

    fn set_failing_since<'a>(
        &'a self,
        judged: &'a Endpoint,
        since: Option<DateTime<Utc>>,
    ) -> Answered<'a, ()> {
        async move {
            let key = (judged.environment, judged.id);
            self.ask("notes a failure", |state, _| {
                let endpoint = state.rows.endpoints.get_mut(&key).unwrap();
                if endpoint.failing_since == judged.failing_since {
                    endpoint.failing_since = since;
                }
            })
            .await?;
            self.cache.forget(key);
            Ok(())
        }
        .boxed()
    }

    fn disable<'a>(&'a self, judged: &'a Endpoint, reason: DisabledReason) -> Answered<'a, bool> {
        async move {
            let key = (judged.environment, judged.id);
            let disabling = self.ask("disables", |state, now| {
                let current = &state.rows.endpoints[&key];
                if !current.still_deserves(judged, reason) {
                    return false;
                }
                let disabled = disabled(current, reason, now);
                state.put_endpoint(disabled, self.sea.elapsed());
                state.rows.set_breaker(key, BreakerState::Closed);
                true
            });
            let disabled = disabling.await?;
            self.cache.forget(key);
            Ok(disabled)
        }
        .boxed()
    }
}
