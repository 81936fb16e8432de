//! Deliveries: what became of an event at an endpoint, and doing it again.

use diesel_async::AsyncConnection;
use tokio::time::Instant;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::attempt::RecordedAttempt;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::delivery::{Delivery, DeliveryFilter};
use crate::domain::endpoint::Endpoint;
use crate::domain::event::Event;
use crate::domain::headers;
use crate::domain::id::DeliveryId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::store::attempts::{self, Recorded};
use crate::store::outbox::NewDelivery;
use crate::store::{Conn, deliveries, endpoints, events, installation, outbox};

/// Attempts of one delivery that are shown; a schedule has at most 21.
pub(super) const ATTEMPTS_SHOWN_MAX: i64 = 100;

/// Lists deliveries.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &DeliveryFilter,
    query: &PageQuery<DeliveryId>,
) -> Result<Page<Delivery>, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let among = match caller.bound_to {
        Some(id) => Some(endpoints::bound_to(&mut conn, environment, id).await?),
        None => None,
    };
    let among = among.as_deref();
    let rows = deliveries::page(&mut conn, environment, filter, among, query).await?;
    Ok(Page::cut(rows, query))
}

/// Finds one delivery.
pub async fn find(app: &App, caller: &Caller, id: DeliveryId) -> Result<Delivery, AppError> {
    let mut conn = app.store().conn().await?;
    found(&mut conn, caller, id).await
}

async fn found(conn: &mut Conn, caller: &Caller, id: DeliveryId) -> Result<Delivery, AppError> {
    let delivery = deliveries::find(conn, caller.environment, id).await?;
    let unknown = || AppError::not_found(Noun::Delivery, &id);
    let delivery = delivery.ok_or_else(unknown)?;
    if let Some(organization) = caller.bound_to {
        let among = endpoints::bound_to(conn, caller.environment, organization).await?;
        if !among.contains(&delivery.endpoint) {
            return Err(unknown());
        }
    }
    Ok(delivery)
}

/// The attempts of one delivery, oldest first, with the request headers derived anew.
pub async fn attempts(
    app: &App,
    caller: &Caller,
    id: DeliveryId,
) -> Result<Vec<RecordedAttempt>, AppError> {
    let delivery = find(app, caller, id).await?;
    let mut conn = app.store().conn().await?;
    let recorded =
        attempts::of_delivery(&mut conn, caller.environment, id, ATTEMPTS_SHOWN_MAX).await?;
    let event = events::find(&mut conn, caller.environment, delivery.event).await?;
    let endpoint = endpoints::find(
        &mut conn,
        app.store().vault(),
        caller.environment,
        delivery.endpoint,
    )
    .await?;
    let sources = event.zip(endpoint);
    let show = |recorded: Recorded| RecordedAttempt {
        number: recorded.number,
        started_at: recorded.started_at,
        request_headers: request_headers(&delivery, &recorded, sources.as_ref()),
        attempt: recorded.attempt,
    };
    Ok(recorded.into_iter().map(show).collect())
}

/// The headers that an attempt carried; without signatures when the secrets, or the body, have changed since.
fn request_headers(
    delivery: &Delivery,
    recorded: &Recorded,
    sources: Option<&(Event, Endpoint)>,
) -> Vec<(String, String)> {
    let at = recorded.started_at;
    let mut made = headers::unsigned(delivery.event, delivery.id, recorded.number, at);
    if let Some((event, endpoint)) = sources
        && endpoint.secrets.current_since <= at
        && !event.is_redacted()
    {
        made.extend(headers::signatures(
            event.id,
            &event.body,
            &endpoint.secrets,
            at,
        ));
    }
    made.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Sends the delivery's event to its endpoint again, as a new delivery; history is not rewritten.
///
/// Errors: `NotFound` for the delivery or its endpoint, `EndpointDisabled`.
pub async fn replay(
    app: &App,
    caller: &Caller,
    id: DeliveryId,
    key: Option<IdempotencyKey>,
) -> Result<Delivery, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    let made = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(made) =
                once::made_before::<DeliveryId>(conn, environment, key.as_ref()).await?
            {
                return found(conn, caller, made).await;
            }
            let old = found(conn, caller, id).await?;
            let endpoint = super::endpoints::found(app, conn, caller, old.endpoint).await?;
            if !endpoint.is_enabled() {
                return Err(AppError::EndpointDisabled { id: endpoint.id });
            }
            // Under the lock: retention takes it too before an event goes.
            if events::find(conn, environment, old.event).await?.is_none() {
                return Err(AppError::not_found(Noun::Event, &old.event));
            }
            let new = NewDelivery {
                id: DeliveryId::for_event(old.event),
                event: old.event,
                endpoint: old.endpoint,
                leased: false,
                replay_of: Some(id),
            };
            let entry = replayed(&old, new.id);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            let now = installation::time(conn, app.clock().for_database()).await?;
            outbox::insert(conn, environment, now, None, &[new]).await?;
            once::remember(app, conn, environment, key.as_ref(), new.id).await?;
            found(conn, caller, new.id).await
        })
        .await?;
    let handoff = app.handoff();
    handoff
        .agenda
        .note([(environment, made.endpoint)], Instant::now());
    handoff.wake();
    Ok(made)
}

fn replayed(old: &Delivery, new: DeliveryId) -> OwnEntry {
    OwnEntry::new(OwnAction::DeliveryReplayed)
        .on("webhook_delivery", old.id)
        .on("webhook_endpoint", old.endpoint)
        .on("event", old.event)
        .with("replayed_as", new.to_string())
}
