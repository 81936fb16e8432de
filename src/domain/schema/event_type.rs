//! An event type as its owner describes it.
//!
//! Invariant: an example fits the schema, and only a type that has a schema is enforced.

use super::fault::SchemaFault;
use super::json_schema::JsonSchema;
use crate::domain::event::EventType;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::json::{self, JsonKind, JsonLimits};
use crate::domain::limits::{DESCRIPTION_CHARS_MAX, EXAMPLE_BYTES_MAX, JSON_DEPTH_MAX};

/// What is known of the events of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeDefinition {
    pub name: EventType,
    pub description: String,
    /// What `data` looks like.
    pub schema: Option<JsonSchema>,
    /// A sample of `data`: a JSON object in compact form.
    pub example: Option<String>,
    pub deprecated: bool,
    /// Whether events that do not fit the schema are refused.
    pub enforced: bool,
}

/// The parts of a definition as they were sent: schema and example are raw JSON texts.
#[derive(Debug, Clone, Copy)]
pub struct EventTypeParts<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub schema: Option<&'a str>,
    pub example: Option<&'a str>,
    pub deprecated: bool,
    pub enforced: bool,
}

/// What is to change; `None` leaves things as they are.
#[derive(Debug, Clone, Default)]
pub struct EventTypeChange {
    pub description: Option<String>,
    /// A schema that parsed; `Some(None)` takes it away.
    pub schema: Option<Option<JsonSchema>>,
    /// A raw JSON text; `Some(None)` takes it away.
    pub example: Option<Option<String>>,
    pub deprecated: Option<bool>,
    pub enforced: Option<bool>,
}

impl EventTypeDefinition {
    /// Errors: everything that is wrong, not the first.
    pub fn parse(parts: &EventTypeParts<'_>) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::default();
        let name = faults.take(EventType::parse("name", parts.name));
        let schema = parts
            .schema
            .and_then(|text| faults.take(JsonSchema::parse("schema", text)));
        let example = parts.example.and_then(|text| faults.take(example(text)));
        let described = faults.take(description(parts.description));
        // A schema that did not parse was there all the same.
        if parts.enforced && parts.schema.is_none() {
            faults.push(without_schema());
        }
        if let (Some(schema), Some(example)) = (&schema, &example) {
            faults.extend(misfits(schema, example));
        }
        faults.check()?;
        match (name, described) {
            (Some(name), Some(description)) => Ok(Self {
                name,
                description,
                schema,
                example,
                deprecated: parts.deprecated,
                enforced: parts.enforced,
            }),
            _ => Err(Vec::new()),
        }
    }

    /// The definition after a change.
    ///
    /// Errors: everything that would be wrong with it.
    pub fn changed(&self, change: EventTypeChange) -> Result<Self, Vec<Invalid>> {
        let schema = change.schema.unwrap_or_else(|| self.schema.clone());
        let example = change.example.unwrap_or_else(|| self.example.clone());
        Self::parse(&EventTypeParts {
            name: self.name.as_str(),
            description: change.description.as_deref().unwrap_or(&self.description),
            schema: schema.as_ref().map(JsonSchema::as_str),
            example: example.as_deref(),
            deprecated: change.deprecated.unwrap_or(self.deprecated),
            enforced: change.enforced.unwrap_or(self.enforced),
        })
    }

    /// The members that `other` has otherwise, by their names on the wire.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let text = |definition: &Self| definition.schema.as_ref().map(|it| it.as_str().to_owned());
        let members = [
            ("description", self.description != other.description),
            ("schema", text(self) != text(other)),
            ("example", self.example != other.example),
            ("deprecated", self.deprecated != other.deprecated),
            ("enforced", self.enforced != other.enforced),
        ];
        let differing = members.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }

    /// Says what of an event's `data` does not fit, where that matters; paths begin with `/data`.
    pub fn validate(&self, data: &str) -> Vec<SchemaFault> {
        match &self.schema {
            Some(schema) if self.enforced => {
                let faults = schema.validate_text(data).into_iter();
                faults.map(|fault| fault.within("/data", "")).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }
}

fn description(text: &str) -> Result<String, Invalid> {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return Ok(text.to_owned());
    }
    let message = format!("description must be at most {DESCRIPTION_CHARS_MAX} characters.");
    Err(Invalid::new("description", "too_long", message))
}

fn example(text: &str) -> Result<String, Invalid> {
    let limits = JsonLimits {
        depth_max: JSON_DEPTH_MAX,
        bytes_max: EXAMPLE_BYTES_MAX,
    };
    let mut compacted = String::new();
    let (code, reason) = match json::compact(text, limits, &mut compacted) {
        Ok(JsonKind::Object) => return Ok(compacted),
        Ok(_) => ("object_required", "must be a JSON object".to_owned()),
        Err(fault) => (fault.code(), fault.to_string()),
    };
    Err(Invalid::new("example", code, format!("example: {reason}.")))
}

fn misfits(schema: &JsonSchema, example: &str) -> Vec<Invalid> {
    let faults = schema.validate_text(example).into_iter();
    let told = faults.map(|fault| {
        let at = fault.instance_path.replace('/', ".");
        let field = format!("example{at}");
        let message = format!("{field} does not fit the schema: {}.", fault.message);
        Invalid::new(field, "invalid_example", message)
    });
    told.collect()
}

fn without_schema() -> Invalid {
    let message = "enforced needs a schema.";
    Invalid::new("enforced", "schema_required", message)
}

#[cfg(test)]
mod tests;
