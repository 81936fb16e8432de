//! Settling: what came of many claims, written in few transactions.
//!
//! Invariant: every attempt that was made is recorded. While the database is away the outcomes are kept and tried
//! again, up to the time when their leases have long run out. An endpoint is disabled in a transaction of its
//! own, under the environment's lock, together with the event that says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use tokio::sync::mpsc;

use super::courier::Courier;
use super::deliver::{Ended, NotSent, Sent};
use crate::domain::delivery::Health;
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointState, FAILING_FOR_MAX};
use crate::domain::event::NewEvent;
use crate::domain::id::EnvironmentId;
use crate::ingest;
use crate::store::attempts::{self, Settled};
use crate::store::{StoreError, endpoints, events, reconnecting};

/// Outcomes that go into one transaction.
const BATCH_MAX: usize = 500;
/// How long outcomes are kept for a database that is away.
const KEEP_FOR: Duration = Duration::from_secs(120);

/// Settles what arrives until the channel is closed and empty.
pub(super) async fn run(courier: Arc<Courier>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while ended.recv_many(&mut batch, BATCH_MAX).await > 0 {
        settle(&courier, std::mem::take(&mut batch)).await;
    }
}

/// Settles one batch, environment by environment.
pub(super) async fn settle(courier: &Courier, batch: Vec<Ended>) {
    let mut by_environment: BTreeMap<EnvironmentId, Vec<Ended>> = BTreeMap::new();
    for ended in batch {
        by_environment
            .entry(ended.claim.environment)
            .or_default()
            .push(ended);
    }
    for (environment, batch) in by_environment {
        settle_environment(courier, environment, batch).await;
    }
}

async fn settle_environment(courier: &Courier, environment: EnvironmentId, batch: Vec<Ended>) {
    let (mut settled, mut released, mut healths) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut slots = Vec::with_capacity(batch.len());
    for Ended {
        claim,
        result,
        slot,
    } in batch
    {
        slots.push(slot);
        match result {
            Ok(Sent {
                settled: one,
                health,
                endpoint,
            }) => {
                settled.push(one);
                healths.insert(endpoint.id, (health, endpoint));
            }
            Err(NotSent::NotEnabled | NotSent::TooLate | NotSent::Unavailable) => {
                released.push((claim.delivery, claim.lease));
            }
        }
    }
    settled.sort_by_key(|one| one.delivery);
    if !settled.is_empty() {
        record(courier, environment, &settled).await;
    }
    if !released.is_empty()
        && let Err(error) = courier.release_in(environment, &released).await
    {
        tracing::warn!(%environment, error = %error, "claims not released; their leases will run out");
    }
    for (health, endpoint) in healths.into_values() {
        if let Err(error) = note_health(courier, health, &endpoint).await {
            tracing::warn!(endpoint.id = %endpoint.id, error = %error, "health of an endpoint not noted");
        }
    }
    drop(slots);
}

/// Writes attempts and verdicts, again and again while the database is away.
async fn record(courier: &Courier, environment: EnvironmentId, settled: &[Settled]) {
    let result = reconnecting(KEEP_FOR, || async {
        match write(courier, environment, settled).await {
            Err(error) if error.is_unavailable() => Err(error),
            other => Ok(other),
        }
    })
    .await;
    match result {
        Ok(Ok(in_time)) if in_time < settled.len() => {
            tracing::info!(%environment, late = settled.len() - in_time, "attempts recorded after their lease was lost");
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) | Err(error) => {
            let count = settled.len();
            tracing::error!(%environment, count, error = %error, "attempts not recorded; they will be made again");
        }
    }
}

async fn write(
    courier: &Courier,
    environment: EnvironmentId,
    settled: &[Settled],
) -> Result<usize, StoreError> {
    let mut conn = courier.store.conn().await?;
    let in_time = attempts::settle(
        &mut conn,
        environment,
        courier.clock.for_database(),
        settled,
    )
    .await?;
    Ok(in_time.len())
}

/// Notes what the last attempt said about the endpoint, if that is news.
async fn note_health(
    courier: &Courier,
    health: Health,
    endpoint: &Endpoint,
) -> Result<(), StoreError> {
    let now = courier.clock.now();
    let failing_since = match (health, endpoint.failing_since) {
        (Health::Well, None) => return Ok(()),
        (Health::Well, Some(_)) => None,
        (Health::Gone, _) => return disable(courier, endpoint, DisabledReason::Gone).await,
        (Health::Failing, None) => Some(now),
        (Health::Failing, Some(since)) if has_failed_for_too_long(since, now) => {
            return disable(courier, endpoint, DisabledReason::Failing).await;
        }
        (Health::Failing, Some(_)) => return Ok(()),
    };
    let mut conn = courier.store.conn().await?;
    endpoints::set_failing_since(&mut conn, endpoint.environment, endpoint.id, failing_since)
        .await?;
    courier
        .store
        .endpoint_changed((endpoint.environment, endpoint.id));
    Ok(())
}

fn has_failed_for_too_long(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - since)
        .to_std()
        .is_ok_and(|failing_for| failing_for >= FAILING_FOR_MAX)
}

/// Disables an endpoint and records the event that says so.
async fn disable(
    courier: &Courier,
    endpoint: &Endpoint,
    reason: DisabledReason,
) -> Result<(), StoreError> {
    let (environment, id) = (endpoint.environment, endpoint.id);
    let now = courier.clock.now();
    let mut conn = courier.store.conn().await?;
    let disabled = conn
        .transaction(async |conn| {
            let mut lock = events::lock(conn, environment).await?;
            let vault = courier.store.vault();
            let Some(mut current) = endpoints::find(conn, vault, environment, id).await? else {
                return Ok(false);
            };
            if !current.is_enabled() {
                return Ok(false);
            }
            current.state = EndpointState::Disabled(reason);
            current.updated_at = now;
            endpoints::update(conn, vault, &current).await?;
            events::bump_endpoints_version(conn, &lock).await?;
            lock.endpoints_version += 1;
            let notice = NewEvent::endpoint_disabled(&current, reason);
            ingest::record_within(conn, &lock, courier.clock.for_database(), &[&notice]).await?;
            Ok::<_, StoreError>(true)
        })
        .await?;
    courier.store.endpoint_changed((environment, id));
    if disabled {
        courier.handoff.wake();
        tracing::warn!(endpoint.id = %id, reason = reason.as_str(), "endpoint disabled");
    }
    Ok(())
}
