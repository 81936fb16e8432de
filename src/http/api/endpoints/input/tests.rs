//! How webhook endpoints are read from the wire.

use super::*;

fn fields(faults: &[Invalid]) -> Vec<(&str, &str)> {
    faults
        .iter()
        .map(|fault| (fault.field.as_str(), fault.code))
        .collect()
}

fn create(text: &str) -> Result<NewEndpoint, Vec<Invalid>> {
    serde_json::from_str::<CreateEndpoint<'_>>(text)
        .expect("an object")
        .parse()
}

fn update(text: &str) -> Result<EndpointChange, Vec<Invalid>> {
    serde_json::from_str::<UpdateEndpoint<'_>>(text)
        .expect("an object")
        .parse()
}

#[test]
fn an_endpoint_needs_a_url_and_a_list_of_events() {
    assert_eq!(
        fields(&create("{}").expect_err("two")),
        [("endpoint_url", "required"), ("events", "required")]
    );

    let new = create(r#"{"endpoint_url": "https://example.com", "events": [], "unknown": 1}"#)
        .expect("enough");
    assert!(new.patterns.is_empty() && new.secret.is_none() && new.schedule.is_none());
    assert_eq!(new.state, EndpointState::Enabled);
}

#[test]
fn all_faults_of_an_endpoint_are_told_at_once() {
    let faults = create(
        r#"{"endpoint_url": 1, "events": ["a", "b..c", "*x"], "organization_id": "we_1", "status": "on",
            "secret": "x", "retry_delays_seconds": [0]}"#,
    );

    assert_eq!(
        fields(&faults.expect_err("seven")),
        [
            ("endpoint_url", "invalid_type"),
            ("events[1]", "invalid_event_type"),
            ("events[2]", "invalid_event_type"),
            ("organization_id", "invalid_organization_id"),
            ("status", "invalid_status"),
            ("secret", "invalid_secret"),
            ("retry_delays_seconds", "invalid_schedule"),
        ]
    );
}

#[test]
fn a_change_touches_only_what_it_names() {
    let change = update("{}").expect("nothing");
    assert!(
        change.url.is_none()
            && change.patterns.is_none()
            && change.schedule.is_none()
            && change.state.is_none()
    );

    let change = update(r#"{"events": [], "retry_delays_seconds": null, "description": null}"#)
        .expect("three");
    assert_eq!(
        (change.patterns, change.schedule),
        (Some(Vec::new()), Some(None))
    );
    assert_eq!(change.description.as_deref(), Some(""));
}

#[test]
fn an_overlap_is_at_most_seven_days() {
    let rotate = |text: &str| {
        serde_json::from_str::<RotateSecret<'_>>(text)
            .expect("an object")
            .parse()
    };

    assert_eq!(
        rotate("{}").expect("the default").1,
        Duration::from_secs(24 * 3600)
    );
    assert_eq!(
        rotate(r#"{"overlap_seconds": 0}"#).expect("none").1,
        Duration::ZERO
    );
    assert!(rotate(r#"{"overlap_seconds": 604801}"#).is_err());
    assert!(rotate(r#"{"overlap_seconds": -1}"#).is_err());
}

#[test]
fn a_sample_event_may_be_left_to_the_platform() {
    let limits = EventLimits {
        data_bytes_max: 100,
    };
    let sample = |text: &str| {
        serde_json::from_str::<SampleEvent<'_>>(text)
            .expect("an object")
            .parse(limits)
    };

    assert_eq!(sample("{}"), Ok(None));
    let sent = sample(r#"{"data": {"a": 1}}"#)
        .expect("an event")
        .expect("some");
    assert_eq!(
        (sent.event.event_type.as_str(), sent.event.data.as_str()),
        (SAMPLE_TYPE, r#"{"a":1}"#)
    );
    let named = sample(r#"{"event": "a.b"}"#)
        .expect("an event")
        .expect("some");
    assert!(sent.has_data && !named.has_data);
    assert!(sample(r#"{"event": "a b"}"#).is_err());
}
