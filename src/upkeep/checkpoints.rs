//! Checkpoints of audit logs: made wherever a trail has grown, at least every minute.
//!
//! Invariant: where nothing is new, nothing is written and no lock is taken. A bite is one transaction of one
//! environment, so that nobody waits long for its lock. Safe to run on two servers: the second finds nothing new.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::report;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::time::Clock;
use crate::ingest::checkpoints_within;
use crate::store::leader::{self, Duty};
use crate::store::{
    Conn, Store, StoreError, audit_checkpoints, audit_signing_keys, environments, events,
    installation,
};

/// How often trails are looked at: with the work itself, this stays below the minute that is promised.
const EVERY: Duration = Duration::from_secs(45);
/// Trails that one transaction signs.
const BITE: i64 = 100;

/// Makes checkpoints until `stop`, while this server leads.
pub async fn run(store: Store, clock: Clock, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leader: Option<Conn> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match leader::lead(&store, Duty::Checkpoints, leader.take()).await {
            Ok(Some(conn)) => leader = Some(conn),
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(error = %error, "checkpoints are put off");
                continue;
            }
        }
        let made = async { report("checkpoints", make(&store, &clock).await) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = made => {}
        }
    }
}

/// Makes the checkpoint of every trail that has grown since its last.
///
/// Shape: a trail that cannot be signed is passed over, and told of; the others are signed.
pub async fn make(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    for environment in environments::all(&mut conn).await? {
        match make_of(&mut conn, store, clock, environment.id).await {
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => {
                tracing::error!(environment.id = %environment.id, error = %error, "no checkpoints of an environment");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn make_of(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let behind = audit_checkpoints::behind(conn, environment, after, BITE).await?;
        let Some(&last) = behind.last() else {
            return Ok(());
        };
        match sign(conn, store, clock, environment, &behind).await {
            Err(error) if error.is_unavailable() => return Err(error),
            // One of them cannot be signed; the others must not wait for it.
            Err(_one) => sign_each(conn, store, clock, environment, &behind).await?,
            Ok(()) => {}
        }
        after = Some(last);
    }
}

async fn sign_each(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
    trails: &[OrganizationId],
) -> Result<(), StoreError> {
    for &organization in trails {
        match sign(conn, store, clock, environment, &[organization]).await {
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => {
                tracing::error!(environment.id = %environment, organization.id = %organization, error = %error,
                                "no checkpoint of a trail");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn sign(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
    trails: &[OrganizationId],
) -> Result<(), StoreError> {
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let now = clock.for_database();
        checkpoints_within(conn, &lock, now, store.vault(), trails).await?;
        Ok(())
    })
    .await
}

/// Makes the signing key of every environment that has none.
pub async fn create_keys(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let now = installation::time(&mut conn, clock.for_database()).await?;
    for environment in environments::all(&mut conn).await? {
        conn.transaction(async |conn| {
            audit_signing_keys::ensure(conn, store.vault(), environment.id, now).await
        })
        .await?;
    }
    Ok(())
}
