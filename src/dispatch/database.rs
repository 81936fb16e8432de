//! The database as dispatch asks it.
//!
//! Invariant: each question borrows one connection and gives it back with the answer. An endpoint is disabled in a
//! transaction of its own, under the environment's lock, together with the event and the entry of the environment's
//! own trail that say so.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use futures_util::FutureExt;

use super::world::{Answered, Ledger};
use crate::domain::audit::{Actor, OwnEntry};
use crate::domain::breaker::BreakerState;
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointState};
use crate::domain::event::NewEvent;
use crate::domain::id::{DeliveryId, EnvironmentId, LeaseId};
use crate::domain::time::Clock;
use crate::ingest::{self, NewItem};
use crate::store::claims::{self, Claimed, Owed, Wanted};
use crate::store::handoff::EndpointKey;
use crate::store::outbox::{self, Lease};
use crate::store::settlements::{self, Settled};
use crate::store::{Store, StoreError, breakers, endpoints, events};

/// Postgres, and whose clock its statements go by.
pub(super) struct Database {
    store: Store,
    clock: Clock,
}

impl Database {
    pub(super) const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }
}

impl Ledger for Database {
    fn find_owed(&self, limit: i64) -> Answered<'_, Vec<Owed>> {
        async move {
            let mut conn = self.store.conn().await?;
            claims::find_owed(&mut conn, self.clock.for_database(), limit).await
        }
        .boxed()
    }

    fn claim_due<'a>(
        &'a self,
        environment: EnvironmentId,
        lease: Lease,
        wanted: &'a [Wanted],
    ) -> Answered<'a, Claimed> {
        async move {
            let now = self.clock.for_database();
            let mut conn = self.store.conn().await?;
            claims::claim_due(&mut conn, environment, now, lease, wanted).await
        }
        .boxed()
    }

    fn expire<'a>(
        &'a self,
        environment: EnvironmentId,
        lease: LeaseId,
        ids: &'a [DeliveryId],
    ) -> Answered<'a, usize> {
        async move {
            let mut conn = self.store.conn().await?;
            outbox::expire(&mut conn, environment, lease, ids).await
        }
        .boxed()
    }

    fn release<'a>(
        &'a self,
        environment: EnvironmentId,
        claims: &'a [(DeliveryId, LeaseId)],
    ) -> Answered<'a, usize> {
        async move {
            let mut conn = self.store.conn().await?;
            outbox::release(&mut conn, environment, self.clock.for_database(), claims).await
        }
        .boxed()
    }

    fn settle<'a>(
        &'a self,
        environment: EnvironmentId,
        settled: &'a [Settled],
    ) -> Answered<'a, usize> {
        async move {
            let mut conn = self.store.conn().await?;
            let now = self.clock.for_database();
            settlements::settle(&mut conn, environment, now, settled).await
        }
        .boxed()
    }

    fn current_endpoint(&self, key: EndpointKey) -> Answered<'_, Option<Arc<Endpoint>>> {
        self.store.current_endpoint(key).boxed()
    }

    fn set_breaker(&self, key: EndpointKey, state: BreakerState) -> Answered<'_, ()> {
        async move {
            let mut conn = self.store.conn().await?;
            breakers::set(&mut conn, key, state).await
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
            let mut conn = self.store.conn().await?;
            endpoints::set_failing_since(&mut conn, key, judged.failing_since, since).await?;
            self.store.endpoint_changed(key);
            Ok(())
        }
        .boxed()
    }

    fn disable<'a>(&'a self, judged: &'a Endpoint, reason: DisabledReason) -> Answered<'a, bool> {
        async move {
            let disabled = disable(&self.store, &self.clock, judged, reason).await?;
            self.store.endpoint_changed((judged.environment, judged.id));
            Ok(disabled)
        }
        .boxed()
    }
}

/// Disables an endpoint and records the event and the entry that say so.
async fn disable(
    store: &Store,
    clock: &Clock,
    judged: &Endpoint,
    reason: DisabledReason,
) -> Result<bool, StoreError> {
    let (environment, id) = (judged.environment, judged.id);
    let now = clock.now();
    let mut conn = store.conn().await?;
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let mut lock = events::lock(conn, &turn).await?;
        let vault = store.vault();
        let found = endpoints::find(conn, vault, environment, id).await?;
        let Some(mut current) = found.filter(|now| now.still_deserves(judged, reason)) else {
            return Ok(false);
        };
        current.state = EndpointState::Disabled(reason);
        current.updated_at = now;
        endpoints::update(conn, vault, &current).await?;
        breakers::set(conn, (environment, id), BreakerState::Closed).await?;
        events::bump_endpoints_version(conn, &lock).await?;
        lock.endpoints_version += 1;
        let notice = NewEvent::endpoint_disabled(&current, reason);
        let entry = OwnEntry::endpoint_disabled(&current, reason);
        let entry = entry.by(&Actor::platform("delivery"), now);
        let items = [NewItem::Event(notice), NewItem::Entry(Box::new(entry))];
        ingest::record_items_within(conn, &lock, clock.for_database(), &items).await?;
        Ok(true)
    })
    .await
}
