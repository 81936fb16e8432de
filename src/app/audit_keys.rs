//! The keys that sign checkpoints: listed for anybody, rotated by operators.
//!
//! Invariant: a rotation has two steps. From the first on, the new key and the one before it both sign, so that
//! whoever knows either can verify; from the second on, only the new one does. A retired key stays listed.

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::trail;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::checkpoint::ListedKey;
use crate::domain::id::EnvironmentId;
use crate::store::events::{self, EnvironmentLock};
use crate::store::{Conn, Turn, audit_signing_keys, environments, installation};

/// Keys that sign at the same time.
const SIGNING_MAX: usize = 2;

/// Every key that the environment has had, the newest first.
///
/// Errors: `NotFound`.
pub async fn list(app: &App, environment: EnvironmentId) -> Result<Vec<ListedKey>, AppError> {
    let mut conn = app.store().conn().await?;
    check(&mut conn, environment).await?;
    Ok(audit_signing_keys::all(&mut conn, environment).await?)
}

/// Begins a rotation: makes a key that signs beside the one there is.
///
/// Errors: `NotFound`, `RotationUnderWay` while two sign already, `MasterKeyNeeded`.
pub async fn rotate(
    app: &App,
    environment: EnvironmentId,
    actor: &Actor,
) -> Result<ListedKey, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let (lock, signing, newest) = locked(conn, &turn).await?;
        if signing.len() >= SIGNING_MAX {
            return Err(AppError::RotationUnderWay);
        }
        let vault = app.store().vault();
        let sealer = installation::sealer(conn, vault).await?;
        let sealer = sealer.ok_or(AppError::MasterKeyNeeded)?;
        let now = installation::time(conn, app.clock().for_database()).await?;
        audit_signing_keys::insert(conn, &sealer, environment, newest + 1, now).await?;
        let entry = told(OwnAction::AuditKeyRotated, environment, newest + 1);
        trail::record(app, conn, &lock, actor, [entry]).await?;
        let made = audit_signing_keys::all(conn, environment).await?;
        let made = made.into_iter().next();
        made.ok_or_else(|| AppError::not_found(Noun::Environment, &environment))
    })
    .await
}

/// Ends a rotation: every key but the newest signs no more, and its seed is deleted. Answers those keys.
///
/// Errors: `NotFound`.
pub async fn retire(
    app: &App,
    environment: EnvironmentId,
    actor: &Actor,
) -> Result<Vec<ListedKey>, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let (lock, signing, newest) = locked(conn, &turn).await?;
        let now = installation::time(conn, app.clock().for_database()).await?;
        let mut retired = Vec::new();
        for key in signing.into_iter().filter(|key| key.number < newest) {
            audit_signing_keys::retire(conn, environment, key.number, now).await?;
            let entry = told(OwnAction::AuditKeyRetired, environment, key.number);
            trail::record(app, conn, &lock, actor, [entry]).await?;
            retired.push(ListedKey {
                retired_at: Some(now),
                ..key
            });
        }
        Ok(retired)
    })
    .await
}

/// The keys that sign and the newest key's number, under the environment's lock: nothing is signed meanwhile.
async fn locked(
    conn: &mut Conn,
    turn: &Turn,
) -> Result<(EnvironmentLock, Vec<ListedKey>, i32), AppError> {
    let environment = turn.environment();
    check(conn, environment).await?;
    let lock = events::lock(conn, turn).await?;
    let keys = audit_signing_keys::all(conn, environment).await?;
    let newest = keys.first().map_or(0, |key| key.number);
    let signing = keys.into_iter().filter(|key| key.retired_at.is_none());
    Ok((lock, signing.collect(), newest))
}

/// A key by its number, which the environment's keys are counted by.
fn told(action: OwnAction, environment: EnvironmentId, number: i32) -> OwnEntry {
    OwnEntry::new(action)
        .on("environment", environment)
        .on("audit_log_key", number)
}

async fn check(conn: &mut Conn, environment: EnvironmentId) -> Result<(), AppError> {
    match environments::exists(conn, environment).await? {
        true => Ok(()),
        false => Err(AppError::not_found(Noun::Environment, &environment)),
    }
}
