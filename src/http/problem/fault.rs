//! One thing that is wrong with an input, as it is told.
//!
//! Invariant: every fault has a `code` and a `message`: SDKs build their text from the codes. A fault of the
//! input's shape has a `field`; one of a schema has JSON pointers, under the names that the contract has for them.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::audit::instance_path;
use crate::domain::invalid::Invalid;
use crate::domain::schema::SchemaFault;

/// One thing that is wrong with an input.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Fault {
    /// Where, such as `events[2].data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// Which rule, for programs.
    #[schema(value_type = String, example = "required")]
    code: &'static str,
    /// The same for people.
    #[schema(value_type = String)]
    message: Cow<'static, str>,
    /// A JSON pointer to what does not fit its schema, such as `/targets/0/metadata/cost`.
    #[serde(rename = "instancePath", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance_path: Option<String>,
    /// A JSON pointer into that schema.
    #[serde(rename = "schemaPath", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    schema_path: Option<String>,
    /// The keyword of the schema that was not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keyword: Option<String>,
}

impl Fault {
    /// For people who read a page.
    pub(super) fn sentence(&self) -> &str {
        &self.message
    }

    pub(super) fn of_input(fault: Invalid) -> Self {
        Self {
            field: Some(fault.field),
            code: fault.code,
            message: fault.message,
            instance_path: None,
            schema_path: None,
            keyword: None,
        }
    }

    pub(super) fn of_audit_log_event(fault: Invalid) -> Self {
        Self {
            instance_path: Some(instance_path(&fault.field)),
            ..Self::of_input(fault)
        }
    }

    pub(super) fn of_schema(code: &'static str, fault: SchemaFault) -> Self {
        Self {
            field: None,
            code,
            message: fault.message.into(),
            instance_path: Some(fault.instance_path),
            schema_path: Some(fault.schema_path),
            keyword: Some(fault.keyword),
        }
    }
}

#[cfg(test)]
impl Fault {
    pub(super) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    pub(super) fn pointer(&self) -> Option<&str> {
        self.instance_path.as_deref()
    }
}
