//! The master key: replaced while servers run, by operators.
//!
//! Invariant: from the moment at which the installation names the new master key nothing is sealed under the old one,
//! and the installation says that the old one is still needed until nothing is left that it sealed. So a rewrap can be
//! broken off anywhere and begun again, and a server that could not open something does not start. Each bite is a
//! transaction with its entry in the environment's own trail.

use std::time::Duration;

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::AppError;
use super::trail;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::id::{EndpointId, EnvironmentId, WorkerId};
use crate::store::installation::{self, MasterKey};
use crate::store::rewrapping::{self, EndpointAnew};
use crate::store::{Conn, environments, events, workers};

/// Endpoints whose secrets are sealed again in one transaction: the environment's lock is held for some milliseconds.
const BITE: i64 = 100;
/// How often a server's lock has to be free before it counts as gone, and how far apart.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What a rewrap has done.
#[derive(Debug, Default)]
pub struct Rewrapped {
    /// Endpoints whose secrets were sealed again.
    pub endpoints: u64,
    /// Keys that sign checkpoints, likewise.
    pub audit_log_keys: u64,
    /// The installation's master key was the new one before: nothing was looked at.
    pub already: bool,
    pub environments: u64,
    /// What opens under neither master key, and was left as it is.
    pub unreadable: Vec<String>,
}

/// Seals everything that is sealed under the old master key under the new one.
///
/// Errors: `MasterKeysNeeded` without both; `MasterKeyUnknown` while a server runs that does not know the new one.
pub async fn rewrap(app: &App, actor: &Actor) -> Result<Rewrapped, AppError> {
    let mut conn = app.store().conn().await?;
    let mut done = Rewrapped::default();
    if begin(app, &mut conn).await? == MasterKey::Right {
        done.already = true;
        return Ok(done);
    }
    for environment in environments::all(&mut conn).await? {
        rewrap_environment(app, &mut conn, environment.id, actor, &mut done).await?;
        done.environments += 1;
    }
    let vault = app.store().vault();
    conn.transaction(async |conn| installation::end_replacing(conn, vault).await)
        .await?;
    Ok(done)
}

/// Makes the new master key the installation's, unless it is already; `Right` when the old one is not needed.
async fn begin(app: &App, conn: &mut Conn) -> Result<MasterKey, AppError> {
    let vault = app.store().vault();
    if !vault.has_old() {
        // With one key there is nothing to tell apart, and "done" would be heard as "replaced".
        return Err(AppError::MasterKeysNeeded);
    }
    conn.transaction(async |conn| {
        let fits = installation::begin_replacing(conn, vault).await?;
        match fits {
            MasterKey::Adopted | MasterKey::Right => return Ok(MasterKey::Right),
            MasterKey::Halfway => {}
            MasterKey::NotYet | MasterKey::OldMissing | MasterKey::Replaced | MasterKey::Wrong => {
                return Err(AppError::MasterKeysNeeded);
            }
        }
        // Behind the row's lock: a server that starts now looks at the row after it has made itself known.
        for worker in workers::without_master_key(conn, &vault.fingerprint()).await? {
            if !is_gone(conn, worker.id).await? {
                return Err(AppError::MasterKeyUnknown {
                    server: format!("{} on {}", worker.id, worker.host),
                });
            }
        }
        Ok(fits)
    })
    .await
}

/// Whether a worker's lock is free, not only for the moment in which a live one connects anew.
async fn is_gone(conn: &mut Conn, worker: WorkerId) -> Result<bool, AppError> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        if !workers::take_lock(conn, worker).await? {
            return Ok(false);
        }
        workers::give_lock_back(conn, worker).await?;
    }
    Ok(true)
}

async fn rewrap_environment(
    app: &App,
    conn: &mut Conn,
    environment: EnvironmentId,
    actor: &Actor,
    done: &mut Rewrapped,
) -> Result<(), AppError> {
    let mut after: Option<EndpointId> = None;
    let mut first = true;
    loop {
        let vault = app.store().vault();
        let look = rewrapping::look(conn, vault, environment, after, BITE).await?;
        let unreadable = look.unreadable.iter().map(ToString::to_string);
        done.unreadable.extend(unreadable);
        if first || !look.anew.is_empty() {
            bite(app, conn, environment, actor, (&look.anew, done)).await?;
        }
        first = false;
        match look.through {
            Some(through) => after = Some(through),
            None => return Ok(()),
        }
    }
}

/// One transaction: the seeds, if they are not done, and these endpoints.
async fn bite(
    app: &App,
    conn: &mut Conn,
    environment: EnvironmentId,
    actor: &Actor,
    (anew, done): (&[EndpointAnew], &mut Rewrapped),
) -> Result<(), AppError> {
    let turn = conn.turn(environment).await;
    let (endpoints, seeds, unreadable) = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let vault = app.store().vault();
            let (seeds, unreadable) = rewrapping::replace_seeds(conn, vault, environment).await?;
            let mut endpoints = 0;
            for endpoint in anew {
                let replaced = rewrapping::replace_secrets(conn, environment, endpoint).await?;
                endpoints += u64::from(replaced);
            }
            if endpoints + seeds > 0 {
                let entry = OwnEntry::new(OwnAction::MasterKeyReplaced)
                    .on("environment", environment)
                    .with("webhook_endpoints", endpoints)
                    .with("audit_log_keys", seeds);
                trail::record(app, conn, &lock, actor, [entry]).await?;
            }
            Ok::<_, AppError>((endpoints, seeds, unreadable))
        })
        .await?;
    drop(turn);
    done.endpoints += endpoints;
    done.audit_log_keys += seeds;
    for number in unreadable {
        let named = format!("audit log key {number} of {environment}");
        if !done.unreadable.contains(&named) {
            done.unreadable.push(named);
        }
    }
    app.handoff().wake();
    Ok(())
}
