//! How deliveries and attempts are shown, and how a list of them is narrowed.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::attempt::{Attempt, Unreachable};
use crate::domain::delivery::CancelReason;
use crate::domain::id::EnvironmentId;
use crate::domain::time::from_millis;

fn shown(outcome: Outcome, body: Option<&[u8]>) -> serde_json::Value {
    let answer = body.map(|body| Received {
        headers: vec![("a".into(), "b".into())],
        body: body.to_vec(),
    });
    let attempt = Attempt {
        outcome,
        duration: Duration::from_millis(12),
        answer,
    };
    let recorded = RecordedAttempt {
        number: 2,
        started_at: from_millis(0),
        attempt,
        request_headers: vec![("webhook-id".into(), "event_1".into())],
    };
    serde_json::to_value(AttemptBody::from(recorded)).expect("JSON")
}

#[test]
fn an_attempt_shows_what_was_sent_and_what_came_back() {
    assert_eq!(
        shown(
            Outcome::Refused {
                status: 500,
                retry_after: None
            },
            Some("né".as_bytes())
        ),
        json!({
            "object": "delivery_attempt", "number": 2, "started_at": "1970-01-01T00:00:00.000Z", "duration_ms": 12,
            "outcome": "refused", "status": 500, "detail": null,
            "request": { "headers": [{ "name": "webhook-id", "value": "event_1" }] },
            "response": { "headers": [{ "name": "a", "value": "b" }], "body": "né", "body_encoding": "utf8" },
        })
    );
    let unreachable = shown(
        Outcome::Unreachable {
            reason: Unreachable::Dns,
        },
        None,
    );
    assert_eq!(
        (&unreachable["detail"], &unreachable["response"]),
        (&json!("dns"), &json!(null))
    );
}

#[test]
fn an_answer_that_is_no_text_is_shown_as_base64() {
    let shown = shown(Outcome::Accepted { status: 200 }, Some(b"\xff\x00"));

    assert_eq!(shown["response"]["body"], "/wA=");
    assert_eq!(shown["response"]["body_encoding"], "base64");
}

#[test]
fn a_delivery_shows_its_next_step_or_its_end() {
    let delivery = |state| Delivery {
        environment: EnvironmentId::at(1, 1),
        id: DeliveryId::at(1, 1),
        event: EventId::at(1, 1),
        endpoint: EndpointId::at(1, 1),
        state,
        attempts: 1,
        created_at: from_millis(0),
        replay_of: None,
    };
    let at = from_millis(1);

    let pending = DeliveryBody::from(&delivery(DeliveryState::Pending {
        due_at: at,
        leased: true,
    }));
    assert_eq!(
        (pending.state, pending.next_attempt_at, pending.settled_at),
        ("pending", Some(at), None)
    );
    let reason = CancelReason::EventExpired;
    let cancelled = DeliveryBody::from(&delivery(DeliveryState::Cancelled { at, reason }));
    assert_eq!(
        (cancelled.settled_at, cancelled.cancel_reason),
        (Some(at), Some("event_expired"))
    );
}

#[test]
fn a_filter_takes_both_names_of_the_endpoint_and_tells_every_fault() {
    let id = EndpointId::at(1, 1);
    for name in ["endpoint_id", "webhook_endpoint_id"] {
        let read = filter(
            &Query::of(&format!("{name}={id}&state=pending")),
            &mut Faults::default(),
        );
        assert_eq!(
            (read.endpoint, read.state),
            (Some(id), Some(StateName::Pending))
        );
    }
    let mut faults = Faults::default();
    filter(
        &Query::of("state=late&event_id=1&webhook_endpoint_id=event_1"),
        &mut faults,
    );
    let fields: Vec<_> = faults
        .check()
        .expect_err("three")
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(fields, ["state", "event_id", "webhook_endpoint_id"]);
}
