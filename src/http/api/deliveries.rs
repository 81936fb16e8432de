//! Deliveries on the wire: where each event stands with each endpoint, and every attempt that was made.
//!
//! Invariant: history is shown, never changed; a replay is a new delivery. What a receiver answered may be any
//! bytes: text is shown as text, the rest as base64.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, List, ListParams, json, timestamp, timestamp_or_null};
use crate::app::{self, App};
use crate::domain::attempt::{Answer as Received, Outcome, OutcomeName, RecordedAttempt};
use crate::domain::delivery::{Delivery, DeliveryFilter, DeliveryState, StateName};
use crate::domain::id::{DeliveryId, EndpointId, EventId};
use crate::domain::invalid::{Faults, Invalid};
use crate::http::extract::{Authorized, Body, EndpointsRead, EndpointsWrite, PathId, Query};

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryBody {
    #[schema(value_type = String, example = "delivery")]
    object: &'static str,
    #[schema(value_type = String, example = "dlv_01KDWX4V00000000000000TEST")]
    id: DeliveryId,
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    webhook_endpoint_id: EndpointId,
    #[schema(value_type = StateWord, inline)]
    state: &'static str,
    /// Attempts that were made.
    attempts: u32,
    /// When the next attempt is due; null unless pending.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    next_attempt_at: Option<DateTime<Utc>>,
    /// The delivery that this one repeats.
    #[schema(required, value_type = Option<String>)]
    replay_of: Option<DeliveryId>,
    /// `endpoint_deleted`, `event_expired` or `redacted`; null unless cancelled.
    #[schema(required, value_type = Option<String>)]
    cancel_reason: Option<&'static str>,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    /// When it ended; null while pending.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    settled_at: Option<DateTime<Utc>>,
}

/// `exhausted`: every attempt failed. `cancelled`: it will not be sent.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `state` to OpenAPI")]
enum StateWord {
    Pending,
    Delivered,
    Exhausted,
    Cancelled,
}

impl From<&Delivery> for DeliveryBody {
    fn from(delivery: &Delivery) -> Self {
        let (next_attempt_at, settled_at, cancel_reason) = match delivery.state {
            DeliveryState::Pending { due_at, .. } => (Some(due_at), None, None),
            DeliveryState::Delivered { at } | DeliveryState::Exhausted { at } => {
                (None, Some(at), None)
            }
            DeliveryState::Cancelled { at, reason } => (None, Some(at), Some(reason.as_str())),
        };
        Self {
            object: "delivery",
            id: delivery.id,
            event_id: delivery.event,
            webhook_endpoint_id: delivery.endpoint,
            state: delivery.state.name().as_str(),
            attempts: delivery.attempts,
            next_attempt_at,
            replay_of: delivery.replay_of,
            cancel_reason,
            created_at: delivery.created_at,
            settled_at,
        }
    }
}

/// One POST, and what it came to.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(super) struct AttemptBody {
    #[schema(value_type = String, example = "delivery_attempt")]
    object: &'static str,
    /// From 1.
    number: u32,
    #[serde(serialize_with = "timestamp")]
    started_at: DateTime<Utc>,
    duration_ms: u64,
    #[schema(value_type = OutcomeWord, inline)]
    outcome: &'static str,
    /// The status of the answer; null when none came.
    #[schema(required)]
    status: Option<u16>,
    /// Why no answer came, or why nothing was sent.
    #[schema(required)]
    detail: Option<String>,
    request: SentBody,
    /// Null when no answer came.
    #[schema(required)]
    response: Option<ReceivedBody>,
}

/// `forbidden`: the outbound guard did not allow the address, and nothing was sent.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes `outcome` to OpenAPI")]
enum OutcomeWord {
    Accepted,
    Refused,
    TimedOut,
    Unreachable,
    Forbidden,
}

/// What was sent. The body is the event.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttemptRequest)]
pub(super) struct SentBody {
    headers: Vec<Header>,
}

/// What the receiver answered; the first 16 KiB.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttemptResponse)]
pub(super) struct ReceivedBody {
    headers: Vec<Header>,
    body: String,
    /// `utf8`, or `base64` for what is no text.
    #[schema(value_type = String, example = "utf8")]
    body_encoding: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Header {
    name: String,
    value: String,
}

fn headers(pairs: Vec<(String, String)>) -> Vec<Header> {
    pairs
        .into_iter()
        .map(|(name, value)| Header { name, value })
        .collect()
}

impl From<RecordedAttempt> for AttemptBody {
    fn from(recorded: RecordedAttempt) -> Self {
        let outcome = recorded.attempt.outcome.name().as_str();
        let (status, detail) = describe(recorded.attempt.outcome);
        Self {
            object: "delivery_attempt",
            number: recorded.number,
            started_at: recorded.started_at,
            duration_ms: u64::try_from(recorded.attempt.duration.as_millis()).unwrap_or(u64::MAX),
            outcome,
            status,
            detail,
            request: SentBody {
                headers: headers(recorded.request_headers),
            },
            response: recorded.attempt.answer.map(ReceivedBody::from),
        }
    }
}

fn describe(outcome: Outcome) -> (Option<u16>, Option<String>) {
    match outcome {
        Outcome::Accepted { status } => (Some(status), None),
        Outcome::Refused {
            status,
            retry_after,
        } => {
            let asked = retry_after
                .map(|after| format!("the receiver asked for {} s of rest", after.as_secs()));
            (Some(status), asked)
        }
        Outcome::TimedOut { after } => (None, Some(format!("no whole answer within {after:?}"))),
        Outcome::Unreachable { reason } => (None, Some(reason.as_str().to_owned())),
        Outcome::Forbidden { reason } => (None, Some(reason)),
    }
}

impl From<Received> for ReceivedBody {
    fn from(received: Received) -> Self {
        let (body, body_encoding) = match String::from_utf8(received.body) {
            Ok(text) => (text, "utf8"),
            Err(bytes) => (BASE64_STANDARD.encode(bytes.as_bytes()), "base64"),
        };
        Self {
            headers: headers(received.headers),
            body,
            body_encoding,
        }
    }
}

/// List deliveries
#[utoipa::path(get, path = "/deliveries", tag = "Deliveries", params(
    ListParams,
    ("event_id" = Option<String>, Query, description = "Only deliveries of this event."),
    ("webhook_endpoint_id" = Option<String>, Query, description = "Only deliveries to this endpoint; `endpoint_id` is the same."),
    ("state" = inline(Option<StateWord>), Query, description = "Only deliveries in this state."),
    ("outcome" = inline(Option<OutcomeWord>), Query, description = "Only deliveries whose last attempt came to this."),
), responses((status = 200, body = List<DeliveryBody>)))]
pub(super) async fn list_deliveries(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let filter = filter(&query, &mut faults);
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::deliveries::list(&app, &caller, &filter, &listing.page).await?;
    let list = List::page(
        &page,
        &listing,
        |delivery| delivery.id.to_string(),
        page.items.iter().map(DeliveryBody::from).collect(),
    );
    json(StatusCode::OK, &list)
}

/// Get a delivery
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "Deliveries",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses((status = 200, body = DeliveryBody)),
)]
pub(super) async fn get_delivery(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(id): PathId<DeliveryId>,
) -> Answer {
    let delivery = app::deliveries::find(&app, &caller, id).await?;
    json(StatusCode::OK, &DeliveryBody::from(&delivery))
}

/// List a delivery's attempts
///
/// Oldest first, all on one page.
#[utoipa::path(
    get, path = "/deliveries/{id}/attempts", tag = "Deliveries",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses((status = 200, body = List<AttemptBody>)),
)]
pub(super) async fn list_delivery_attempts(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(id): PathId<DeliveryId>,
) -> Answer {
    let attempts = app::deliveries::attempts(&app, &caller, id).await?;
    json(
        StatusCode::OK,
        &List::whole(attempts.into_iter().map(AttemptBody::from).collect()),
    )
}

/// Replay a delivery
///
/// Makes a new delivery of the same event to the same endpoint, due at once.
#[utoipa::path(
    post, path = "/deliveries/{id}/replay", tag = "Deliveries",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses((status = 201, body = DeliveryBody)),
)]
pub(super) async fn replay_delivery(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<DeliveryId>,
    body: Body,
) -> Answer {
    let delivery = app::deliveries::replay(&app, &caller, id, body.key).await?;
    json(StatusCode::CREATED, &DeliveryBody::from(&delivery))
}

fn filter(query: &Query, faults: &mut Faults) -> DeliveryFilter {
    let state = query.filled("state").and_then(|word| {
        let known = StateName::ALL.map(StateName::as_str).join(", ");
        faults.take(StateName::parse(word).ok_or_else(|| {
            Invalid::new(
                "state",
                "invalid_state",
                format!("state must be one of {known}."),
            )
        }))
    });
    let outcome = query.filled("outcome").and_then(|word| {
        let known = OutcomeName::ALL.map(OutcomeName::as_str).join(", ");
        faults.take(OutcomeName::parse(word).ok_or_else(|| {
            let message = format!("outcome must be one of {known}.");
            Invalid::new("outcome", "invalid_outcome", message)
        }))
    });
    let event = query.id("event_id", faults);
    let name = if query.filled("webhook_endpoint_id").is_some() {
        "webhook_endpoint_id"
    } else {
        "endpoint_id"
    };
    DeliveryFilter {
        event,
        endpoint: query.id(name, faults),
        state,
        outcome,
    }
}

#[cfg(test)]
mod tests;
