//! How events are read from the wire, and how the feed is written.

use serde_json::json;

use super::*;
use crate::domain::event::Place;
use crate::domain::id::EnvironmentId;

const LIMITS: EventLimits = EventLimits {
    data_bytes_max: 1000,
};

fn fields(faults: &[Invalid]) -> Vec<(&str, &str)> {
    faults
        .iter()
        .map(|fault| (fault.field.as_str(), fault.code))
        .collect()
}

fn single(text: &str) -> Result<NewEvent, Vec<Invalid>> {
    serde_json::from_str::<CreateEvent<'_>>(text)
        .expect("an object")
        .parse("", LIMITS)
}

fn batch(text: &str) -> Result<Vec<NewEvent>, Vec<Invalid>> {
    serde_json::from_str::<CreateEventBatch<'_>>(text)
        .expect("an object")
        .parse(LIMITS)
}

fn query(text: &str) -> Result<Vec<EventPattern>, Problem> {
    patterns(&Query::of(text))
}

#[test]
fn an_event_keeps_the_text_of_its_data() {
    let event = single(
        r#"{"event": "a.b", "data": {"b": 1.10, "a": null}, "context": null, "organization_id": null}"#,
    );

    let event = event.expect("a good event");
    assert_eq!(event.data, r#"{"b":1.10,"a":null}"#);
    assert_eq!(event.context, "{}");
    assert_eq!(event.organization, None);
}

#[test]
fn all_faults_of_an_event_are_told_at_once() {
    assert_eq!(
        fields(&single("{}").expect_err("two")),
        [("event", "required"), ("data", "required")]
    );
    assert_eq!(
        fields(
            &single(r#"{"event": 1, "data": [], "context": 2, "organization_id": "x"}"#)
                .expect_err("four")
        ),
        [
            ("event", "invalid_type"),
            ("data", "object_required"),
            ("context", "object_required"),
            ("organization_id", "invalid_organization_id"),
        ]
    );
    assert_eq!(
        fields(&single(r#"{"event": "a", "data": null}"#).expect_err("one")),
        [("data", "object_required")]
    );
}

#[test]
fn the_faults_of_a_batch_name_their_element() {
    let faults = batch(
        r#"{"events": [{"event": "a", "data": {}}, {"event": "a..b"}, ["a", {}], {"evnt": 1}]}"#,
    );

    assert_eq!(
        fields(&faults.expect_err("four")),
        [
            ("events[1].data", "required"),
            ("events[1].event", "invalid_event_type"),
            ("events[2]", "invalid_type"),
            ("events[3].evnt", "unexpected_member"),
        ]
    );
}

#[test]
fn a_batch_holds_one_to_five_hundred_events() {
    let of = |count: usize| {
        json!({ "events": vec![json!({ "event": "a", "data": {} }); count] }).to_string()
    };

    assert_eq!(
        fields(&batch("{}").expect_err("absent")),
        [("events", "required")]
    );
    assert_eq!(
        fields(&batch(r#"{"events": {}}"#).expect_err("an object")),
        [("events", "invalid_type")]
    );
    assert_eq!(
        fields(&batch(&of(0)).expect_err("empty")),
        [("events", "invalid_length")]
    );
    assert_eq!(batch(&of(500)).expect("500 events").len(), 500);
    assert_eq!(
        fields(&batch(&of(501)).expect_err("501 events")),
        [("events", "invalid_length")]
    );
}

#[test]
fn an_absent_filter_is_all_and_an_empty_one_is_refused() {
    assert_eq!(query("limit=1").expect("all"), []);
    assert_eq!(query("events=a,b.*,*").expect("three").len(), 3);
    for bad in [
        "events=",
        "events[]=",
        "events=,",
        "events=a..b",
        "events=a,b*",
        "events=a%20b",
    ] {
        assert_eq!(
            query(bad).expect_err(bad).code(),
            Code::InvalidEventsRequest
        );
    }
}

#[test]
fn a_filter_tells_every_parameter_that_is_wrong() {
    let mut faults = Faults::default();

    filter(
        &Query::of("range_start=yesterday&range_end=1&organization_id=event_1"),
        &mut faults,
    );

    let faults = faults.check().expect_err("three");
    assert_eq!(
        fields(&faults),
        [
            ("range_start", "invalid_time"),
            ("range_end", "invalid_time"),
            ("organization_id", "invalid_id")
        ]
    );
}

#[test]
fn the_feed_is_the_stored_bodies_side_by_side() {
    let new = single(r#"{"event": "a", "data": {"n": 1.0}}"#).expect("a good event");
    let event = |position| Event::place(EnvironmentId::at(1, 1), Place::ORIGIN.id, position, &new);
    let (one, two) = (event(1), event(2));

    let page = list(&[one.clone(), two.clone()], tail(Some(two.id)).as_bytes());

    let body = |event: &Event| String::from_utf8(event.body.to_vec()).expect("UTF-8");
    let expected = format!(
        r#"{{"object":"list","data":[{},{}],"list_metadata":{{"after":"{}"}}}}"#,
        body(&one),
        body(&two),
        two.id
    );
    assert_eq!(page, expected);
    assert_eq!(
        list(&[], tail(None).as_bytes()),
        r#"{"object":"list","data":[],"list_metadata":{"after":null}}"#
    );
    assert!(serde_json::from_slice::<Value>(&list(&[one], b"}")).is_ok());
}
