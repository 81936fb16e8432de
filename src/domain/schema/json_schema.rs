//! One JSON Schema: draft 2020-12, or draft 7 where it says so.
//!
//! Invariant: the text is kept as it was sent, in compact form. Nothing is fetched: the library is built without
//! its resolvers and told to be offline. Regular expressions run in linear time, which excludes look-around and
//! back-references. `format` is checked, not only noted; `regex` alone is taken as it is, because to check it
//! would be to compile whatever an event holds.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::fault::SchemaFault;
use super::weight::{Weight, size, weigh};
use crate::domain::invalid::Invalid;
use crate::domain::json::{self, JsonKind, JsonLimits};
use crate::domain::limits::{
    JSON_DEPTH_MAX, SCHEMA_BYTES_MAX, SCHEMA_CHECKS_MAX, SCHEMA_FAULTS_MAX, SCHEMA_NOTES_MAX,
    SCHEMA_PATTERN_BYTES_MAX,
};

/// A schema that is ready to check values. Cheap to clone.
#[derive(Clone)]
pub struct JsonSchema(Arc<Compiled>);

struct Compiled {
    text: String,
    value: Value,
    weight: Weight,
    validator: Validator,
}

impl JsonSchema {
    /// Errors: no object, too large, not a schema of a known draft, or one that could run away; `field` is the place.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let text = compact(field, text)?;
        let value: Value = serde_json::from_str(&text).map_err(|fault| {
            invalid(
                field,
                format!("is not a JSON text that can be read: {fault}"),
            )
        })?;
        let draft = draft(&value).ok_or_else(|| {
            invalid(
                field,
                "must be of draft 2020-12 or draft 7, as its $schema says",
            )
        })?;
        let weight = weigh(&value).map_err(|refusal| invalid(field, refusal))?;
        let patterns = PatternOptions::regex()
            .size_limit(SCHEMA_PATTERN_BYTES_MAX)
            .dfa_size_limit(SCHEMA_PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .with_format("regex", |_: &str| true)
            .build(&value)
            .map_err(|error| {
                let fault = SchemaFault::of(&error);
                let (at, message) = (fault.instance_path, fault.message);
                invalid(
                    field,
                    format!("is not a valid JSON Schema at #{at}: {message}"),
                )
            })?;
        Ok(Self(Arc::new(Compiled {
            text,
            value,
            weight,
            validator,
        })))
    }

    /// The schema as it was sent, in compact form.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Says what of `instance` does not fit; nothing when all does.
    ///
    /// Shape: at most [`SCHEMA_FAULTS_MAX`]. All faults are looked for where that is cheap enough; otherwise the
    /// first, or only that there is one.
    pub fn validate(&self, instance: &Value) -> Vec<SchemaFault> {
        let checks = size(instance).saturating_mul(self.0.weight.values);
        if checks > SCHEMA_CHECKS_MAX {
            let message = "the value is too large to be checked against its schema";
            return vec![SchemaFault::new("", "", "size", message)];
        }
        if self.0.validator.is_valid(instance) {
            return Vec::new();
        }
        // The library notes every fault before it gives the first one.
        if checks <= SCHEMA_NOTES_MAX {
            let errors = self.0.validator.iter_errors(instance);
            let told = errors.take(SCHEMA_FAULTS_MAX);
            return told.map(|error| SchemaFault::of(&error)).collect();
        }
        let first = match self.0.weight.has_alternatives {
            true => None,
            false => self.0.validator.validate(instance).err(),
        };
        let unplaced = || SchemaFault::new("", "", "schema", "the value does not fit its schema");
        vec![first.map_or_else(unplaced, |error| SchemaFault::of(&error))]
    }

    /// The same for a JSON text; what is no JSON does not fit either.
    pub fn validate_text(&self, instance: &str) -> Vec<SchemaFault> {
        match serde_json::from_str(instance) {
            Ok(instance) => self.validate(&instance),
            Err(_) => vec![SchemaFault::new(
                "",
                "",
                "schema",
                "the value is not valid JSON",
            )],
        }
    }
}

/// Schemas are the same when they differ in the order of members at most.
impl PartialEq for JsonSchema {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl Eq for JsonSchema {}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonSchema").field(&self.0.text).finish()
    }
}

fn compact(field: &str, text: &str) -> Result<String, Invalid> {
    let limits = JsonLimits {
        depth_max: JSON_DEPTH_MAX,
        bytes_max: SCHEMA_BYTES_MAX,
    };
    let mut compacted = String::new();
    match json::compact(text, limits, &mut compacted) {
        Ok(JsonKind::Object) => Ok(compacted),
        Ok(_) => Err(invalid(field, "must be a JSON object")),
        Err(fault) => Err(Invalid::new(
            field,
            fault.code(),
            format!("{field}: {fault}."),
        )),
    }
}

/// The draft that a schema says it is of; 2020-12 where it says nothing.
fn draft(schema: &Value) -> Option<Draft> {
    let Some(uri) = schema.get("$schema") else {
        return Some(Draft::Draft202012);
    };
    match uri.as_str()?.trim_end_matches('#') {
        "https://json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        "http://json-schema.org/draft-07/schema" => Some(Draft::Draft7),
        _ => None,
    }
}

fn invalid(field: &str, reason: impl fmt::Display) -> Invalid {
    Invalid::new(field, "invalid_schema", format!("{field} {reason}."))
}

#[cfg(test)]
mod tests;
