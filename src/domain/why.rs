//! Why an event went to an endpoint, or did not.
//!
//! Invariant: [`explain`] is pure: it says what the rows say, in the order in which the platform decides: there
//! in time, bound, matched, subscribed, and then what became of the last delivery. What was so in the past and is
//! no longer kept (an endpoint's patterns of last week) is said to be unknown, not guessed.

use std::fmt;

use chrono::{DateTime, Utc};

use super::attempt::Outcome;
use super::breaker::BreakerState;
use super::delivery::{CancelReason, Delivery, DeliveryState};
use super::endpoint::{DisabledReason, Endpoint, EndpointState};
use super::event::{Event, EventPattern};

/// What is known of an event and an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub event: &'a Event,
    pub endpoint: &'a Endpoint,
    /// The last of the event's deliveries to the endpoint.
    pub last: Option<&'a Delivery>,
    /// What its last attempt came to.
    pub outcome: Option<&'a Outcome>,
    /// How the endpoint's breaker stands.
    pub breaker: BreakerState,
}

/// Whether an endpoint, as it is now, wants an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It names no pattern, so it wants every type.
    EveryType,
    ByPattern(EventPattern),
    /// No pattern is the type's.
    NoPattern,
    /// It is bound to an organization that is not the event's.
    OtherOrganization,
}

impl Match {
    /// How `endpoint` takes `event`.
    pub fn of(event: &Event, endpoint: &Endpoint) -> Self {
        if endpoint.organization.is_some() && endpoint.organization != event.organization {
            return Self::OtherOrganization;
        }
        if endpoint.patterns.is_empty() {
            return Self::EveryType;
        }
        let mut patterns = endpoint.patterns.iter();
        match patterns.find(|pattern| pattern.matches(&event.event_type)) {
            Some(pattern) => Self::ByPattern(pattern.clone()),
            None => Self::NoPattern,
        }
    }

    pub const fn is_match(&self) -> bool {
        matches!(self, Self::EveryType | Self::ByPattern(_))
    }
}

/// Where an event stands at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Delivered {
        at: DateTime<Utc>,
    },
    /// An attempt is under way.
    Sending,
    /// The first attempt is due.
    Due,
    /// The last attempt failed; the next is due then.
    Retrying {
        due_at: DateTime<Utc>,
    },
    /// Owed, and not sent before the endpoint, which only fails, is probed again.
    Paused {
        since: DateTime<Utc>,
        probe_at: DateTime<Utc>,
    },
    /// Owed, and held while the endpoint is disabled.
    Held {
        reason: DisabledReason,
    },
    /// No attempt is left, or the receiver said that it is gone.
    Exhausted {
        at: DateTime<Utc>,
    },
    Cancelled {
        at: DateTime<Utc>,
        reason: CancelReason,
    },
    /// It was recorded before there was the endpoint.
    EndpointIsNewer,
    OtherOrganization,
    NoPattern,
    /// It matches now, and there is no delivery: the endpoint was disabled or wanted something else then.
    NotSubscribedThen,
}

impl Verdict {
    /// The word for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Sending => "sending",
            Self::Due => "due",
            Self::Retrying { .. } => "retrying",
            Self::Paused { .. } => "paused",
            Self::Held { .. } => "held",
            Self::Exhausted { .. } => "exhausted",
            Self::Cancelled { .. } => "cancelled",
            Self::EndpointIsNewer => "endpoint_is_newer",
            Self::OtherOrganization => "other_organization",
            Self::NoPattern => "no_pattern",
            Self::NotSubscribedThen => "not_subscribed_then",
        }
    }
}

/// Why, in one sentence and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub verdict: Verdict,
    pub matched: Match,
    /// For people: a sentence or two.
    pub sentence: String,
}

/// Says why `facts.event` went to `facts.endpoint`, or did not.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let matched = Match::of(facts.event, facts.endpoint);
    let verdict = match facts.last {
        Some(delivery) => of_delivery(delivery, facts.endpoint, facts.breaker),
        None => without_delivery(facts, &matched),
    };
    let sentence = sentence(facts, &matched, &verdict);
    Explanation {
        verdict,
        matched,
        sentence,
    }
}

fn of_delivery(delivery: &Delivery, endpoint: &Endpoint, breaker: BreakerState) -> Verdict {
    match delivery.state {
        DeliveryState::Delivered { at } => Verdict::Delivered { at },
        DeliveryState::Exhausted { at } => Verdict::Exhausted { at },
        DeliveryState::Cancelled { at, reason } => Verdict::Cancelled { at, reason },
        DeliveryState::Pending { leased: true, .. } => Verdict::Sending,
        DeliveryState::Pending { due_at, .. } => match (endpoint.state, breaker) {
            (EndpointState::Disabled(reason), _) => Verdict::Held { reason },
            // What is due later than the probe waits for its own time.
            (EndpointState::Enabled, BreakerState::Open { since, probe_at })
                if due_at <= probe_at =>
            {
                Verdict::Paused { since, probe_at }
            }
            (EndpointState::Enabled, _) if delivery.attempts == 0 => Verdict::Due,
            (EndpointState::Enabled, _) => Verdict::Retrying { due_at },
        },
    }
}

fn without_delivery(facts: &Facts<'_>, matched: &Match) -> Verdict {
    match matched {
        _ if facts.endpoint.created_at > facts.event.id.time() => Verdict::EndpointIsNewer,
        Match::OtherOrganization => Verdict::OtherOrganization,
        Match::NoPattern => Verdict::NoPattern,
        Match::EveryType | Match::ByPattern(_) => Verdict::NotSubscribedThen,
    }
}

fn sentence(facts: &Facts<'_>, matched: &Match, verdict: &Verdict) -> String {
    let attempts = Attempts(facts.last.map_or(0, |delivery| delivery.attempts));
    let last = facts.outcome.map(last_words).unwrap_or_default();
    match verdict {
        Verdict::Delivered { .. } => format!("The receiver took it{last}, in {attempts}."),
        Verdict::Sending => "An attempt is under way.".to_owned(),
        Verdict::Due => "It matched and is about to be sent for the first time.".to_owned(),
        Verdict::Retrying { .. } => {
            format!("It was tried and not taken{last}; after {attempts} it waits for the next one.")
        }
        Verdict::Paused { .. } => format!(
            "It is owed and waits for the endpoint to recover: nearly everything sent there failed, so now and then \
             one delivery is tried, the oldest first{}. When one is taken, the others follow.",
            match attempts {
                Attempts(0) => "; this one was not tried yet".to_owned(),
                attempts => format!("; this one has had {attempts}{last}"),
            }
        ),
        Verdict::Held { reason } => format!(
            "It is owed and waits: the endpoint is disabled, {}. It is sent when the endpoint is enabled.",
            disabled_words(*reason)
        ),
        Verdict::Exhausted { .. } => {
            format!("It was given up after {attempts}{last}. A replay sends it again.")
        }
        Verdict::Cancelled { reason, .. } => {
            format!("It was cancelled: {}.", cancel_words(*reason))
        }
        Verdict::EndpointIsNewer => {
            "The event was recorded before the endpoint was created.".to_owned()
        }
        Verdict::OtherOrganization => match facts.event.organization {
            Some(_) => "The endpoint is bound to another organization than the event's.".to_owned(),
            None => "The endpoint is bound to an organization, and the event has none.".to_owned(),
        },
        Verdict::NoPattern => format!(
            "No pattern of the endpoint matches {}.",
            facts.event.event_type
        ),
        Verdict::NotSubscribedThen => {
            let how = match matched {
                Match::ByPattern(pattern) => format!("{pattern} matches it"),
                Match::EveryType | Match::NoPattern | Match::OtherOrganization => {
                    "it wants every type".to_owned()
                }
            };
            format!(
                "The endpoint as it is now would get it ({how}), but it did not when the event was recorded: \
                 it was disabled then, or wanted other types. Only what is recorded from then on is sent."
            )
        }
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("one attempt"),
            count => write!(f, "{count} attempts"),
        }
    }
}

/// What the last attempt came to, as the end of a clause.
fn last_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted { status } => format!(" with {status}"),
        Outcome::Refused { status, .. } => format!(" (the receiver answered {status})"),
        Outcome::TimedOut { after } => {
            format!(" (no answer within {} s)", after.as_secs_f64())
        }
        Outcome::Unreachable { reason } => format!(" (unreachable: {})", reason.as_str()),
        Outcome::Forbidden { .. } => " (the outbound guard does not allow the address)".to_owned(),
    }
}

const fn disabled_words(reason: DisabledReason) -> &'static str {
    match reason {
        DisabledReason::ByHand => "by hand",
        DisabledReason::Gone => "because the receiver answered 410 Gone",
        DisabledReason::Failing => "because every attempt failed for five days",
    }
}

const fn cancel_words(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::EndpointDeleted => "the endpoint was deleted",
        CancelReason::EventExpired => {
            "the event left the retention period, or the endpoint stayed disabled for too long"
        }
        CancelReason::Redacted => "the audit log entry that it tells of was redacted",
    }
}

#[cfg(test)]
mod tests;
