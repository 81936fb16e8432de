//! API keys: made, listed and revoked by operators; checked on every request.
//!
//! Invariant: a revoked key works for at most one second more. Unknown keys are not remembered, so that nobody can
//! fill the memory with guesses.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::context::App;
use super::error::{AppError, Noun};
use crate::domain::access::{ApiKey, ApiKeyText, Caller, Permission};
use crate::domain::id::{ApiKeyId, EnvironmentId};
use crate::domain::invalid::Invalid;
use crate::store::{StoreError, api_keys};

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
    let mut conn = app.store().conn().await?;
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
) -> Result<(ApiKey, ApiKeyText), AppError> {
    let text = ApiKeyText::from_random(app.store().vault().random_bytes());
    let key = insert(app, environment, name, permissions, &text).await?;
    Ok((key, text))
}

/// Makes a key whose text the operator has chosen; answers `None` when it is there already.
pub async fn adopt(
    app: &App,
    environment: EnvironmentId,
    name: &str,
    text: &ApiKeyText,
) -> Result<Option<ApiKey>, AppError> {
    let mut conn = app.store().conn().await?;
    if api_keys::find_by_hash(&mut conn, text.sha256())
        .await?
        .is_some()
    {
        return Ok(None);
    }
    insert(app, environment, name, vec![Permission::Admin], text)
        .await
        .map(Some)
}

async fn insert(
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
    let key = ApiKey {
        id: ApiKeyId::new(now),
        environment,
        name: name.to_owned(),
        hint: text.hint(),
        permissions,
        created_at: now,
        revoked_at: None,
    };
    let mut conn = app.store().conn().await?;
    match api_keys::insert(&mut conn, &key, text.sha256()).await {
        Ok(()) => Ok(key),
        Err(StoreError::Conflict { constraint })
            if constraint == "api_keys_environment_id_fkey" =>
        {
            Err(AppError::not_found(Noun::Environment, &environment))
        }
        Err(error) => Err(error.into()),
    }
}

/// Lists the keys of all environments, oldest first.
pub async fn list(app: &App) -> Result<Vec<ApiKey>, AppError> {
    let mut conn = app.store().conn().await?;
    Ok(api_keys::all(&mut conn).await?)
}

/// Revokes a key; one that is revoked already stays so.
pub async fn revoke(app: &App, id: ApiKeyId) -> Result<ApiKey, AppError> {
    let mut conn = app.store().conn().await?;
    let key = api_keys::revoke(&mut conn, id, app.clock().now()).await?;
    key.ok_or_else(|| AppError::not_found(Noun::ApiKey, &id))
}
