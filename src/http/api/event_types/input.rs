//! What callers send about event types, and how it is read.

use std::convert::Infallible;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::invalid::Invalid;
use crate::domain::schema::{EventTypeChange, EventTypeDefinition, EventTypeParts, JsonSchema};
use crate::http::extract::{Member, Reader};

/// An event type to create.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "invoice.paid", "description": "An invoice was paid in full.",
    "schema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
    "example": {"id": "inv_1"}, "enforced": true}))]
pub(in crate::http::api) struct CreateEventType<'a> {
    /// Segments of letters, digits, `_`, `:` and `-`, joined by dots.
    #[serde(borrow, default)]
    #[schema(value_type = String, required, max_length = 128, example = "invoice.paid")]
    name: Member<'a, String>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 2000)]
    description: Member<'a, String>,
    /// A JSON Schema (draft 2020-12, or 7) of `data`. References stay inside it, and it must not refer to itself.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    schema: Member<'a, Map<String, Value>>,
    /// A sample of `data`, which fits the schema.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    example: Member<'a, Map<String, Value>>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<bool>)]
    deprecated: Member<'a, bool>,
    /// Whether events that do not fit the schema are refused.
    #[serde(borrow, default)]
    #[schema(value_type = Option<bool>)]
    enforced: Member<'a, bool>,
}

impl CreateEventType<'_> {
    pub(super) fn parse(&self) -> Result<EventTypeDefinition, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let name = reader.required("name", &self.name);
        let description = reader.optional("description", &self.description);
        let deprecated = reader.optional("deprecated", &self.deprecated);
        let enforced = reader.optional("enforced", &self.enforced);
        let parts = EventTypeParts {
            // What is missing is stood in for, so that the rest is looked at too.
            name: name.as_deref().unwrap_or("absent"),
            description: description.as_deref().unwrap_or_default(),
            schema: self.schema.present().map(RawValue::get),
            example: self.example.present().map(RawValue::get),
            deprecated: deprecated.unwrap_or_default(),
            enforced: enforced.unwrap_or_default(),
        };
        match EventTypeDefinition::parse(&parts) {
            Ok(definition) => reader.check().map(|()| definition),
            Err(faults) => {
                reader.extend(faults);
                Err(reader.into_faults())
            }
        }
    }
}

/// What is to change; members that are absent stay as they are.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"deprecated": true}))]
pub(in crate::http::api) struct UpdateEventType<'a> {
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 2000)]
    description: Member<'a, String>,
    /// Null takes it away.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    schema: Member<'a, Map<String, Value>>,
    /// Null takes it away.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    example: Member<'a, Map<String, Value>>,
    #[serde(borrow, default)]
    #[schema(value_type = bool)]
    deprecated: Member<'a, bool>,
    #[serde(borrow, default)]
    #[schema(value_type = bool)]
    enforced: Member<'a, bool>,
}

impl UpdateEventType<'_> {
    pub(super) fn parse(&self) -> Result<EventTypeChange, Vec<Invalid>> {
        let mut reader = Reader::new("");
        let description = reader.change("description", &self.description);
        let schema = self.schema.text().map(|_| self.schema.present());
        let schema = schema
            .map(|raw| raw.and_then(|raw| reader.take(JsonSchema::parse("schema", raw.get()))));
        let example = self.example.text().map(|_| self.example.present());
        let change = EventTypeChange {
            description: description.map(Option::unwrap_or_default),
            schema,
            example: example.map(|raw| raw.map(|raw| raw.get().to_owned())),
            deprecated: reader.optional("deprecated", &self.deprecated),
            enforced: reader.optional("enforced", &self.enforced),
        };
        reader.check().map(|()| change)
    }
}

/// Where a list by name goes on: at any text, for a type that was deleted still has its place.
#[derive(Debug, Clone)]
pub(super) struct NameCursor(pub(super) String);

impl FromStr for NameCursor {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // What the database's text cannot hold stands before everything that it can.
        Ok(Self(text.replace('\0', "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(result: Result<T, Vec<Invalid>>) -> Vec<(String, &'static str)> {
        let faults = result.err().unwrap_or_default();
        faults
            .into_iter()
            .map(|fault| (fault.field, fault.code))
            .collect()
    }

    fn create(text: &str) -> Result<EventTypeDefinition, Vec<Invalid>> {
        serde_json::from_str::<CreateEventType<'_>>(text)
            .expect("an object")
            .parse()
    }

    fn update(text: &str) -> Result<EventTypeChange, Vec<Invalid>> {
        serde_json::from_str::<UpdateEventType<'_>>(text)
            .expect("an object")
            .parse()
    }

    #[test]
    fn a_name_is_enough() {
        let definition = create(r#"{"name":"invoice.paid","schema":null}"#).expect("good");

        assert_eq!(definition.name.as_str(), "invoice.paid");
        assert_eq!((definition.schema, definition.example), (None, None));
        assert!(!definition.enforced && !definition.deprecated);
    }

    #[test]
    fn faults_of_shape_and_of_meaning_are_told_together() {
        let field = |name: &str, code| (name.to_owned(), code);

        assert_eq!(
            told(create(
                r#"{"deprecated":1,"schema":{"$ref":"file:///x"},"example":[]}"#
            )),
            [
                field("name", "required"),
                field("deprecated", "invalid_type"),
                field("schema", "invalid_schema"),
                field("example", "object_required"),
            ]
        );
        assert_eq!(
            told(update(r#"{"schema":{"type":1},"enforced":"x"}"#)).len(),
            2
        );
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let nothing = update("{}").expect("good");
        let cleared = update(r#"{"schema":null,"example":null,"description":null}"#).expect("good");

        assert!(
            nothing.schema.is_none() && nothing.example.is_none() && nothing.description.is_none()
        );
        assert_eq!(cleared.schema, Some(None));
        assert_eq!(cleared.example, Some(None));
        assert_eq!(cleared.description.as_deref(), Some(""));
    }
}
