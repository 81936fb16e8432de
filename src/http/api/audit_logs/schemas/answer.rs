//! Schemas and actions as they are shown: the parts of a schema as they were sent.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::super::envelope::timestamp;
use crate::app::audit_schemas::{StoredAction, StoredSchema};
use crate::http::problem::Problem;

/// One version of what entries of an action must look like.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogSchema)]
pub(in crate::http::api) struct SchemaBody {
    #[schema(value_type = String, example = "audit_log_schema")]
    object: &'static str,
    version: i32,
    #[serde(flatten)]
    parts: SchemaParts,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
}

/// The members of a schema's definition.
#[derive(Serialize, serde::Deserialize, ToSchema)]
pub(in crate::http::api) struct SchemaParts {
    #[schema(value_type = Vec<TargetSchemaBody>)]
    targets: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ActorSchemaBody>, nullable = false)]
    actor: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Box<RawValue>>,
}

#[derive(ToSchema)]
#[schema(as = AuditLogTargetSchema)]
#[expect(dead_code, reason = "describes a definition's text to OpenAPI")]
pub(in crate::http::api) struct TargetSchemaBody {
    #[schema(example = "invoice")]
    r#type: String,
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Map<String, Value>>,
}

#[derive(ToSchema)]
#[schema(as = AuditLogActorSchema)]
#[expect(dead_code, reason = "describes a definition's text to OpenAPI")]
pub(in crate::http::api) struct ActorSchemaBody {
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

/// An action, with the newest version of its schema.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogAction)]
pub(in crate::http::api) struct ActionBody {
    #[schema(value_type = String, example = "audit_log_action")]
    object: &'static str,
    #[schema(example = "user.viewed_invoice")]
    name: String,
    schema: SchemaBody,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

impl SchemaBody {
    pub(super) fn of(stored: &StoredSchema) -> Result<Self, Problem> {
        let parts = serde_json::from_str(&stored.schema.definition());
        Ok(Self {
            object: "audit_log_schema",
            version: stored.version,
            parts: parts.map_err(Problem::internal)?,
            created_at: stored.created_at,
        })
    }
}

impl ActionBody {
    pub(super) fn of(action: &StoredAction) -> Result<Self, Problem> {
        Ok(Self {
            object: "audit_log_action",
            name: action.name.to_string(),
            schema: SchemaBody::of(&action.latest)?,
            created_at: action.created_at,
            // An action changes when its schema does.
            updated_at: action.latest.created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventType;
    use crate::domain::schema::AuditSchema;
    use crate::domain::time::from_millis;

    #[test]
    fn a_schema_is_shown_as_it_was_sent() {
        let definition = r#"{"targets":[{"type":"a","metadata":{"type":"object","maxProperties":1.0}}],"metadata":{"b":1,"a":2}}"#;
        let action = StoredAction {
            name: EventType::parse("name", "user.left").expect("an action"),
            latest: StoredSchema {
                version: 2,
                schema: AuditSchema::from_definition(definition).expect("a schema"),
                created_at: from_millis(1),
            },
            created_at: from_millis(0),
        };

        let shown = serde_json::to_string(&ActionBody::of(&action).expect("shown")).expect("JSON");

        assert_eq!(
            shown,
            r#"{"object":"audit_log_action","name":"user.left","schema":{"object":"audit_log_schema","version":2,"targets":[{"type":"a","metadata":{"type":"object","maxProperties":1.0}}],"metadata":{"b":1,"a":2},"created_at":"1970-01-01T00:00:00.001Z"},"created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.001Z"}"#
        );
    }
}
