//! Every way in which an event can stand at an endpoint.

use std::time::Duration;

use super::*;
use crate::domain::endpoint::Secrets;
use crate::domain::event::{Audience, EventType, NewEvent};
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId, OrganizationId};
use crate::domain::signature::SigningSecret;
use crate::domain::time::from_millis;

fn event(organization: Option<OrganizationId>) -> Event {
    let new = NewEvent {
        event_type: EventType::parse("event", "invoice.paid").unwrap(),
        data: "{}".to_owned(),
        context: "{}".to_owned(),
        organization,
        audience: Audience::Subscribers,
    };
    Event::place(EnvironmentId::at(1, 1), EventId::at(5_000, 1), 1, &new)
}

fn endpoint(patterns: &[&str]) -> Endpoint {
    let patterns = patterns
        .iter()
        .map(|text| EventPattern::parse("events", text).unwrap());
    Endpoint {
        environment: EnvironmentId::at(1, 1),
        id: EndpointId::at(1_000, 1),
        url: "https://example.com".to_owned(),
        patterns: patterns.collect(),
        organization: None,
        description: String::new(),
        state: EndpointState::Enabled,
        secrets: Secrets {
            current: SigningSecret::from_bytes([1; 32]),
            current_since: from_millis(0),
            previous: None,
        },
        schedule: None,
        failing_since: None,
        created_at: from_millis(1_000),
        updated_at: from_millis(1_000),
        deleted_at: None,
    }
}

fn delivery(state: DeliveryState, attempts: u32) -> Delivery {
    Delivery {
        environment: EnvironmentId::at(1, 1),
        id: DeliveryId::at(5_000, 1),
        event: EventId::at(5_000, 1),
        endpoint: EndpointId::at(1_000, 1),
        state,
        attempts,
        created_at: from_millis(5_000),
        replay_of: None,
    }
}

fn pending(leased: bool) -> DeliveryState {
    DeliveryState::Pending {
        due_at: from_millis(9_000),
        leased,
    }
}

fn verdict(endpoint: &Endpoint, last: Option<&Delivery>) -> &'static str {
    let event = event(None);
    let facts = Facts {
        event: &event,
        endpoint,
        last,
        outcome: None,
        breaker: BreakerState::Closed,
    };
    explain(&facts).verdict.as_str()
}

#[test]
fn without_a_delivery_it_says_what_kept_the_event_away() {
    let newer = Endpoint {
        created_at: from_millis(5_001),
        ..endpoint(&[])
    };
    let bound = Endpoint {
        organization: Some(OrganizationId::at(1, 1)),
        ..endpoint(&[])
    };

    assert_eq!(verdict(&newer, None), "endpoint_is_newer");
    assert_eq!(verdict(&bound, None), "other_organization");
    assert_eq!(verdict(&endpoint(&["order.*"]), None), "no_pattern");
    assert_eq!(
        verdict(&endpoint(&["invoice.*"]), None),
        "not_subscribed_then"
    );
}

#[test]
fn with_a_delivery_it_says_where_that_stands() {
    let at = from_millis(9_000);
    let (enabled, disabled) = (
        endpoint(&[]),
        Endpoint {
            state: EndpointState::Disabled(DisabledReason::ByHand),
            ..endpoint(&[])
        },
    );
    let reason = CancelReason::Redacted;

    for (state, attempts, expected) in [
        (DeliveryState::Delivered { at }, 1, "delivered"),
        (DeliveryState::Exhausted { at }, 8, "exhausted"),
        (DeliveryState::Cancelled { at, reason }, 0, "cancelled"),
        (pending(true), 0, "sending"),
        (pending(false), 0, "due"),
        (pending(false), 2, "retrying"),
    ] {
        assert_eq!(
            verdict(&enabled, Some(&delivery(state, attempts))),
            expected
        );
    }
    assert_eq!(
        verdict(&disabled, Some(&delivery(pending(false), 2))),
        "held"
    );
    assert_eq!(
        verdict(&disabled, Some(&delivery(pending(true), 2))),
        "sending"
    );
}

#[test]
fn what_is_due_before_the_probe_waits_for_the_endpoint_and_what_is_due_later_for_its_time() {
    let (event, endpoint) = (event(None), endpoint(&[]));
    let last = delivery(pending(false), 1);
    let DeliveryState::Pending { due_at, .. } = last.state else {
        panic!("{last:?}");
    };
    let with = |breaker| {
        let facts = Facts {
            event: &event,
            endpoint: &endpoint,
            last: Some(&last),
            outcome: None,
            breaker,
        };
        explain(&facts).verdict
    };
    let second = chrono::TimeDelta::seconds(1);
    let (since, probe_at) = (due_at - second, due_at + second);

    let open = BreakerState::Open { since, probe_at };
    assert_eq!(with(open), Verdict::Paused { since, probe_at });
    let sooner = BreakerState::Open {
        since,
        probe_at: due_at - second,
    };
    assert_eq!(with(sooner), Verdict::Retrying { due_at });
    let half_open = BreakerState::HalfOpen { since, room: 1 };
    assert_eq!(with(half_open), Verdict::Retrying { due_at });
}

#[test]
fn the_first_pattern_that_matches_is_named() {
    let event = event(None);
    let by = |patterns: &[&str]| Match::of(&event, &endpoint(patterns));

    let pattern = EventPattern::parse("events", "invoice.*").unwrap();
    assert_eq!(
        by(&["order.*", "invoice.*", "*"]),
        Match::ByPattern(pattern)
    );
    assert_eq!(by(&[]), Match::EveryType);
    assert!(!by(&["order.*"]).is_match());
}

#[test]
fn the_sentence_tells_what_the_receiver_said() {
    let (event, endpoint) = (event(None), endpoint(&[]));
    let last = delivery(pending(false), 1);
    let told = |outcome: &Outcome| {
        let facts = Facts {
            event: &event,
            endpoint: &endpoint,
            last: Some(&last),
            outcome: Some(outcome),
            breaker: BreakerState::Closed,
        };
        explain(&facts).sentence
    };

    let refused = told(&Outcome::Refused {
        status: 503,
        retry_after: None,
    });
    assert!(
        refused.contains("answered 503") && refused.contains("one attempt"),
        "{refused}"
    );
    let late = told(&Outcome::TimedOut {
        after: Duration::from_secs(15),
    });
    assert!(late.contains("within 15 s"), "{late}");
}
