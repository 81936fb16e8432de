//! An event type as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::envelope::timestamp;
use crate::app::event_types::StoredEventType;
use crate::domain::schema::JsonSchema;
use crate::http::problem::Problem;

/// What is known of the events of a type.
#[derive(Serialize, ToSchema)]
#[schema(as = EventType)]
pub(in crate::http::api) struct EventTypeBody<'a> {
    #[schema(value_type = String, example = "event_type")]
    object: &'static str,
    #[schema(value_type = String, example = "invoice.paid")]
    name: &'a str,
    #[schema(value_type = String)]
    description: &'a str,
    /// A JSON Schema of `data`.
    #[schema(required, value_type = Option<Object>)]
    schema: Option<&'a RawValue>,
    /// A sample of `data`.
    #[schema(required, value_type = Option<Object>)]
    example: Option<&'a RawValue>,
    deprecated: bool,
    /// Whether events that do not fit the schema are refused.
    enforced: bool,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

impl<'a> EventTypeBody<'a> {
    pub(super) fn of(stored: &'a StoredEventType) -> Result<Self, Problem> {
        let definition = &stored.definition;
        Ok(Self {
            object: "event_type",
            name: definition.name.as_str(),
            description: &definition.description,
            schema: raw(definition.schema.as_ref().map(JsonSchema::as_str))?,
            example: raw(definition.example.as_deref())?,
            deprecated: definition.deprecated,
            enforced: definition.enforced,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

fn raw(text: Option<&str>) -> Result<Option<&RawValue>, Problem> {
    let raw = text.map(serde_json::from_str).transpose();
    raw.map_err(Problem::internal)
}
