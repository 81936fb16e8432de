//! API keys: made, listed and revoked by operators; checked on every request.
//!
//! Invariant: a revoked key works for at most one second more. Unknown keys are not remembered, so that nobody can
//! fill the memory with guesses.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio::time::Instant;

use super::context::App;
use super::error::{AppError, Noun};
use super::trail;
use crate::domain::access::{ApiKey, ApiKeyText, Caller, Permission};
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::id::{ApiKeyId, EnvironmentId};
use crate::domain::invalid::Invalid;
use crate::domain::page::{Page, PageQuery};
use crate::store::{api_keys, environments, events};

/// How long a key is believed without asking again.
const FRESH_FOR: Duration = Duration::from_millis(900);
/// How many keys are remembered; then all are forgotten, and read again.
const KEYS_MAX: usize = 10_000;

/// Keys that were found valid a moment ago, by hash.
#[derive(Default)]
pub(super) struct KeyCache(Mutex<HashMap<[u8; 32], (Instant, Caller)>>);

impl KeyCache {
    fn fresh(&self, hash: &[u8; 32]) -> Option<Caller> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, caller) = entries.get(hash)?;
        (read_at.elapsed() < FRESH_FOR).then(|| caller.clone())
    }

    fn remember(&self, hash: [u8; 32], read_at: Instant, caller: &Caller) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= KEYS_MAX {
            entries.clear();
        }
        entries.insert(hash, (read_at, caller.clone()));
    }
}

/// Finds out who presents this key; `None` for an unknown or revoked one.
pub async fn authenticate(app: &App, presented: &str) -> Result<Option<Caller>, AppError> {
    let hash = ApiKeyText::hash(presented);
    if let Some(caller) = app.keys().fresh(&hash) {
        return Ok(Some(caller));
    }
    let read_at = Instant::now();
    let mut conn = app.store().express().await?;
    let key = api_keys::find_by_hash(&mut conn, hash).await?;
    let Some(key) = key.filter(|key| key.revoked_at.is_none()) else {
        return Ok(None);
    };
    let caller = Caller::new(&key);
    app.keys().remember(hash, read_at, &caller);
    Ok(Some(caller))
}

/// Creates a key; its text is in the answer and nowhere else.
///
/// Errors: `NotFound` for an unknown environment, `Invalid` without a permission.
pub async fn create(
    app: &App,
    environment: EnvironmentId,
    name: &str,
    permissions: Vec<Permission>,
    actor: &Actor,
) -> Result<(ApiKey, ApiKeyText), AppError> {
    let text = ApiKeyText::from_random(app.store().vault().random_bytes());
    let key = new_key(app, environment, name, permissions, &text)?;
    insert(app, &key, &text, actor).await?;
    Ok((key, text))
}

/// Makes a key whose text the operator has chosen; answers `None` when it is there already.
pub async fn adopt(
    app: &App,
    environment: EnvironmentId,
    name: &str,
    text: &ApiKeyText,
    actor: &Actor,
) -> Result<Option<ApiKey>, AppError> {
    let mut conn = app.store().conn().await?;
    let there = api_keys::find_by_hash(&mut conn, text.sha256()).await?;
    drop(conn);
    if there.is_some() {
        return Ok(None);
    }
    let key = new_key(app, environment, name, vec![Permission::Admin], text)?;
    insert(app, &key, text, actor).await?;
    Ok(Some(key))
}

fn new_key(
    app: &App,
    environment: EnvironmentId,
    name: &str,
    permissions: Vec<Permission>,
    text: &ApiKeyText,
) -> Result<ApiKey, AppError> {
    if permissions.is_empty() {
        let message = "a key needs at least one permission.";
        return Err(AppError::Invalid(vec![Invalid::new(
            "permissions",
            "required",
            message,
        )]));
    }
    let now = app.clock().now();
    Ok(ApiKey {
        id: ApiKeyId::new(now),
        environment,
        name: name.to_owned(),
        hint: text.hint(),
        permissions,
        created_at: now,
        revoked_at: None,
    })
}

async fn insert(app: &App, key: &ApiKey, text: &ApiKeyText, actor: &Actor) -> Result<(), AppError> {
    let environment = key.environment;
    let mut conn = app.store().conn().await?;
    // Environments are never deleted: one that is there has a lock to take.
    if !environments::exists(&mut conn, environment).await? {
        return Err(AppError::not_found(Noun::Environment, &environment));
    }
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        api_keys::insert(conn, key, text.sha256()).await?;
        let entry = told(OwnAction::ApiKeyCreated, key);
        trail::record(app, conn, &lock, actor, [entry]).await
    })
    .await?;
    app.handoff().wake();
    Ok(())
}

/// Lists the keys of all environments, oldest first.
pub async fn list(app: &App) -> Result<Vec<ApiKey>, AppError> {
    let mut conn = app.store().conn().await?;
    Ok(api_keys::all(&mut conn).await?)
}

/// Lists the keys of the caller's environment, revoked ones too.
pub async fn page(
    app: &App,
    caller: &Caller,
    query: &PageQuery<ApiKeyId>,
) -> Result<Page<ApiKey>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = api_keys::page(&mut conn, caller.environment, query).await?;
    Ok(Page::cut(rows, query))
}

/// Revokes a key of the caller's environment.
///
/// Errors: `NotFound`, also for a key of another environment.
pub async fn revoke_own(app: &App, caller: &Caller, id: ApiKeyId) -> Result<ApiKey, AppError> {
    let mut conn = app.store().conn().await?;
    let key = api_keys::find(&mut conn, id).await?;
    drop(conn);
    match key.filter(|key| key.environment == caller.environment) {
        Some(key) => revoke(app, key.id, &Actor::from(caller)).await,
        None => Err(AppError::not_found(Noun::ApiKey, &id)),
    }
}

/// Revokes a key; one that is revoked already stays so.
pub async fn revoke(app: &App, id: ApiKeyId, actor: &Actor) -> Result<ApiKey, AppError> {
    let unknown = || AppError::not_found(Noun::ApiKey, &id);
    let mut conn = app.store().conn().await?;
    let key = api_keys::find(&mut conn, id).await?.ok_or_else(unknown)?;
    let turn = conn.turn(key.environment).await;
    let key = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if api_keys::revoke(conn, id, app.clock().now()).await? {
                let entry = told(OwnAction::ApiKeyRevoked, &key);
                trail::record(app, conn, &lock, actor, [entry]).await?;
            }
            let revoked = api_keys::find(conn, id).await?;
            revoked.ok_or_else(unknown)
        })
        .await?;
    app.handoff().wake();
    Ok(key)
}

fn told(action: OwnAction, key: &ApiKey) -> OwnEntry {
    let permissions: Vec<_> = key.permissions.iter().map(|held| held.as_str()).collect();
    OwnEntry::new(action)
        .on("api_key", key.id)
        .named(&key.name)
        .with("permissions", permissions.join(","))
}
