//! A webhook endpoint as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::{timestamp, timestamp_or_null};
use super::input::StatusWord;
use crate::domain::access::{Caller, Permission};
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::id::{EndpointId, OrganizationId};

/// What stands for a secret that the caller may not read.
const MASK: &str = "whsec_********************************";

/// A URL that wants events.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(in crate::http::api) struct EndpointBody<'a> {
    #[schema(value_type = String, example = "webhook_endpoint")]
    object: &'static str,
    #[schema(value_type = String, example = "we_01KDWX4V00000000000000TEST")]
    id: EndpointId,
    #[schema(value_type = String, example = "https://example.com/webhooks")]
    endpoint_url: &'a str,
    /// Signs every delivery. Masked unless the key may read secrets.
    #[schema(value_type = String, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: &'a str,
    #[schema(value_type = StatusWord, inline)]
    status: &'static str,
    /// Types and patterns that are wanted; empty: all.
    events: Vec<String>,
    /// Bound to an organization: only its events.
    #[schema(required, value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    #[schema(value_type = String)]
    description: &'a str,
    /// Waits between the attempts of a delivery; null: the platform's schedule.
    #[schema(required)]
    retry_delays_seconds: Option<Vec<u64>>,
    /// `by_hand`, `gone` (the receiver answered 410) or `failing` (nothing but failures for five days).
    #[schema(required, value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Since when every attempt has failed.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    failing_since: Option<DateTime<Utc>>,
    /// During a rotation: when the previous secret stops signing.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    previous_secret_expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

impl<'a> EndpointBody<'a> {
    pub(super) fn of(endpoint: &'a Endpoint, caller: &Caller, now: DateTime<Utc>) -> Self {
        let (status, disabled_reason) = match endpoint.state {
            EndpointState::Enabled => ("enabled", None),
            EndpointState::Disabled(reason) => ("disabled", Some(reason.as_str())),
        };
        let secret = if caller.may(Permission::SecretsRead) {
            endpoint.secrets.current.expose()
        } else {
            MASK
        };
        let schedule = endpoint.schedule.as_ref();
        let previous = endpoint
            .secrets
            .previous
            .as_ref()
            .map(|previous| previous.valid_until);
        Self {
            object: "webhook_endpoint",
            id: endpoint.id,
            endpoint_url: &endpoint.url,
            secret,
            status,
            events: endpoint.patterns.iter().map(ToString::to_string).collect(),
            organization_id: endpoint.organization,
            description: &endpoint.description,
            retry_delays_seconds: schedule.map(|schedule| {
                schedule
                    .delays()
                    .iter()
                    .map(|delay| delay.as_secs())
                    .collect()
            }),
            disabled_reason,
            failing_since: endpoint.failing_since,
            previous_secret_expires_at: previous.filter(|&valid_until| now < valid_until),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::domain::access::ApiKey;
    use crate::domain::endpoint::{DisabledReason, Secrets};
    use crate::domain::event::EventPattern;
    use crate::domain::id::{ApiKeyId, EnvironmentId};
    use crate::domain::retry::RetrySchedule;
    use crate::domain::signature::SigningSecret;
    use crate::domain::time::from_millis;

    fn caller(permission: Permission) -> Caller {
        Caller::new(&ApiKey {
            id: ApiKeyId::at(1, 1),
            environment: EnvironmentId::at(1, 1),
            name: String::new(),
            hint: String::new(),
            permissions: vec![permission],
            created_at: from_millis(0),
            revoked_at: None,
        })
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            environment: EnvironmentId::at(1, 1),
            id: EndpointId::at(1, 1),
            url: "https://example.com/hook".into(),
            patterns: vec![EventPattern::parse("events", "invoice.*").expect("a pattern")],
            organization: None,
            description: String::new(),
            state: EndpointState::Disabled(DisabledReason::Gone),
            secrets: Secrets {
                current: SigningSecret::from_bytes([1; 32]),
                current_since: from_millis(0),
                previous: None,
            }
            .rotate(
                SigningSecret::from_bytes([2; 32]),
                from_millis(0),
                Duration::from_secs(10),
            ),
            schedule: Some(RetrySchedule::new(vec![Duration::from_secs(5)]).expect("a schedule")),
            failing_since: None,
            created_at: from_millis(0),
            updated_at: from_millis(0),
            deleted_at: None,
        }
    }

    #[test]
    fn an_endpoint_shows_every_key_of_the_contract_and_its_own() {
        let endpoint = endpoint();

        let body = EndpointBody::of(
            &endpoint,
            &caller(Permission::SecretsRead),
            from_millis(9_999),
        );

        assert_eq!(
            serde_json::to_value(body).expect("JSON"),
            json!({
                "object": "webhook_endpoint", "id": endpoint.id.to_string(), "endpoint_url": "https://example.com/hook",
                "secret": SigningSecret::from_bytes([2; 32]).expose(), "status": "disabled", "events": ["invoice.*"],
                "organization_id": null, "description": "", "retry_delays_seconds": [5], "disabled_reason": "gone",
                "failing_since": null, "previous_secret_expires_at": "1970-01-01T00:00:10.000Z",
                "created_at": "1970-01-01T00:00:00.000Z", "updated_at": "1970-01-01T00:00:00.000Z",
            })
        );
    }

    #[test]
    fn a_secret_is_masked_and_a_past_overlap_not_shown() {
        let endpoint = endpoint();

        let body = EndpointBody::of(
            &endpoint,
            &caller(Permission::EndpointsRead),
            from_millis(10_000),
        );

        assert_eq!(body.secret, MASK);
        assert_eq!(body.previous_secret_expires_at, None);
    }
}
