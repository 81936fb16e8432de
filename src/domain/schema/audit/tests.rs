//! Which entries fit, and which schemas are the same.

use serde_json::{Value, json};

use super::*;

fn typed() -> AuditSchema {
    let metadata = |name: &str, kind: &str| {
        json!({ "type": "object", "properties": { name: { "type": kind } } }).to_string()
    };
    let (cost, role) = (metadata("cost", "number"), metadata("role", "string"));
    let entry = json!({ "properties": { "transaction": { "type": "string" } }, "required": ["transaction"] });
    AuditSchema::parse(&AuditSchemaParts {
        targets: vec![target("invoice", Some(&cost)), target("user", None)],
        actor: Some(&role),
        metadata: Some(&entry.to_string()),
    })
    .expect("a good schema")
}

fn target<'a>(kind: &'a str, metadata: Option<&'a str>) -> TargetSchemaParts<'a> {
    TargetSchemaParts {
        kind: kind.into(),
        metadata,
    }
}

const fn checked<'a>(kind: &'a str, metadata: Option<&'a str>) -> CheckedTarget<'a> {
    CheckedTarget { kind, metadata }
}

fn places(faults: &[SchemaFault]) -> Vec<(&str, &str)> {
    faults
        .iter()
        .map(|fault| (fault.instance_path.as_str(), fault.schema_path.as_str()))
        .collect()
}

#[test]
fn an_entry_with_the_wanted_targets_and_metadata_fits() {
    let entry = CheckedParts {
        targets: &[
            checked("team", Some(r#"{"cost":"anything"}"#)),
            checked("user", Some(r#"{"any":1}"#)),
            checked("invoice", Some(r#"{"cost":9.5,"else":true}"#)),
            checked("invoice", None),
        ],
        actor_metadata: Some(r#"{"role":"admin"}"#),
        metadata: Some(r#"{"transaction":"t1"}"#),
    };

    assert_eq!(typed().validate(&entry), []);
}

#[test]
fn what_does_not_fit_is_told_with_its_place_in_entry_and_schema() {
    let entry = CheckedParts {
        targets: &[
            checked("team", None),
            checked("invoice", Some(r#"{"cost":"a lot"}"#)),
        ],
        actor_metadata: Some(r#"{"role":true}"#),
        metadata: Some(r#"{"transaction":5}"#),
    };

    let faults = typed().validate(&entry);

    assert_eq!(
        places(&faults),
        [
            ("/targets", "#/targets/1/type"),
            (
                "/targets/1/metadata/cost",
                "#/targets/0/metadata/properties/cost/type"
            ),
            (
                "/actor/metadata/role",
                "#/actor/metadata/properties/role/type"
            ),
            (
                "/metadata/transaction",
                "#/metadata/properties/transaction/type"
            ),
        ]
    );
    assert_eq!(faults[0].keyword, "contains");
}

#[test]
fn metadata_that_is_left_out_is_asked_for_what_is_required() {
    let entry = CheckedParts {
        targets: &[checked("invoice", None), checked("user", None)],
        actor_metadata: None,
        metadata: None,
    };

    assert_eq!(
        places(&typed().validate(&entry)),
        [("/metadata", "#/metadata/required")]
    );
}

#[test]
fn a_schema_reads_back_from_its_definition() {
    let schema = typed();
    let shown: Value = serde_json::from_str(&schema.definition()).expect("JSON");

    assert_eq!(
        AuditSchema::from_definition(&schema.definition()),
        Ok(schema)
    );
    assert_eq!(shown["targets"][1], json!({ "type": "user" }));
    assert_eq!(
        shown["actor"]["metadata"]["properties"]["role"]["type"],
        "string"
    );
    assert_eq!(shown["metadata"]["required"], json!(["transaction"]));
    assert!(AuditSchema::from_definition("[]").is_err());
}

#[test]
fn schemas_are_compared_without_the_order_of_targets_and_members() {
    let one =
        r#"{"targets":[{"type":"a","metadata":{"type":"object","minProperties":1}},{"type":"b"}]}"#;
    let two =
        r#"{"targets":[{"type":"b"},{"type":"a","metadata":{"minProperties":1,"type":"object"}}]}"#;
    let three = r#"{"targets":[{"type":"b"},{"type":"a"}]}"#;
    let four = r#"{"targets":[{"type":"b"}]}"#;
    let read = |text| AuditSchema::from_definition(text).expect(text);

    assert_eq!(read(one), read(two));
    assert_ne!(read(one), read(three));
    assert_ne!(read(three), read(four));
    assert_ne!(read(four), read(three));
}

#[test]
fn everything_that_is_wrong_with_a_schema_is_told() {
    let parts = AuditSchemaParts {
        targets: vec![target("a", Some("[]")), target("a", None), target("", None)],
        actor: Some(r#"{"type":"text"}"#),
        metadata: Some(r#"{"$ref":"https://example.com/s"}"#),
    };

    let faults = AuditSchema::parse(&parts).expect_err("five faults");

    let told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.field.as_str(), fault.code))
        .collect();
    assert_eq!(
        told,
        [
            ("targets[0].metadata", "invalid_schema"),
            ("targets[1].type", "duplicate_target_type"),
            ("targets[2].type", "invalid_length"),
            ("actor.metadata", "invalid_schema"),
            ("metadata", "invalid_schema"),
        ]
    );
    assert!(AuditSchema::parse(&AuditSchemaParts::default()).is_err());
}
