//! What is a schema, what is refused, and that nothing can run away.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn schema(value: &Value) -> JsonSchema {
    JsonSchema::parse("schema", &value.to_string()).expect("a good schema")
}

fn refusal(value: &Value) -> String {
    let fault = JsonSchema::parse("schema", &value.to_string()).expect_err("a bad schema");
    assert_eq!(fault.field, "schema");
    fault.message.into_owned()
}

fn places(faults: &[SchemaFault]) -> Vec<(&str, &str, &str)> {
    faults
        .iter()
        .map(|fault| {
            (
                fault.instance_path.as_str(),
                fault.schema_path.as_str(),
                fault.keyword.as_str(),
            )
        })
        .collect()
}

#[test]
fn a_fault_points_to_both_sides_and_does_not_quote_the_value() {
    let schema = schema(&json!({
        "type": "object", "required": ["id"],
        "properties": { "cost": { "type": "number" }, "tags": { "items": { "maxLength": 3 } } },
    }));

    let faults = schema.validate(&json!({ "cost": "secret", "tags": ["ok", "secret"] }));

    assert_eq!(
        places(&faults),
        [
            ("", "#/required", "required"),
            ("/cost", "#/properties/cost/type", "type"),
            ("/tags/1", "#/properties/tags/items/maxLength", "maxLength"),
        ]
    );
    assert!(faults.iter().all(|fault| !fault.message.contains("secret")));
    assert!(
        schema
            .validate(&json!({ "id": 1, "cost": 1.5, "else": null }))
            .is_empty()
    );
}

#[test]
fn the_text_is_kept_in_compact_form_and_compared_without_the_order_of_members() {
    let one =
        JsonSchema::parse("s", r#"{ "type": "object", "maxProperties": 1.0 }"#).expect("good");
    let two = JsonSchema::parse("s", r#"{"maxProperties":1.0,"type":"object"}"#).expect("good");

    assert_eq!(one.as_str(), r#"{"type":"object","maxProperties":1.0}"#);
    assert_eq!(one, two);
    assert_ne!(one, schema(&json!({ "type": "object" })));
}

#[test]
fn each_draft_is_read_by_its_own_rules() {
    let tuple = json!([1, "x"]);
    let new = schema(&json!({ "prefixItems": [{ "type": "string" }] }));
    let old = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "prefixItems": [{ "type": "string" }], "items": [{ "type": "number" }],
    });

    assert_eq!(new.validate(&tuple).len(), 1);
    assert!(schema(&old).validate(&tuple).is_empty());
    for other in [
        "http://json-schema.org/draft-04/schema#",
        "https://evil.example/schema",
    ] {
        assert!(refusal(&json!({ "$schema": other })).contains("draft 2020-12 or draft 7"));
    }
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    assert!(refusal(&json!(true)).contains("must be a JSON object"));
    assert!(refusal(&json!({ "type": "text" })).contains("#/type"));
    assert!(
        refusal(&json!({ "properties": { "a": { "minimum": "1" } } }))
            .contains("#/properties/a/minimum")
    );
    assert_eq!(
        JsonSchema::parse("s", "{").expect_err("bad").code,
        "malformed_json"
    );
    let large = json!({ "title": "x".repeat(SCHEMA_BYTES_MAX) }).to_string();
    assert_eq!(
        JsonSchema::parse("s", &large).expect_err("bad").code,
        "too_large"
    );
}

#[test]
fn a_reference_stays_inside_the_schema() {
    let local = schema(&json!({
        "properties": { "a": { "$ref": "#/$defs/short" }, "$ref": { "type": "string" } },
        "$defs": { "short": { "maxLength": 2 } },
        "examples": [{ "$ref": "https://example.com/only-data" }],
    }));

    assert_eq!(places(&local.validate(&json!({ "a": "long" })))[0].0, "/a");
    for outside in [
        "https://example.com/s.json",
        "file:///etc/passwd",
        "other.json",
        "http://127.0.0.1:1/s",
        "#anchor",
        "//example.com/s",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        for schema in [
            json!({ "$ref": outside }),
            json!({ "properties": { "a": { "anyOf": [true, { "$ref": outside }] } } }),
            json!({ "items": { "$ref": "#/x-hidden" }, "x-hidden": { "$ref": outside } }),
        ] {
            assert!(refusal(&schema).contains("$ref"), "{schema}");
        }
    }
    assert!(refusal(&json!({ "$ref": "#/$defs/none" })).contains("leads nowhere"));
    for moved in ["$id", "$schema", "$dynamicRef"] {
        let schema = json!({ "properties": { "a": { moved: "https://example.com/s" } } });
        assert!(refusal(&schema).contains("not supported"), "{schema}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_is_refused() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "properties": { "child": { "$ref": "#" } } }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/b" }] }, "b": { "$ref": "#/$defs/a" } } }),
    ] {
        assert!(refusal(&schema).contains("refers to itself"), "{schema}");
    }
}

#[test]
fn a_schema_that_doubles_at_every_level_is_refused() {
    let mut definitions = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({ "$ref": format!("#/$defs/{}", level + 1) });
        definitions.insert(level.to_string(), json!({ "allOf": [next, next] }));
    }
    definitions.insert("30".to_owned(), json!({ "type": "string" }));

    let message = refusal(&json!({ "$ref": "#/$defs/0", "$defs": definitions }));

    assert!(
        message.contains("values with its references followed"),
        "{message}"
    );
}

#[test]
fn the_deepest_schema_and_instance_do_not_exhaust_the_stack() {
    let mut schema = json!({ "type": "string" });
    let mut instance = json!(1);
    for _ in 0..30 {
        schema = json!({ "properties": { "a": { "allOf": [schema] } } });
        instance = json!({ "a": instance });
    }

    // Anything deeper is refused by name.
    match JsonSchema::parse("schema", &schema.to_string()) {
        Ok(schema) => assert_eq!(schema.validate(&instance).len(), 1),
        Err(fault) => assert!(fault.message.contains("deep") || fault.code == "too_deep"),
    }
    let chain: serde_json::Map<String, Value> = (0..2_000)
        .map(|link| {
            (
                link.to_string(),
                json!({ "$ref": format!("#/$defs/{}", link + 1) }),
            )
        })
        .chain([("2000".to_owned(), json!({}))])
        .collect();
    assert!(refusal(&json!({ "$ref": "#/$defs/0", "$defs": chain })).contains("deep"));
}

#[test]
fn a_regular_expression_cannot_backtrack_or_grow_without_bound() {
    let evil = schema(&json!({ "type": "string", "pattern": "^(a+)+$" }));
    let text = format!("{}b", "a".repeat(100_000));

    assert_eq!(places(&evil.validate(&json!(text)))[0].2, "pattern");
    assert!(JsonSchema::parse("s", r#"{"pattern":"(?=a)b"}"#).is_err());
    assert!(JsonSchema::parse("s", r#"{"pattern":"(a)\\1"}"#).is_err());
    assert!(JsonSchema::parse("s", r#"{"pattern":"((a{1000}){1000}){1000}"}"#).is_err());
    let many: serde_json::Map<_, _> = (0..101).map(|n| (format!("^{n}$"), json!(true))).collect();
    assert!(refusal(&json!({ "patternProperties": many })).contains("regular expressions"));
    let mail = r"^[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,253}\.[a-z]{2,63}$";
    assert!(
        schema(&json!({ "pattern": mail }))
            .validate(&json!("a@b.example"))
            .is_empty()
    );
}

#[test]
fn formats_are_checked_but_for_regular_expressions() {
    let dated = schema(&json!({ "format": "date-time" }));
    let regex = schema(&json!({ "format": "regex" }));

    assert!(dated.validate(&json!("2026-01-31T00:00:00Z")).is_empty());
    assert_eq!(places(&dated.validate(&json!("yesterday")))[0].2, "format");
    assert!(regex.validate(&json!("((a{1000}){1000}){1000}")).is_empty());
    assert!(
        schema(&json!({ "format": "unheard-of" }))
            .validate(&json!("x"))
            .is_empty()
    );
}

#[test]
fn faults_are_few_and_short() {
    let strings = schema(&json!({ "items": { "type": "string" } }));
    let several = strings.validate(&json!(vec![1; 1_000]));
    let many = strings.validate(&json!(vec![1; 100_000]));

    assert_eq!(several.len(), SCHEMA_FAULTS_MAX);
    assert_eq!(places(&many), [("/0", "#/items/type", "type")]);
    let closed = schema(&json!({ "additionalProperties": false }));
    let [fault] = &closed.validate(&json!({ "x".repeat(50_000): 1 }))[..] else {
        panic!("one fault")
    };
    assert!(
        fault.message.chars().count() <= 501,
        "{}",
        fault.message.len()
    );
}

#[test]
fn an_instance_that_is_too_large_for_its_schema_is_refused_without_being_checked() {
    let names: serde_json::Map<_, _> = (0..2_000).map(|n| (n.to_string(), json!({}))).collect();
    let wide = schema(&json!({ "items": { "properties": names } }));

    assert_eq!(places(&wide.validate(&json!(vec![1; 50_000])))[0].2, "size");
    assert!(wide.validate(&json!([{ "1": 1 }])).is_empty());
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!({ "type": "string" })),
        "(#|#/|#/\\$defs/[ab]|#/properties/[ab]|[a-z]{0,3}:[/#a-z]{0,6})"
            .prop_map(|text| json!({ "$ref": text })),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({ "anyOf": all })),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| json!({ "properties": { "a": a, "b": b } })),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| json!({ "allOf": [a], "$defs": { "a": b } })),
            inner.prop_map(|items| json!({ "items": items, "not": {} })),
        ]
    })
}

proptest! {
    #[test]
    fn what_parses_can_be_run(schema in any_schema()) {
        if let Ok(schema) = JsonSchema::parse("schema", &schema.to_string()) {
            let instance = json!({ "a": { "a": [1, "x"], "b": null }, "b": [[], {}] });
            prop_assert!(schema.validate(&instance).len() <= SCHEMA_FAULTS_MAX);
        }
    }
}
