//! Endpoints: registered, changed, rotated, tested and deleted.
//!
//! Invariant: every change takes the environment's lock and bumps the fan-out's version there, so an event that
//! commits afterwards sees it; this process forgets what it remembered of the endpoint once the commit is done.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::breaker::{Breaker, BreakerState};
use crate::domain::delivery::CancelReason;
use crate::domain::endpoint::{Endpoint, EndpointChange, NewEndpoint, Secrets};
use crate::domain::endpoint_health::EndpointHealth;
use crate::domain::event::{Audience, Event, NewEvent};
use crate::domain::id::EndpointId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::limits::ENDPOINTS_MAX;
use crate::domain::page::{Page, PageQuery};
use crate::domain::signature::SigningSecret;
use crate::store::outbox::Cancelled;
use crate::store::{Conn, StoreError, breakers, endpoint_health, endpoints, events, outbox};

/// Deliveries that one statement cancels.
const CANCEL_BATCH: i64 = 1_000;
/// Statements that a deletion waits for; upkeep does the rest.
const CANCEL_ROUNDS: usize = 10;

/// Registers an endpoint.
///
/// Errors: `InvalidUrl` when the outbound guard would not call it, `Exists` when the URL is registered already,
/// `LimitReached`.
pub async fn create(
    app: &App,
    caller: &Caller,
    new: NewEndpoint,
    key: Option<IdempotencyKey>,
) -> Result<Endpoint, AppError> {
    check_url(app, &new.url)?;
    let new = NewEndpoint {
        organization: caller.bound_to.or(new.organization),
        ..new
    };
    let endpoint = made(app, caller, new);
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let created = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(id) = once::made_before(conn, caller.environment, key.as_ref()).await? {
                return found(app, conn, caller, id).await;
            }
            if endpoints::count(conn, caller.environment).await? >= ENDPOINTS_MAX {
                return Err(AppError::LimitReached {
                    what: "webhook endpoints",
                    max: ENDPOINTS_MAX,
                });
            }
            // Before the endpoint is there: the first event that it gets is not that it was made.
            let entry = OwnEntry::endpoint_created(&endpoint);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            let inserted = endpoints::insert(conn, app.store().vault(), &endpoint).await;
            inserted.map_err(|error| conflict(error, &endpoint))?;
            events::bump_endpoints_version(conn, &lock).await?;
            once::remember(app, conn, caller.environment, key.as_ref(), endpoint.id).await?;
            Ok::<_, AppError>(endpoint)
        })
        .await?;
    app.handoff().wake();
    Ok(created)
}

fn made(app: &App, caller: &Caller, new: NewEndpoint) -> Endpoint {
    let now = app.clock().now();
    let drawn = || SigningSecret::from_bytes(app.store().vault().random_bytes());
    Endpoint {
        environment: caller.environment,
        id: EndpointId::new(now),
        url: new.url,
        patterns: new.patterns,
        organization: new.organization,
        description: new.description,
        state: new.state,
        secrets: Secrets {
            current: new.secret.unwrap_or_else(drawn),
            current_since: now,
            previous: None,
        },
        schedule: new.schedule,
        failing_since: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

/// Finds one endpoint.
pub async fn find(app: &App, caller: &Caller, id: EndpointId) -> Result<Endpoint, AppError> {
    let mut conn = app.store().conn().await?;
    found(app, &mut conn, caller, id).await
}

pub(super) async fn found(
    app: &App,
    conn: &mut Conn,
    caller: &Caller,
    id: EndpointId,
) -> Result<Endpoint, AppError> {
    let endpoint = endpoints::find(conn, app.store().vault(), caller.environment, id).await?;
    let endpoint = endpoint
        .filter(|endpoint| endpoint.deleted_at.is_none() && caller.sees(endpoint.organization));
    endpoint.ok_or_else(|| AppError::not_found(Noun::Endpoint, &id))
}

/// Finds out how an endpoint does, and why.
///
/// Errors: `NotFound`.
pub async fn health(
    app: &App,
    caller: &Caller,
    id: EndpointId,
) -> Result<EndpointHealth, AppError> {
    let key = (caller.environment, id);
    let mut conn = app.store().conn().await?;
    let endpoint = found(app, &mut conn, caller, id).await?;
    let breaker = Breaker::in_state(breakers::find(&mut conn, key).await?);
    Ok(EndpointHealth {
        endpoint,
        breaker: breaker.state(app.clock().now()),
        pending: endpoint_health::pending(&mut conn, key, app.clock().for_database()).await?,
        recent: endpoint_health::recent(&mut conn, key).await?,
    })
}

/// How the breaker of an endpoint that the caller has found stands.
pub async fn breaker(app: &App, endpoint: &Endpoint) -> Result<BreakerState, AppError> {
    let mut conn = app.store().conn().await?;
    let key = (endpoint.environment, endpoint.id);
    let breaker = Breaker::in_state(breakers::find(&mut conn, key).await?);
    Ok(breaker.state(app.clock().now()))
}

/// Lists endpoints.
pub async fn list(
    app: &App,
    caller: &Caller,
    query: &PageQuery<EndpointId>,
) -> Result<Page<Endpoint>, AppError> {
    let mut conn = app.store().conn().await?;
    let vault = app.store().vault();
    let (environment, bound_to) = (caller.environment, caller.bound_to);
    let rows = endpoints::page(&mut conn, vault, environment, bound_to, query).await?;
    Ok(Page::cut(rows, query))
}

/// Changes an endpoint.
///
/// Errors: `NotFound`, `InvalidUrl`, `Exists`.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: EndpointId,
    change: EndpointChange,
) -> Result<Endpoint, AppError> {
    if let Some(url) = &change.url {
        check_url(app, url)?;
    }
    let now = app.clock().now();
    modify(app, caller, id, None, move |endpoint: &mut Endpoint| {
        let before = endpoint.clone();
        change.apply(endpoint, now);
        OwnEntry::endpoint_changes(&before, endpoint)
    })
    .await
}

/// How a secret is replaced.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Brought by the caller, or drawn.
    pub secret: Option<SigningSecret>,
    /// How long the previous secret stays valid; zero: not at all.
    pub overlap: Duration,
}

/// Replaces an endpoint's secret.
pub async fn rotate_secret(
    app: &App,
    caller: &Caller,
    id: EndpointId,
    rotation: Rotation,
    key: Option<IdempotencyKey>,
) -> Result<Endpoint, AppError> {
    let now = app.clock().now();
    let drawn = || SigningSecret::from_bytes(app.store().vault().random_bytes());
    let secret = rotation.secret.unwrap_or_else(drawn);
    modify(app, caller, id, key, move |endpoint: &mut Endpoint| {
        endpoint.secrets = endpoint
            .secrets
            .clone()
            .rotate(secret, now, rotation.overlap);
        endpoint.updated_at = now;
        let entry = OwnEntry::of_endpoint(OwnAction::SecretRotated, endpoint);
        vec![entry.with("overlap_seconds", rotation.overlap.as_secs())]
    })
    .await
}

/// Ends a rotation's overlap: from now on only the current secret signs.
pub async fn complete_rotation(
    app: &App,
    caller: &Caller,
    id: EndpointId,
    key: Option<IdempotencyKey>,
) -> Result<Endpoint, AppError> {
    let now = app.clock().now();
    modify(app, caller, id, key, move |endpoint: &mut Endpoint| {
        if endpoint.secrets.previous_at(now).is_none() {
            return Vec::new();
        }
        endpoint.secrets = endpoint.secrets.clone().complete(now);
        endpoint.updated_at = now;
        vec![OwnEntry::of_endpoint(
            OwnAction::RotationCompleted,
            endpoint,
        )]
    })
    .await
}

/// Deletes an endpoint; what is still owed to it is cancelled.
pub async fn delete(app: &App, caller: &Caller, id: EndpointId) -> Result<(), AppError> {
    let now = app.clock().now();
    modify(app, caller, id, None, move |endpoint: &mut Endpoint| {
        endpoint.deleted_at = Some(now);
        endpoint.updated_at = now;
        vec![OwnEntry::of_endpoint(OwnAction::EndpointDeleted, endpoint)]
    })
    .await?;
    let mut conn = app.store().conn().await?;
    let which = Cancelled {
        endpoint: Some(id),
        ..Cancelled::default()
    };
    for _ in 0..CANCEL_ROUNDS {
        if outbox::cancel(
            &mut conn,
            caller.environment,
            which,
            CancelReason::EndpointDeleted,
            CANCEL_BATCH,
        )
        .await?
            == 0
        {
            break;
        }
    }
    Ok(())
}

/// A sample event as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub event: NewEvent,
    /// Whether the event's data is the caller's; otherwise its type's example stands in, if there is one.
    pub has_data: bool,
}

/// Sends a sample event to this endpoint alone, whatever it is subscribed to.
///
/// Errors: `NotFound`, `EndpointDisabled`.
pub async fn test(
    app: &App,
    caller: &Caller,
    id: EndpointId,
    sample: Option<Sample>,
    key: Option<IdempotencyKey>,
) -> Result<Event, AppError> {
    let refusal = match find(app, caller, id).await {
        Ok(endpoint) if endpoint.is_enabled() => None,
        Ok(_disabled) => Some(AppError::EndpointDisabled { id }),
        Err(error) => Some(error),
    };
    if let Some(refusal) = refusal {
        let before = once::recorded_or(app, caller, key.as_ref(), refusal).await?;
        return super::events::one(before);
    }
    let event = match sample {
        Some(sample) => NewEvent {
            audience: Audience::Only(id),
            ..filled(app, caller, sample).await?
        },
        None => NewEvent::endpoint_test(id),
    };
    super::events::publish_sample(app, caller, event, key).await
}

async fn filled(app: &App, caller: &Caller, sample: Sample) -> Result<NewEvent, AppError> {
    let Sample { event, has_data } = sample;
    if has_data {
        return Ok(event);
    }
    let example = super::event_types::example(app, caller, &event.event_type).await?;
    Ok(NewEvent {
        data: example.unwrap_or_else(|| event.data.clone()),
        ..event
    })
}

/// Reads an endpoint under the lock, changes it, writes it back and tells of it.
///
/// Shape: a change that tells of nothing has changed nothing, and nothing is written.
async fn modify(
    app: &App,
    caller: &Caller,
    id: EndpointId,
    key: Option<IdempotencyKey>,
    change: impl FnOnce(&mut Endpoint) -> Vec<OwnEntry> + Send,
) -> Result<Endpoint, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let endpoint = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let mut endpoint = found(app, conn, caller, id).await?;
            if once::made_before::<EndpointId>(conn, caller.environment, key.as_ref())
                .await?
                .is_some()
            {
                return Ok(endpoint);
            }
            let before = endpoint.clone();
            let entries = change(&mut endpoint);
            if entries.is_empty() {
                endpoint = before;
            } else {
                if let Some(state) = breaker_after(&before, &endpoint, app.clock().now()) {
                    breakers::set(conn, (caller.environment, id), state).await?;
                }
                let updated = endpoints::update(conn, app.store().vault(), &endpoint).await;
                updated.map_err(|error| conflict(error, &endpoint))?;
                events::bump_endpoints_version(conn, &lock).await?;
                trail::record(app, conn, &lock, &Actor::from(caller), entries).await?;
            }
            once::remember(app, conn, caller.environment, key.as_ref(), id).await?;
            Ok::<_, AppError>(endpoint)
        })
        .await?;
    app.store().endpoint_changed((caller.environment, id));
    app.handoff().wake();
    Ok(endpoint)
}

/// How the breaker of an endpoint stands after a change; `None`: as before. One that is enabled again is not flooded
/// with what was held for it.
fn breaker_after(before: &Endpoint, after: &Endpoint, now: DateTime<Utc>) -> Option<BreakerState> {
    match (before.is_enabled(), after.is_enabled()) {
        (false, true) => Some(BreakerState::HalfOpen {
            since: now,
            room: 1,
        }),
        (true, true) if before.url == after.url => None,
        (true | false, true | false) => Some(BreakerState::Closed),
    }
}

fn check_url(app: &App, url: &str) -> Result<(), AppError> {
    match app.policy().check_url(url) {
        Ok(_target) => Ok(()),
        Err(refusal) => Err(AppError::InvalidUrl {
            message: refusal.to_string(),
        }),
    }
}

fn conflict(error: StoreError, endpoint: &Endpoint) -> AppError {
    match error {
        StoreError::Conflict { constraint } if constraint == "endpoints_url_unique" => {
            AppError::Exists {
                noun: Noun::Endpoint,
                message: format!(
                    "A webhook endpoint with the URL {} already exists.",
                    endpoint.url
                ),
            }
        }
        error @ (StoreError::Conflict { .. }
        | StoreError::Unavailable(_)
        | StoreError::Exhausted(_)
        | StoreError::Corrupt(_)
        | StoreError::Query(_)) => error.into(),
    }
}
