//! What is read from bodies and queries, and which refusals follow.

use super::*;
use crate::domain::id::OrganizationId;
use crate::http::problem::Code;

const LIMITS: AuditLimits = AuditLimits {
    now: chrono::DateTime::UNIX_EPOCH,
    bytes_max: 10_000,
};
const GOOD: &str = r#"{"action":"user.left","occurred_at":"1970-01-01T00:00:00.000Z","actor":{"id":"u","type":"user"},
    "targets":[{"id":"t","type":"team"}],"context":{"location":"here"}}"#;

fn body(event: &str) -> String {
    format!(
        r#"{{"organization_id":"{}","event":{event}}}"#,
        OrganizationId::at(1, 1)
    )
}

fn refusal(text: &str) -> Problem {
    let sent: CreateAuditLogEvent<'_> = serde_json::from_str(text).expect("an object");
    sent.parse(LIMITS).map(|_| ()).expect_err("a refusal")
}

#[test]
fn what_the_sdks_send_is_read() {
    let text = body(GOOD);
    let sent: CreateAuditLogEvent<'_> = serde_json::from_str(&text).expect("an object");

    let (organization, entry) = sent
        .parse(LIMITS)
        .map_err(|problem| problem.code())
        .expect("good");

    assert_eq!(organization, OrganizationId::at(1, 1));
    assert_eq!(entry.action.as_str(), "user.left");
}

#[test]
fn everything_of_the_wrong_shape_is_told_at_once() {
    let problem = refusal(
        r#"{"event":{"action":1,"actor":{"type":"user"},"targets":[{"id":"t"},7],"context":{}}}"#,
    );

    assert_eq!(problem.code(), Code::InvalidRequestParameters);
    assert_eq!(
        problem.fields(),
        [
            "organization_id",
            "event.action",
            "event.occurred_at",
            "event.actor.id",
            "event.targets[0].type",
            "event.targets[1]",
            "event.context.location",
        ]
    );
    assert_eq!(refusal("{}").fields(), ["organization_id", "event"]);
}

#[test]
fn what_breaks_a_limit_is_an_invalid_event_with_pointers() {
    let problem = refusal(&body(&GOOD.replace("user.left", "")));

    assert_eq!(problem.code(), Code::InvalidAuditLogEvent);
    assert_eq!(problem.pointers(), ["/action"]);
}

#[test]
fn what_is_no_organization_is_not_found() {
    let text = body(GOOD).replace(&OrganizationId::at(1, 1).to_string(), "org_unknown");

    assert_eq!(refusal(&text).code(), Code::EntityNotFound);
}

#[test]
fn a_batch_tells_the_faults_of_all_its_entries() {
    let parse = |text: &str| {
        let sent: CreateAuditLogEventBatch<'_> = serde_json::from_str(text).expect("an object");
        sent.parse(LIMITS).map(|entries| entries.len())
    };
    let good = body(GOOD);

    assert_eq!(
        parse(&format!(r#"{{"events":[{good},{good}]}}"#)).ok(),
        Some(2)
    );
    let problem = parse(&format!(r#"{{"events":[{good},{{}},3]}}"#)).expect_err("faults");
    assert_eq!(
        problem.fields(),
        ["events[1].organization_id", "events[1].event", "events[2]"]
    );
    for length in [0, 101] {
        let events = vec![good.as_str(); length].join(",");
        let problem = parse(&format!(r#"{{"events":[{events}]}}"#)).expect_err("a fault");
        assert_eq!(problem.fields(), ["events"]);
    }
}

#[test]
fn a_query_becomes_a_filter() {
    let mut faults = Faults::default();
    let query = "actions[]=user.*&actions[]=team.left&actor_id=u%3A1&target_type=team&target_id=t\
         &range_start=2026-01-01&range_end=2026-02-01T00:00:00Z&search=jon+smith";

    let filter = filter(&Query::of(query), &mut faults);

    assert!(faults.check().is_ok());
    assert_eq!(filter.actions.len(), 2);
    assert_eq!(filter.actor_ids, ["u:1"]);
    assert_eq!(filter.targets, ["team:t"]);
    assert!(filter.from < filter.until);
    assert_eq!(filter.search.as_deref(), Some("jon smith"));
}

#[test]
fn every_fault_of_a_query_is_told() {
    let mut faults = Faults::default();

    filter(
        &Query::of("actions=a,b+c&target_id=t&range_start=soon"),
        &mut faults,
    );

    let fields: Vec<_> = faults
        .check()
        .expect_err("three")
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(fields, ["actions", "target_type", "range_start"]);
}
