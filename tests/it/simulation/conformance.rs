//! The simulated rows and the real statements: the same steps, by the dice, on both, with the same answers.
//!
//! Invariant: after every step both hold the same deliveries, due at the same times, under the same leases, and have
//! recorded the same attempts. So what a simulation finds about `rows` is true of the SQL.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::json;
use tidings::domain::attempt::{Attempt, Outcome};
use tidings::domain::breaker::{Breaker, BreakerState};
use tidings::domain::delivery::{CancelReason, Settlement, StateName};
use tidings::domain::endpoint::{DisabledReason, EndpointState};
use tidings::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId, WorkerId};
use tidings::store::claims::{Claimed, Wanted};
use tidings::store::handoff::EndpointKey;
use tidings::store::outbox::{Cancelled, Lease, NewDelivery};
use tidings::store::schema::{all_attempts, deliveries, outbox as owed};
use tidings::store::settlements::Settled;
use tidings::store::{Conn, breakers, claims, endpoints, outbox, settlements};

use super::dice::Dice;
use super::happenings::new_endpoint;
use super::rows::Rows;
use crate::harness::TestPlatform;

const STEPS: usize = 250;
const LEASE: Duration = Duration::from_secs(60);

/// Both, side by side.
struct Both {
    rows: Rows,
    dice: Dice,
    environment: EnvironmentId,
    endpoints: Vec<EndpointId>,
    events: Vec<EventId>,
    /// Every claim there ever was: late verdicts come too.
    claimed: Vec<(DeliveryId, LeaseId, u32)>,
    now: DateTime<Utc>,
    number: u128,
}

type OwedRow = (
    DeliveryId,
    i16,
    DateTime<Utc>,
    Option<LeaseId>,
    Option<WorkerId>,
);

impl Both {
    /// The database has the same rows as we have.
    async fn agree(&self, conn: &mut Conn) {
        let theirs: Vec<OwedRow> = owed::table
            .filter(owed::environment_id.eq(self.environment))
            .select((
                owed::id,
                owed::attempts,
                owed::due_at,
                owed::lease_id,
                owed::worker_id,
            ))
            .order(owed::id)
            .load(conn)
            .await
            .unwrap();
        let ours = self.rows.owed().iter().map(|(id, row)| {
            let attempts = i16::try_from(row.attempts).unwrap();
            let (lease, worker) = row.lease.unzip();
            (*id, attempts, row.due_at, lease, worker)
        });
        assert_eq!(theirs, ours.collect::<Vec<_>>(), "owed");
        let theirs: Vec<(DeliveryId, String, i16)> = deliveries::table
            .filter(deliveries::environment_id.eq(self.environment))
            .select((deliveries::id, deliveries::state, deliveries::attempts))
            .order(deliveries::id)
            .load(conn)
            .await
            .unwrap();
        let ours = self.rows.ended.iter().map(|(id, end)| {
            let attempts = i16::try_from(end.attempts).unwrap();
            (*id, end.state.as_str().to_owned(), attempts)
        });
        assert_eq!(theirs, ours.collect::<Vec<_>>(), "ended");
        let mut theirs: Vec<(DeliveryId, LeaseId)> = all_attempts::table
            .filter(all_attempts::environment_id.eq(self.environment))
            .select((all_attempts::delivery_id, all_attempts::lease_id))
            .load(conn)
            .await
            .unwrap();
        theirs.sort_unstable();
        let ours: Vec<_> = self.rows.attempts.iter().copied().collect();
        assert_eq!(theirs, ours, "attempts");
    }

    fn next(&mut self) -> u128 {
        self.number += 1;
        self.number
    }

    fn key(&mut self) -> EndpointKey {
        let endpoint = *self.dice.pick(&self.endpoints).unwrap();
        (self.environment, endpoint)
    }

    fn lease(&mut self) -> Lease {
        let (number, worker) = (self.next(), self.dice.below(3));
        Lease {
            id: LeaseId::at(1, number),
            worker: super::worker(worker),
            lasts: LEASE,
        }
    }

    async fn insert(&mut self, conn: &mut Conn) {
        let (lease, key) = (self.lease(), self.key());
        let event = match self.dice.chance(0.8) {
            true => *self.dice.pick(&self.events).unwrap(),
            // of the same time, and not there
            false => self.events[0].next(),
        };
        let new = NewDelivery {
            id: DeliveryId::for_event(event),
            event,
            endpoint: key.1,
            leased: self.dice.chance(0.5),
            replay_of: None,
        };
        outbox::insert(conn, key.0, self.now, Some(lease), &[new])
            .await
            .unwrap();
        self.rows.insert(key.0, self.now, Some(lease), &[new]);
        if new.leased {
            self.claimed.push((new.id, lease.id, 1));
        }
    }

    async fn claim(&mut self, conn: &mut Conn) {
        let lease = self.lease();
        let floors = self.rows.first_due();
        let wanted: Vec<Wanted> = self
            .endpoints
            .iter()
            .filter_map(|&endpoint| {
                let floor = floors.get(&(self.environment, endpoint)).copied();
                self.dice.chance(0.8).then(|| Wanted {
                    endpoint,
                    // of several that are due at the same time any may be taken, but not when all are
                    count: 1_000,
                    floor: floor.filter(|_| self.dice.chance(0.5)),
                })
            })
            .collect();
        let theirs = claims::claim_due(conn, self.environment, Some(self.now), lease, &wanted);
        let theirs = theirs.await.unwrap();
        let ours = self
            .rows
            .claim_due(self.environment, self.now, lease, &wanted);
        let told = |claimed: &Claimed| {
            let claims = claimed.claims.iter();
            let claims: Vec<_> = claims
                .map(|claim| (claim.delivery, claim.endpoint, claim.number))
                .collect();
            (claims, claimed.expired.clone(), claimed.taken.clone())
        };
        assert_eq!(told(&theirs), told(&ours));
        let ids = ours
            .claims
            .iter()
            .map(|claim| (claim.delivery, lease.id, claim.number));
        self.claimed.extend(ids);
        if self.dice.chance(0.5) {
            let theirs = outbox::expire(conn, self.environment, lease.id, &ours.expired)
                .await
                .unwrap();
            assert_eq!(theirs, self.rows.expire(lease.id, &ours.expired));
        }
    }

    fn some_claims(&mut self) -> Vec<(DeliveryId, LeaseId, u32)> {
        let latest = self.claimed.len().saturating_sub(12);
        let mut some = self.claimed[latest..].to_vec();
        some.retain(|_| self.dice.chance(0.5));
        some
    }

    async fn settle(&mut self, conn: &mut Conn) {
        let settled: Vec<Settled> = self
            .some_claims()
            .into_iter()
            .map(|(delivery, lease, number)| {
                let (settlement, outcome) = match self.dice.below(4) {
                    0 => (Settlement::Delivered, Outcome::Accepted { status: 200 }),
                    1 => (Settlement::Exhausted, Outcome::TimedOut { after: LEASE }),
                    _ => {
                        let delay = self.dice.below(200_000);
                        let delay = Duration::from_millis(u64::try_from(delay).unwrap());
                        let after = Outcome::TimedOut { after: LEASE };
                        (Settlement::RetryAfter(delay), after)
                    }
                };
                let attempt = Attempt {
                    outcome,
                    duration: Duration::from_millis(7),
                    answer: None,
                };
                Settled {
                    delivery,
                    lease,
                    number,
                    started_at: self.now,
                    attempt,
                    settlement,
                }
            })
            .collect();
        // a batch whose answer was lost is written again
        for _ in 0..=self.dice.below(2) {
            let theirs = settlements::settle(conn, self.environment, Some(self.now), &settled)
                .await
                .unwrap();
            assert_eq!(theirs, self.rows.settle(self.now, &settled));
        }
    }

    async fn release(&mut self, conn: &mut Conn) {
        let claims: Vec<_> = self
            .some_claims()
            .into_iter()
            .map(|(id, lease, _)| (id, lease))
            .collect();
        let theirs = outbox::release(conn, self.environment, Some(self.now), &claims)
            .await
            .unwrap();
        assert_eq!(theirs, self.rows.release(self.now, &claims));
    }

    async fn release_worker(&mut self, conn: &mut Conn) {
        let worker = super::worker(self.dice.below(3));
        let theirs = outbox::release_worker(conn, self.environment, worker, Some(self.now))
            .await
            .unwrap();
        assert_eq!(theirs, self.rows.release_worker(worker, self.now));
    }

    async fn cancel(&mut self, conn: &mut Conn) {
        let before = self.now - self.dice.between(Duration::ZERO, Duration::from_secs(600));
        let which = Cancelled {
            endpoint: self.dice.chance(0.7).then(|| self.endpoints[0]),
            created_before: Some(before),
            event_before: None,
        };
        let reason = CancelReason::EventExpired;
        let theirs = outbox::cancel(conn, self.environment, which, reason, 1_000)
            .await
            .unwrap();
        assert_eq!(theirs, self.rows.cancel(self.environment, which));
    }

    /// An endpoint is disabled or enabled, and its breaker is written.
    async fn change(&mut self, platform: &TestPlatform, conn: &mut Conn) {
        let key = self.key();
        let mut endpoint = self.rows.endpoints[&key].clone();
        endpoint.state = match self.dice.chance(0.3) {
            true => EndpointState::Disabled(DisabledReason::ByHand),
            false => EndpointState::Enabled,
        };
        endpoints::update(conn, platform.store().vault(), &endpoint)
            .await
            .unwrap();
        self.rows.endpoints.insert(key, endpoint);
        let state = match self.dice.below(3) {
            0 => BreakerState::Closed,
            1 => Breaker::recovering(self.now).state(self.now),
            _ => BreakerState::Open {
                since: self.now,
                probe_at: self.now + LEASE,
            },
        };
        breakers::set(conn, key, state).await.unwrap();
        self.rows.set_breaker(key, state);
        assert_eq!(
            breakers::find(conn, key).await.unwrap(),
            self.rows.breaker(key)
        );
    }

    async fn look(&mut self, conn: &mut Conn) {
        let mut theirs = claims::find_owed(conn, Some(self.now), 100).await.unwrap();
        let mut ours = self.rows.find_owed(self.now, 100);
        // those that are due at the same time come in any order
        theirs.sort_by_key(|one| one.endpoint);
        ours.sort_by_key(|one| one.endpoint);
        assert_eq!(theirs, ours);
    }

    async fn step(&mut self, platform: &TestPlatform, conn: &mut Conn) {
        self.now += self
            .dice
            .between(Duration::from_millis(1), Duration::from_secs(9));
        self.now = tidings::domain::time::to_millis_precision(self.now);
        match self.dice.below(20) {
            0..7 => self.insert(conn).await,
            7..10 => self.claim(conn).await,
            10..14 => self.settle(conn).await,
            14 | 15 => self.release(conn).await,
            16 => self.release_worker(conn).await,
            17 => self.change(platform, conn).await,
            18 => self.look(conn).await,
            _ if self.dice.chance(0.3) => self.cancel(conn).await,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_rows_and_the_statements_say_the_same() {
    let platform = TestPlatform::usual().await;
    let mut events = Vec::new();
    for number in 0..5 {
        let event = platform
            .publish("simulated.event", json!({ "number": number }))
            .await;
        events.push(event["id"].as_str().unwrap().parse().unwrap());
    }
    let mut conn = platform.store().conn().await.unwrap();
    for seed in [1, 2] {
        let now = platform.clock.now();
        let mut both = Both {
            rows: Rows::default(),
            dice: Dice::new(super::setting("TIDINGS_SIMULATION_SEED").unwrap_or(seed)),
            environment: platform.environment,
            endpoints: Vec::new(),
            events: events.clone(),
            claimed: Vec::new(),
            now,
            number: u128::from(seed) << 32,
        };
        for event in &events {
            both.rows.bodies.insert(*event, bytes::Bytes::new());
        }
        for number in 0..3 {
            let endpoint =
                new_endpoint((both.environment, EndpointId::at(seed, number)), None, now);
            endpoints::insert(&mut conn, platform.store().vault(), &endpoint)
                .await
                .unwrap();
            both.endpoints.push(endpoint.id);
            both.rows
                .endpoints
                .insert((both.environment, endpoint.id), endpoint);
        }
        for _ in 0..STEPS {
            both.step(&platform, &mut conn).await;
            both.agree(&mut conn).await;
        }
        assert!(
            both.rows
                .ended
                .values()
                .any(|end| end.state == StateName::Delivered)
        );
        both.clear(&mut conn).await;
    }
}

impl Both {
    /// Leaves nothing to the next seed.
    async fn clear(&self, conn: &mut Conn) {
        diesel::delete(owed::table).execute(conn).await.unwrap();
        diesel::delete(deliveries::table)
            .execute(conn)
            .await
            .unwrap();
        let attempts = tidings::store::schema::attempts::table;
        diesel::delete(attempts).execute(conn).await.unwrap();
    }
}
