//! What a definition may say, and which events it refuses.

use super::*;

const SCHEMA: &str = r#"{"required":["amount"],"properties":{"amount":{"type":"integer"}}}"#;

fn parts<'a>(schema: Option<&'a str>, example: Option<&'a str>) -> EventTypeParts<'a> {
    EventTypeParts {
        name: "invoice.paid",
        description: "An invoice was paid.",
        schema,
        example,
        deprecated: false,
        enforced: schema.is_some(),
    }
}

fn codes(result: Result<EventTypeDefinition, Vec<Invalid>>) -> Vec<(String, &'static str)> {
    let faults = result.expect_err("faults");
    faults
        .into_iter()
        .map(|fault| (fault.field, fault.code))
        .collect()
}

#[test]
fn an_enforced_type_refuses_data_that_does_not_fit() {
    let definition =
        EventTypeDefinition::parse(&parts(Some(SCHEMA), Some(r#"{ "amount": 1 }"#))).expect("good");

    assert_eq!(definition.example.as_deref(), Some(r#"{"amount":1}"#));
    assert_eq!(definition.validate(r#"{"amount":2}"#), []);
    let faults = definition.validate(r#"{"amount":"2"}"#);
    assert_eq!(faults[0].instance_path, "/data/amount");
    assert_eq!(faults[0].schema_path, "#/properties/amount/type");
    let lax = EventTypeDefinition {
        enforced: false,
        ..definition
    };
    assert_eq!(lax.validate("{}"), []);
}

#[test]
fn everything_that_is_wrong_is_told() {
    let bad = EventTypeParts {
        name: "no type",
        description: &"x".repeat(2_001),
        example: Some("[1]"),
        enforced: true,
        ..parts(None, None)
    };

    assert_eq!(
        codes(EventTypeDefinition::parse(&bad)),
        [
            ("name".to_owned(), "invalid_event_type"),
            ("example".to_owned(), "object_required"),
            ("description".to_owned(), "too_long"),
            ("enforced".to_owned(), "schema_required"),
        ]
    );
}

#[test]
fn an_example_must_fit_its_schema() {
    let misfit = EventTypeDefinition::parse(&parts(Some(SCHEMA), Some(r#"{"amount":"1"}"#)));

    assert_eq!(
        codes(misfit),
        [("example.amount".to_owned(), "invalid_example")]
    );
}

#[test]
fn a_change_is_checked_with_what_it_leaves_as_it_is() {
    let definition =
        EventTypeDefinition::parse(&parts(Some(SCHEMA), Some(r#"{"amount":1}"#))).expect("good");
    let without_schema = EventTypeChange {
        schema: Some(None),
        ..EventTypeChange::default()
    };
    let without_both = EventTypeChange {
        enforced: Some(false),
        example: Some(None),
        deprecated: Some(true),
        ..without_schema.clone()
    };

    assert_eq!(
        codes(definition.changed(without_schema)),
        [("enforced".to_owned(), "schema_required")]
    );
    let changed = definition.changed(without_both).expect("good");
    assert_eq!(
        (changed.schema, changed.example, changed.deprecated),
        (None, None, true)
    );
    assert_eq!(
        definition.changed(EventTypeChange::default()),
        Ok(definition)
    );
}
