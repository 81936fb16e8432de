//! How event types, patterns and events are read.

use proptest::prelude::*;

use super::*;

fn event_type(text: &str) -> EventType {
    EventType::parse("event", text).expect("a well-formed type")
}

#[test]
fn event_types_are_dotted_segments() {
    for good in [
        "a",
        "user.created",
        "dsync.group.user_added",
        "urn:x-1.y",
        &"a".repeat(128),
    ] {
        assert!(EventType::parse("event", good).is_ok(), "{good}");
    }
    for bad in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "ü",
        "a.*",
        "*",
        &"a".repeat(129),
    ] {
        assert!(EventType::parse("event", bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_matches_whole_segments() {
    let pattern = EventPattern::parse("events", "invoice.*").expect("a pattern");

    assert!(pattern.matches(&event_type("invoice.paid")));
    assert!(pattern.matches(&event_type("invoice.paid.late")));
    assert!(!pattern.matches(&event_type("invoice")));
    assert!(!pattern.matches(&event_type("invoices.paid")));
    assert_eq!(pattern.to_string(), "invoice.*");
    for bad in ["inv*", "*.paid", "a.*.b", "**", "a.**", ".*"] {
        assert!(EventPattern::parse("events", bad).is_err(), "{bad}");
    }
}

#[test]
fn a_body_is_the_event_object_in_compact_form() {
    let parts = EventParts {
        event: "invoice.paid",
        data: r#"{ "b": 1.10, "a": "é" }"#,
        context: None,
        organization_id: None,
    };
    let new = NewEvent::parse(
        "",
        &parts,
        EventLimits {
            data_bytes_max: 100,
        },
    )
    .expect("a good event");
    let id = EventId::at(1_767_225_600_000, 0);

    let event = Event::place(EnvironmentId::at(1, 1), id, 7, &new);

    let expected = format!(
        r#"{{"object":"event","id":"{id}","event":"invoice.paid","data":{{"b":1.10,"a":"é"}},"created_at":"2026-01-01T00:00:00.000Z","context":{{}},"position":7}}"#
    );
    assert_eq!(event.body, expected);
}

#[test]
fn all_faults_of_an_event_are_told_at_once() {
    let parts = EventParts {
        event: "a..b",
        data: "[]",
        context: Some("1"),
        organization_id: Some("org_1"),
    };

    let faults = NewEvent::parse(
        "events[3].",
        &parts,
        EventLimits {
            data_bytes_max: 100,
        },
    )
    .expect_err("four faults");

    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "events[3].event",
            "events[3].data",
            "events[3].context",
            "events[3].organization_id"
        ]
    );
}

#[test]
fn places_grow_even_when_the_clock_steps_back() {
    let first = Place::ORIGIN.next(time::from_millis(1_000), 5);
    let second = first.next(time::from_millis(1_000), 1);
    let third = second.next(time::from_millis(900), 1);

    assert!(first.id < second.id && second.id < third.id);
    assert_eq!([first.position, second.position, third.position], [1, 2, 3]);
}

proptest! {
    #[test]
    fn whatever_text_is_taken_for_a_pattern_reads_back_as_it_was(text in "\\PC{0,40}|[a-z.*_:-]{0,140}") {
        if let Ok(pattern) = EventPattern::parse("events", &text) {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn a_pattern_matches_its_own_types_and_those_below_it(
        segments in prop::collection::vec("[a-z][a-z0-9_-]{0,8}", 1..5),
        kept in 1_usize..5,
    ) {
        let name = segments.join(".");
        let prefix = segments[..kept.min(segments.len())].join(".");
        let pattern = |text: &str| EventPattern::parse("events", text).expect("a pattern");

        prop_assert!(pattern(&name).matches(&event_type(&name)));
        prop_assert!(pattern("*").matches(&event_type(&name)));
        let below = pattern(&[prefix.as_str(), ".*"].concat());
        prop_assert_eq!(below.matches(&event_type(&name)), prefix != name);
        prop_assert_eq!(pattern(&prefix).matches(&event_type(&name)), prefix == name);
        let longer = pattern(&[prefix.as_str(), "x.*"].concat());
        prop_assert!(!longer.matches(&event_type(&prefix)));
    }
}
