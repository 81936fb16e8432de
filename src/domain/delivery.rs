//! Deliveries: this event to this endpoint, from the outbox row to the verdict.
//!
//! Invariant: a delivery is pending until exactly one verdict ends it, and a pending delivery always has a
//! next step: it is due at a time, or held by a lease that runs out. [`decide`] is pure.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::attempt::{Outcome, OutcomeName};
use super::id::{DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId};
use super::retry::RetrySchedule;

/// This event to this endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub environment: EnvironmentId,
    pub id: DeliveryId,
    pub event: EventId,
    pub endpoint: EndpointId,
    pub state: DeliveryState,
    /// Attempts that counted towards the schedule.
    pub attempts: u32,
    pub created_at: DateTime<Utc>,
    /// The delivery that this one repeats.
    pub replay_of: Option<DeliveryId>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not ended: due at a time; while `leased`, that time is when the lease runs out.
    Pending { due_at: DateTime<Utc>, leased: bool },
    /// A receiver took it.
    Delivered { at: DateTime<Utc> },
    /// The schedule ran out.
    Exhausted { at: DateTime<Utc> },
    /// It will not be sent.
    Cancelled {
        at: DateTime<Utc>,
        reason: CancelReason,
    },
}

/// The word for a state, on the wire and in filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateName {
    Pending,
    Delivered,
    Exhausted,
    Cancelled,
}

impl StateName {
    pub const ALL: [Self; 4] = [
        Self::Pending,
        Self::Delivered,
        Self::Exhausted,
        Self::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl DeliveryState {
    pub const fn name(&self) -> StateName {
        match self {
            Self::Pending { .. } => StateName::Pending,
            Self::Delivered { .. } => StateName::Delivered,
            Self::Exhausted { .. } => StateName::Exhausted,
            Self::Cancelled { .. } => StateName::Cancelled,
        }
    }
}

/// Why a delivery will not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    EndpointDeleted,
    /// The event left the retention period, or the endpoint stayed disabled for too long.
    EventExpired,
    /// The event told of an audit log event that was redacted.
    Redacted,
}

impl CancelReason {
    pub const ALL: [Self; 3] = [Self::EndpointDeleted, Self::EventExpired, Self::Redacted];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EventExpired => "event_expired",
            Self::Redacted => "redacted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Which deliveries a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    pub event: Option<EventId>,
    pub endpoint: Option<EndpointId>,
    pub state: Option<StateName>,
    /// What the last attempt came to.
    pub outcome: Option<OutcomeName>,
}

/// How a delivery ended, as far as a summary needs it.
#[derive(Debug, Clone, Copy)]
pub struct SettledDelivery {
    pub endpoint: EndpointId,
    pub state: StateName,
    pub created_at: DateTime<Utc>,
    pub settled_at: DateTime<Utc>,
    /// Of the attempt that ended it; `None` when none did.
    pub duration_ms: Option<u64>,
}

/// One delivery that a worker holds under a committed lease: all that is needed to send it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub environment: EnvironmentId,
    pub delivery: DeliveryId,
    pub event: EventId,
    pub endpoint: EndpointId,
    pub lease: LeaseId,
    /// The attempt that is to be made, from 1.
    pub number: u32,
    /// The bytes to sign and to send.
    pub body: Bytes,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    Delivered,
    RetryAfter(Duration),
    Exhausted,
    Cancelled(CancelReason),
}

/// What an attempt says about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    Failing,
    /// The receiver said that it is gone for good.
    Gone,
}

/// The answer that says "never again" (Source: RFC 9110, 15.5.11).
const GONE: u16 = 410;

/// Decides what becomes of a delivery after attempt `number` came to `outcome`.
///
/// Shape: `number` counts from 1; `unit` is in `[0, 1)` and spreads the delay.
pub fn decide(
    number: u32,
    outcome: &Outcome,
    schedule: &RetrySchedule,
    unit: f64,
) -> (Settlement, Health) {
    match outcome {
        Outcome::Accepted { .. } => (Settlement::Delivered, Health::Well),
        Outcome::Refused { status: GONE, .. } => (Settlement::Exhausted, Health::Gone),
        Outcome::Refused { .. }
        | Outcome::TimedOut { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Forbidden { .. } => match schedule.delay_after(number, outcome, unit) {
            Some(delay) => (Settlement::RetryAfter(delay), Health::Failing),
            None => (Settlement::Exhausted, Health::Failing),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Outcome = Outcome::Refused {
        status: 500,
        retry_after: None,
    };

    #[test]
    fn an_accepted_delivery_is_delivered_whatever_its_number() {
        let schedule = RetrySchedule::default();
        for number in [1, 8, 100] {
            let decided = decide(number, &Outcome::Accepted { status: 204 }, &schedule, 0.5);
            assert_eq!(decided, (Settlement::Delivered, Health::Well));
        }
    }

    #[test]
    fn a_refused_delivery_is_tried_until_the_schedule_is_spent() {
        let schedule = RetrySchedule::default();
        for number in 1..8 {
            assert!(
                matches!(
                    decide(number, &REFUSED, &schedule, 0.0).0,
                    Settlement::RetryAfter(_)
                ),
                "{number}"
            );
        }
        assert_eq!(
            decide(8, &REFUSED, &schedule, 0.0),
            (Settlement::Exhausted, Health::Failing)
        );
    }

    #[test]
    fn gone_ends_the_delivery_and_the_endpoint() {
        let gone = Outcome::Refused {
            status: 410,
            retry_after: None,
        };

        assert_eq!(
            decide(1, &gone, &RetrySchedule::default(), 0.0),
            (Settlement::Exhausted, Health::Gone)
        );
    }
}
