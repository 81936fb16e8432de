//! Why an endpoint is slow, as it is shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::timestamp_or_null;
use crate::domain::breaker::BreakerState;
use crate::domain::endpoint_health::EndpointHealth;
use crate::domain::id::EndpointId;

/// How an endpoint does, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointHealth)]
pub(in crate::http::api) struct HealthBody {
    #[schema(value_type = String, example = "webhook_endpoint_health")]
    object: &'static str,
    #[schema(value_type = String, example = "we_01KDWX4V00000000000000TEST")]
    webhook_endpoint_id: EndpointId,
    /// `disabled`, `paused`, `recovering`, `failing`, `slow`, `behind` or `well`: the first that holds.
    #[schema(value_type = String, example = "well")]
    condition: &'static str,
    /// Since when every attempt has failed.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    failing_since: Option<DateTime<Utc>>,
    breaker: BreakerBody,
    pending: PendingBody,
    recent_attempts: RecentBody,
}

/// The circuit breaker, shared by all servers.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointBreaker)]
struct BreakerBody {
    /// `closed`, `open` or `half_open`.
    #[schema(value_type = String, example = "closed")]
    state: &'static str,
    /// Since when it is open or half open.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    since: Option<DateTime<Utc>>,
    /// When the next attempt is let through, while it is open.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    probe_at: Option<DateTime<Utc>>,
}

/// What is owed to the endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointPending)]
struct PendingBody {
    /// Counted up to 10,000.
    count: u64,
    /// Whether there are more than were counted.
    has_more: bool,
    /// Those that a server is sending or about to send.
    claimed: u64,
    /// Of the others, when the first is, or was, due.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    oldest_due_at: Option<DateTime<Utc>>,
}

/// What the last attempts came to, 100 of them at most.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointRecentAttempts)]
struct RecentBody {
    count: u64,
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    since: Option<DateTime<Utc>>,
    accepted: u64,
    refused: u64,
    timed_out: u64,
    unreachable: u64,
    forbidden: u64,
    #[schema(required)]
    duration_ms_median: Option<u64>,
    #[schema(required)]
    duration_ms_max: Option<u64>,
}

impl HealthBody {
    pub(super) fn of(health: &EndpointHealth, now: DateTime<Utc>) -> Self {
        let (state, since, probe_at) = match health.breaker {
            BreakerState::Closed => ("closed", None, None),
            BreakerState::Open { since, probe_at } => ("open", Some(since), Some(probe_at)),
            BreakerState::HalfOpen { since, .. } => ("half_open", Some(since), None),
        };
        let (pending, recent) = (health.pending, health.recent);
        Self {
            object: "webhook_endpoint_health",
            webhook_endpoint_id: health.endpoint.id,
            condition: health.condition(now).as_str(),
            failing_since: health.endpoint.failing_since,
            breaker: BreakerBody {
                state,
                since,
                probe_at,
            },
            pending: PendingBody {
                count: pending.count,
                has_more: pending.has_more,
                claimed: pending.claimed,
                oldest_due_at: pending.oldest_due_at,
            },
            recent_attempts: RecentBody {
                count: recent.count(),
                since: recent.since,
                accepted: recent.accepted,
                refused: recent.refused,
                timed_out: recent.timed_out,
                unreachable: recent.unreachable,
                forbidden: recent.forbidden,
                duration_ms_median: recent.median.map(milliseconds),
                duration_ms_max: recent.longest.map(milliseconds),
            },
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
