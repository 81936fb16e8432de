//! The headers of a webhook: what a receiver needs to recognise and verify it.
//!
//! Invariant: everything here follows from the claim, the secrets and the time, so an attempt's headers need not
//! be stored. Both signature families are on every request. The message id is the event's on every attempt.

use chrono::{DateTime, Utc};

use super::delivery::Claim;
use super::endpoint::Secrets;
use super::id::{DeliveryId, EventId};
use super::signature::{sign_contract, sign_standard};

/// Who is calling.
const USER_AGENT: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"), " (webhooks)");

/// The headers of one attempt: lower-case names, in the order in which they are sent.
pub fn of_attempt(
    claim: &Claim,
    secrets: &Secrets,
    at: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let mut headers = unsigned(claim.event, claim.delivery, claim.number, at);
    headers.extend(signatures(claim.event, &claim.body, secrets, at));
    headers
}

/// The headers that do not depend on secrets.
pub fn unsigned(
    event: EventId,
    delivery: DeliveryId,
    number: u32,
    at: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
        ("webhook-id", event.to_string()),
        ("webhook-timestamp", at.timestamp().to_string()),
        ("tidings-delivery-id", delivery.to_string()),
        ("tidings-attempt", number.to_string()),
    ]
}

/// Both signature families. Standard Webhooks carries one signature for each valid secret; the contract's header
/// can carry one.
pub fn signatures(
    event: EventId,
    body: &[u8],
    secrets: &Secrets,
    at: DateTime<Utc>,
) -> [(&'static str, String); 2] {
    let valid = std::iter::once(&secrets.current).chain(secrets.previous_at(at));
    [
        (
            "webhook-signature",
            sign_standard(valid, &event.to_string(), at.timestamp(), body),
        ),
        (
            "workos-signature",
            sign_contract(secrets.for_contract(at), at.timestamp_millis(), body),
        ),
    ]
}
