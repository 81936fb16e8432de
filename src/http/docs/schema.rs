//! Schemas of the OpenAPI document as rows of a table: the members of an object, each with its type in words.
//!
//! Reads the document as JSON, because that is what every other reader of it does.

use serde_json::Value;

/// One member of an object.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) description: String,
}

/// Follows a `$ref`, and the one alternative to null.
pub(super) fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer));
        return target.unwrap_or(schema);
    }
    let alternatives = schema.get("oneOf").and_then(Value::as_array);
    let solid = alternatives.and_then(|all| {
        all.iter()
            .find(|one| one.get("type") != Some(&Value::from("null")))
    });
    solid.map_or(schema, |one| resolve(document, one))
}

/// The members of an object's schema, the required ones first.
pub(super) fn fields(document: &Value, schema: &Value) -> Vec<Field> {
    let schema = resolve(document, schema);
    let required: Vec<_> = strings(schema.get("required"));
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut fields: Vec<_> = properties
        .iter()
        .map(|(name, member)| Field {
            name: name.clone(),
            kind: kind(document, member),
            required: required.contains(&name.as_str()),
            description: text(member, "description").to_owned(),
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

/// A schema's type in words: `string`, `array of string`, `Event`, `enabled | disabled`.
pub(super) fn kind(document: &Value, schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = resolve(document, schema);
        if target.get("enum").is_some() {
            return kind(document, target);
        }
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" | ");
    }
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        return alternatives
            .iter()
            .map(|one| kind(document, one))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(several) => strings(Some(several)),
        None => vec!["any"],
    };
    let shown = types
        .into_iter()
        .map(|name| match (name, schema.get("items")) {
            ("array", Some(items)) => format!("array of {}", kind(document, items)),
            _ => name.to_owned(),
        });
    shown.collect::<Vec<_>>().join(" or ")
}

/// A text member, or nothing.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of an array.
pub(super) fn strings(value: Option<&Value>) -> Vec<&str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_is_told_in_words() {
        let document = json!({ "components": { "schemas": {
            "Word": { "type": "string", "enum": ["on", "off"] },
            "Thing": { "type": "object" },
        } } });
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        for (schema, words) in [
            (json!({ "type": ["string", "null"] }), "string or null"),
            (
                json!({ "type": "array", "items": reference("Thing") }),
                "array of Thing",
            ),
            (reference("Word"), "on | off"),
            (
                json!({ "oneOf": [{ "type": "null" }, reference("Thing")] }),
                "null or Thing",
            ),
            (json!({}), "any"),
        ] {
            assert_eq!(kind(&document, &schema), words);
        }
    }
}
