//! Environments: made and listed by operators.

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::trail;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::environment::Environment;
use crate::domain::id::EnvironmentId;
use crate::domain::invalid::Invalid;
use crate::domain::limits::NAME_CHARS_MAX;
use crate::store::{StoreError, audit_signing_keys, environments, events, installation};

/// Creates an environment.
///
/// Errors: `Invalid` for an empty or overlong name, `Exists` for one in use.
pub async fn create(app: &App, name: &str, actor: &Actor) -> Result<Environment, AppError> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        let message = format!("an environment's name has 1 to {NAME_CHARS_MAX} characters.");
        return Err(AppError::Invalid(vec![Invalid::new(
            "name",
            "invalid_name",
            message,
        )]));
    }
    let now = app.clock().now();
    let environment = Environment {
        id: EnvironmentId::new(now),
        name: name.to_owned(),
        created_at: now,
    };
    let mut conn = app.store().conn().await?;
    let vault = app.store().vault();
    let turn = conn.turn(environment.id).await;
    let inserted = conn
        .transaction(async |conn| {
            let inserted = environments::insert(conn, &environment).await;
            inserted.map_err(|error| conflict(error, name))?;
            let lock = events::lock(conn, &turn).await?;
            // A command may run without the master key; then a server makes the key that signs.
            if installation::sealer(conn, vault).await?.is_some() {
                audit_signing_keys::ensure(conn, vault, environment.id, now).await?;
            }
            let entry = OwnEntry::new(OwnAction::EnvironmentCreated)
                .on("environment", environment.id)
                .named(name);
            trail::record(app, conn, &lock, actor, [entry]).await
        })
        .await;
    inserted.map(|()| environment)
}

fn conflict(error: StoreError, name: &str) -> AppError {
    match error {
        StoreError::Conflict { constraint } if constraint == "environments_name_unique" => {
            AppError::Exists {
                noun: Noun::Environment,
                message: format!("there is an environment {name:?} already"),
            }
        }
        error @ (StoreError::Conflict { .. }
        | StoreError::Unavailable(_)
        | StoreError::Exhausted(_)
        | StoreError::Corrupt(_)
        | StoreError::Query(_)) => error.into(),
    }
}

/// Lists all environments, oldest first.
pub async fn list(app: &App) -> Result<Vec<Environment>, AppError> {
    let mut conn = app.store().conn().await?;
    Ok(environments::all(&mut conn).await?)
}
