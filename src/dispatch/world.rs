//! The world as dispatch sees it: what it asks of the database and of the network, the time, and chance.
//!
//! Invariant: dispatch reaches nothing outside of its own memory but through here, so the same answers in the same
//! order make it do the same. A simulation answers from a seed (`tests/it/simulation/`); in a server the answers are
//! those of `database` and of egress.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::database::Database;
use crate::domain::attempt::Attempt;
use crate::domain::breaker::BreakerState;
use crate::domain::endpoint::{DisabledReason, Endpoint};
use crate::domain::id::{DeliveryId, EnvironmentId, LeaseId};
use crate::domain::time::Clock;
use crate::egress::{Post, Sender};
use crate::store::claims::{Claimed, Owed, Wanted};
use crate::store::handoff::EndpointKey;
use crate::store::outbox::Lease;
use crate::store::settlements::Settled;
use crate::store::{Store, StoreError};

/// An answer of the database that is still to come.
pub type Answered<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What dispatch asks of the database; each is one transaction.
pub trait Ledger: Send + Sync {
    /// Enabled endpoints that are owed something now or soon, at most `limit`.
    fn find_owed(&self, limit: i64) -> Answered<'_, Vec<Owed>>;

    /// Takes due deliveries under a new lease.
    fn claim_due<'a>(
        &'a self,
        environment: EnvironmentId,
        lease: Lease,
        wanted: &'a [Wanted],
    ) -> Answered<'a, Claimed>;

    /// Cancels deliveries that were claimed under `lease` and whose events are gone; answers how many.
    fn expire<'a>(
        &'a self,
        environment: EnvironmentId,
        lease: LeaseId,
        ids: &'a [DeliveryId],
    ) -> Answered<'a, usize>;

    /// Gives claims back unsent; answers how many were still under their lease.
    fn release<'a>(
        &'a self,
        environment: EnvironmentId,
        claims: &'a [(DeliveryId, LeaseId)],
    ) -> Answered<'a, usize>;

    /// Records attempts and settles their deliveries; answers how many were still under lease.
    fn settle<'a>(
        &'a self,
        environment: EnvironmentId,
        settled: &'a [Settled],
    ) -> Answered<'a, usize>;

    /// The endpoint as it was less than a second ago, or after the last change that this process made.
    fn current_endpoint(&self, key: EndpointKey) -> Answered<'_, Option<Arc<Endpoint>>>;

    /// Writes down how a breaker stands.
    fn set_breaker(&self, key: EndpointKey, state: BreakerState) -> Answered<'_, ()>;

    /// Notes since when an endpoint fails, unless somebody else has noted something since `judged`.
    fn set_failing_since<'a>(
        &'a self,
        judged: &'a Endpoint,
        since: Option<DateTime<Utc>>,
    ) -> Answered<'a, ()>;

    /// Disables an endpoint that still is what was judged, and tells of it; answers whether it did.
    fn disable<'a>(&'a self, judged: &'a Endpoint, reason: DisabledReason) -> Answered<'a, bool>;
}

/// What dispatch asks of the network.
pub trait Network: Send + Sync {
    fn post<'a>(&'a self, post: Post<'a>) -> BoxFuture<'a, Attempt>;
}

impl Network for Sender {
    fn post<'a>(&'a self, post: Post<'a>) -> BoxFuture<'a, Attempt> {
        Self::post(self, post).boxed()
    }
}

/// Where chance comes from: numbers in `[0, 1)`.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// All that dispatch does not decide by itself. Cheap to clone.
#[derive(Clone)]
pub struct World {
    pub ledger: Arc<dyn Ledger>,
    pub network: Arc<dyn Network>,
    pub clock: Clock,
    pub chance: Chance,
}

impl World {
    /// The world that there is.
    pub fn real(store: Store, clock: Clock, sender: Sender) -> Self {
        Self {
            ledger: Arc::new(Database::new(store, clock.clone())),
            network: Arc::new(sender),
            clock,
            chance: Arc::new(rand::random),
        }
    }

    pub(super) fn unit(&self) -> f64 {
        (self.chance)()
    }
}
