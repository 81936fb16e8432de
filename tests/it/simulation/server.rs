//! A simulated server: the project's own dispatcher and hand-off, on a simulated database and network.
//!
//! Invariant: nothing of dispatch is replaced. Publishing does with the hand-off what `ingest/batch.rs` does: room is
//! reserved before the commit, claims are passed on after it.

use std::sync::Arc;
use std::time::Duration;

use tidings::dispatch::{Courier, CourierSettings, Dispatcher, DispatcherSettings, Drained, World};
use tidings::domain::delivery::Claim;
use tidings::domain::endpoint::Endpoint;
use tidings::domain::id::{DeliveryId, EnvironmentId, EventId, LeaseId, WorkerId};
use tidings::domain::retry::RetrySchedule;
use tidings::domain::time::{Clock, millis};
use tidings::store::endpoint_cache::EndpointCache;
use tidings::store::gate::HoldLimits;
use tidings::store::handoff::{EndpointKey, Handoff, Held};
use tidings::store::outbox::{Lease, NewDelivery};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::laws::TIMEOUT;
use super::ledger::Line;
use super::network::Wire;
use super::sea::{Sea, State};

pub(super) const LEASE: Duration = Duration::from_secs(60);
const MARGIN: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(20);
pub(super) const CLAIMS_MAX: usize = 48;

pub(super) struct Server {
    pub(super) life: usize,
    pub(super) handoff: Handoff,
    pub(super) line: Arc<Line>,
    stop: CancellationToken,
    sending: JoinHandle<Drained>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the runtime of a simulation ends with it, and all its tasks"
)]
pub(super) fn afloat<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(task)
}

impl Server {
    pub(super) fn start(sea: &Sea, poll: Duration) -> Self {
        let life = sea.state().begin_life();
        let limits = HoldLimits {
            claims_max: CLAIMS_MAX,
            claims_per_endpoint_max: 32,
            bytes_max: 1 << 20,
        };
        let start_within = LEASE - TIMEOUT - MARGIN;
        let (handoff, handed) = Handoff::new(super::worker(life), limits, LEASE, start_within);
        let line = Arc::new(Line {
            sea: sea.clone(),
            life,
            cache: EndpointCache::default(),
        });
        let (clock_sea, chance_sea) = (sea.clone(), sea.clone());
        let world = World {
            ledger: line.clone(),
            network: Arc::new(Wire {
                sea: sea.clone(),
                life,
            }),
            clock: Clock::told(move || {
                let skew = clock_sea.state().skews[life];
                clock_sea.time() + skew
            }),
            chance: Arc::new(move || chance_sea.throw(Dice::unit)),
        };
        let settings = CourierSettings {
            schedule: RetrySchedule::default(),
            timeout: TIMEOUT,
        };
        let courier = Arc::new(Courier::new(world, handoff.clone(), settings));
        let settings = DispatcherSettings {
            in_flight_max: 12,
            per_endpoint_max: 6,
            poll,
            drain: DRAIN,
        };
        let stop = CancellationToken::new();
        let sending = Dispatcher::new(courier, settings, handed).run(stop.clone());
        Self {
            life,
            handoff,
            line,
            stop,
            sending: afloat(sending),
        }
    }

    pub(super) fn worker(&self) -> WorkerId {
        self.handoff.worker
    }

    /// From this moment on it does nothing more.
    pub(super) fn crash(self) {
        self.line.sea.state().laws.over(self.life);
        self.sending.abort();
    }

    /// Stops in order.
    pub(super) async fn finish(self) -> Drained {
        self.stop.cancel();
        let drained = self.sending.await.expect("the dispatcher ends well");
        self.line.sea.state().laws.over(self.life);
        drained
    }

    /// Publishes events to whoever is enabled.
    pub(super) async fn publish(
        line: Arc<Line>,
        handoff: Handoff,
        environment: EnvironmentId,
        count: usize,
    ) {
        let began = Instant::now();
        let at = line.sea.elapsed();
        line.sea.state().laws.lives[line.life].published_at = Some(at);
        let published = line.ask("publishes", |state, _| {
            let batch = Batch::of(state, &line, &handoff, environment, count);
            let claims = batch.held.iter().map(|held| &held.claim);
            let held = claims.map(|claim| (claim.delivery, claim.lease));
            state.laws.claimed(line.life, at, held);
            batch
        });
        let published = published.await;
        line.sea.state().laws.lives[line.life].published_at = Some(line.sea.elapsed());
        let Ok(batch) = published else {
            return;
        };
        for held in batch.held {
            let start_by = began + handoff.start_within;
            handoff.pass(Held { start_by, ..held });
        }
        if !batch.left.is_empty() {
            handoff.agenda.note(batch.left, Instant::now());
        }
    }
}

/// What one transaction publishes.
struct Batch {
    held: Vec<Held>,
    left: Vec<EndpointKey>,
}

impl Batch {
    fn of(
        state: &mut State,
        line: &Line,
        handoff: &Handoff,
        environment: EnvironmentId,
        count: usize,
    ) -> Self {
        let now = line.sea.time() + state.database_skew;
        let lease = Lease {
            id: LeaseId::new(now),
            worker: handoff.worker,
            lasts: LEASE,
        };
        let keys: Vec<EndpointKey> = state
            .rows
            .endpoints
            .values()
            .filter(|endpoint| endpoint.environment == environment)
            .filter(|endpoint| Endpoint::is_enabled(endpoint))
            .map(|endpoint| (environment, endpoint.id))
            .collect();
        let (mut held, mut left, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            state.events += 1;
            let number = state.events;
            let event = EventId::at(millis(now), number);
            let body = bytes::Bytes::from_static(b"{}");
            state.rows.bodies.insert(event, body.clone());
            for (place, &key) in (0..).zip(&keys) {
                let delivery = DeliveryId::at(millis(now), (number << 16) + place);
                state.laws.published(delivery, key);
                let slot = handoff.gate.reserve(key, body.len());
                new.push(NewDelivery {
                    id: delivery,
                    event,
                    endpoint: key.1,
                    leased: slot.is_some(),
                    replay_of: None,
                });
                let Some(slot) = slot else {
                    left.push(key);
                    continue;
                };
                let claim = Claim {
                    environment,
                    delivery,
                    event,
                    endpoint: key.1,
                    lease: lease.id,
                    number: 1,
                    body: body.clone(),
                };
                held.push(Held {
                    claim,
                    start_by: Instant::now(),
                    slot,
                });
            }
        }
        state.rows.insert(environment, now, Some(lease), &new);
        Self { held, left }
    }
}
