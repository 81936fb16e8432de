//! One claim: look at the endpoint as it is now, sign, POST, decide.
//!
//! Invariant: just before signing the endpoint's current state counts. Disabled or deleted: nothing is sent and
//! the claim is given back. The signature's time is new on every attempt; the message id never is.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::courier::Courier;
use crate::domain::attempt::Attempt;
use crate::domain::delivery::{self, Claim, Health};
use crate::domain::endpoint::Endpoint;
use crate::domain::headers;
use crate::egress::{HeaderMap, HeaderName, HeaderValue, Post, To};
use crate::store::gate::Slot;
use crate::store::handoff::Held;
use crate::store::settlements::Settled;

/// What one claim came to.
pub(super) struct Ended {
    pub(super) claim: Claim,
    pub(super) result: Result<Sent, NotSent>,
    /// Held until the verdict is written: what a process has in hand is bounded to the end.
    pub(super) slot: Slot,
}

/// A POST was made.
pub(super) struct Sent {
    pub(super) settled: Settled,
    pub(super) health: Health,
    pub(super) endpoint: Arc<Endpoint>,
    /// Whether the row of the endpoint's breaker has to be written.
    pub(super) breaker_changed: bool,
}

/// Nothing was sent, and the claim is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// The endpoint is disabled, deleted or unknown now.
    NotEnabled,
    /// The lease might run out before the POST ends.
    TooLate,
    /// The endpoint could not be read.
    Unavailable,
    /// The endpoint's breaker is open until then.
    Postponed(Instant),
}

/// Sends one claim.
pub(super) async fn deliver(courier: &Courier, held: Held) -> Ended {
    let Held {
        claim,
        start_by,
        slot,
    } = held;
    let result = send(courier, &claim, start_by).await;
    Ended {
        claim,
        result,
        slot,
    }
}

async fn send(courier: &Courier, claim: &Claim, start_by: Instant) -> Result<Sent, NotSent> {
    let endpoint = match courier
        .world
        .ledger
        .current_endpoint((claim.environment, claim.endpoint))
        .await
    {
        Ok(Some(endpoint)) if endpoint.is_enabled() => endpoint,
        Ok(_) => return Err(NotSent::NotEnabled),
        Err(error) => {
            tracing::warn!(delivery.id = %claim.delivery, error = %error, "endpoint not read; claim given back");
            return Err(NotSent::Unavailable);
        }
    };
    if Instant::now() > start_by {
        return Err(NotSent::TooLate);
    }
    let key = (claim.environment, claim.endpoint);
    courier.breakers.admit(key).map_err(NotSent::Postponed)?;
    let started_at = courier.world.clock.now();
    let post = Post {
        to: To::Url(&endpoint.url),
        headers: request_headers(claim, &endpoint, started_at),
        body: claim.body.clone(),
        timeout: Some(courier.settings.timeout),
    };
    let attempt = courier.world.network.post(post).await;
    log(claim, &attempt);
    let schedule = endpoint
        .schedule
        .as_ref()
        .unwrap_or(&courier.settings.schedule);
    let (spread, breaker_spread) = (courier.world.unit(), courier.world.unit());
    let (settlement, health) = delivery::decide(claim.number, &attempt.outcome, schedule, spread);
    let breaker_changed = courier.breakers.note(key, health, breaker_spread);
    let settled = Settled {
        delivery: claim.delivery,
        lease: claim.lease,
        number: claim.number,
        started_at,
        attempt,
        settlement,
    };
    Ok(Sent {
        settled,
        health,
        endpoint,
        breaker_changed,
    })
}

/// The headers of one attempt, as a map.
fn request_headers(claim: &Claim, endpoint: &Endpoint, at: DateTime<Utc>) -> HeaderMap {
    let made = headers::of_attempt(claim, &endpoint.secrets, at);
    let mut map = HeaderMap::with_capacity(made.len());
    for (name, value) in made {
        if let Ok(value) = HeaderValue::try_from(value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    map
}

fn log(claim: &Claim, attempt: &Attempt) {
    let duration_ms = u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX);
    let slow = attempt.duration > Duration::from_secs(5);
    if attempt.outcome.is_accepted() && !slow {
        tracing::debug!(
            delivery.id = %claim.delivery, endpoint.id = %claim.endpoint, attempt.number = claim.number,
            outcome = %attempt.outcome, duration_ms, "attempt made"
        );
    } else {
        tracing::info!(
            delivery.id = %claim.delivery, endpoint.id = %claim.endpoint, attempt.number = claim.number,
            outcome = %attempt.outcome, duration_ms, "attempt made"
        );
    }
}
