//! Once: what a request that named itself has made already.
//!
//! Invariant: asked and remembered in the transaction that makes the object, under the environment's lock. What is
//! recorded by the group commit is remembered there; here it is only asked for, before a refusal.

use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::event::Event;
use crate::domain::id::EnvironmentId;
use crate::domain::idempotency::IdempotencyKey;
use crate::store::columns::RawId;
use crate::store::idempotency::{self, Known, Made};
use crate::store::{Conn, events};

/// The object that the request has made before, if it has.
pub(super) async fn made_before<Id: From<RawId>>(
    conn: &mut Conn,
    environment: EnvironmentId,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Id>, AppError> {
    let Some(key) = key else { return Ok(None) };
    let known = idempotency::find(conn, environment, &[key]).await?;
    match known.first() {
        Some(Known::Same(made)) => Ok(Some(made.first.into())),
        Some(Known::Other) => Err(AppError::IdempotencyKeyReused {
            key: key.key.clone(),
        }),
        Some(Known::New) | None => Ok(None),
    }
}

/// Remembers the object that the request has made.
pub(super) async fn remember(
    app: &App,
    conn: &mut Conn,
    environment: EnvironmentId,
    key: Option<&IdempotencyKey>,
    id: impl Into<RawId>,
) -> Result<(), AppError> {
    if let Some(key) = key {
        idempotency::insert(
            conn,
            environment,
            app.clock().now(),
            &[(key, Made::one(id))],
        )
        .await?;
    }
    Ok(())
}

/// What the request has recorded before, if it has; otherwise `refusal`. What has changed since must not turn its
/// first answer into a refusal.
pub(super) async fn recorded_or(
    app: &App,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    refusal: AppError,
) -> Result<Vec<Event>, AppError> {
    let Some(key) = key else { return Err(refusal) };
    let environment = caller.environment;
    let conn = app.store().conn().await?;
    let known = idempotency::find(&conn, environment, &[key]).await?;
    match known.first() {
        Some(Known::Same(Made { first, last })) => {
            let (first, last) = ((*first).into(), (*last).into());
            Ok(events::find_run(&conn, environment, first, last).await?)
        }
        Some(Known::Other) => Err(AppError::IdempotencyKeyReused {
            key: key.key.clone(),
        }),
        Some(Known::New) | None => Err(refusal),
    }
}
