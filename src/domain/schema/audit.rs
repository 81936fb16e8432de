//! The schema of an audit action: what its targets, its actor and its metadata look like.
//!
//! Invariant: every target type that the schema names must be among an entry's targets; targets of other types
//! are welcome. Metadata that an entry leaves out is checked as `{}`, so that what is required is asked for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::SchemaFault;
use super::json_schema::JsonSchema;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::limits::{NAME_CHARS_MAX, SCHEMA_FAULTS_MAX, SCHEMA_TARGETS_MAX};

/// What entries of an action must look like.
#[derive(Debug, Clone)]
pub struct AuditSchema {
    targets: Vec<TargetSchema>,
    actor: Option<JsonSchema>,
    metadata: Option<JsonSchema>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TargetSchema {
    kind: String,
    metadata: Option<JsonSchema>,
}

/// The parts of a schema as they were sent: raw JSON texts.
#[derive(Debug, Clone, Default)]
pub struct AuditSchemaParts<'a> {
    pub targets: Vec<TargetSchemaParts<'a>>,
    /// The schema of the actor's metadata.
    pub actor: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

/// The part that is about targets of one type.
#[derive(Debug, Clone)]
pub struct TargetSchemaParts<'a> {
    pub kind: Cow<'a, str>,
    pub metadata: Option<&'a str>,
}

/// What of an entry a schema looks at: JSON texts.
#[derive(Debug, Clone, Copy)]
pub struct CheckedParts<'a> {
    pub targets: &'a [CheckedTarget<'a>],
    pub actor_metadata: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

/// What of a target a schema looks at.
#[derive(Debug, Clone, Copy)]
pub struct CheckedTarget<'a> {
    pub kind: &'a str,
    pub metadata: Option<&'a str>,
}

impl AuditSchema {
    /// Errors: everything that is wrong, not the first.
    pub fn parse(parts: &AuditSchemaParts<'_>) -> Result<Self, Vec<Invalid>> {
        let mut faults = Faults::default();
        if !(1..=SCHEMA_TARGETS_MAX).contains(&parts.targets.len()) {
            let message = format!("targets must hold 1 to {SCHEMA_TARGETS_MAX} targets.");
            return Err(vec![Invalid::new("targets", "invalid_length", message)]);
        }
        let mut targets: Vec<TargetSchema> = Vec::with_capacity(parts.targets.len());
        for (index, part) in parts.targets.iter().enumerate() {
            let kind = faults.take(kind(
                &format!("targets[{index}].type"),
                &part.kind,
                &targets,
            ));
            let metadata = part.metadata.and_then(|text| {
                faults.take(JsonSchema::parse(
                    &format!("targets[{index}].metadata"),
                    text,
                ))
            });
            targets.push(TargetSchema {
                kind: kind.unwrap_or_default(),
                metadata,
            });
        }
        let mut part = |field: &str, text: Option<&str>| {
            text.and_then(|text| faults.take(JsonSchema::parse(field, text)))
        };
        let actor = part("actor.metadata", parts.actor);
        let metadata = part("metadata", parts.metadata);
        faults.check()?;
        Ok(Self {
            targets,
            actor,
            metadata,
        })
    }

    /// The types that must be among an entry's targets.
    pub fn target_types(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.kind.as_str())
    }

    /// The schema as it is kept and shown: the members `targets`, `actor` and `metadata` of one object.
    pub fn definition(&self) -> String {
        let targets = self.targets.iter().map(|target| TargetDefinition {
            kind: Cow::Borrowed(&target.kind),
            metadata: raw(target.metadata.as_ref()),
        });
        let definition = Definition {
            targets: targets.collect(),
            actor: raw(self.actor.as_ref()).map(|metadata| ActorDefinition { metadata }),
            metadata: raw(self.metadata.as_ref()),
        };
        serde_json::to_string(&definition).expect("texts that were parsed are JSON")
    }

    /// Reads back what [`Self::definition`] made.
    pub fn from_definition(text: &str) -> Result<Self, Vec<Invalid>> {
        let definition: Definition<'_> = serde_json::from_str(text).map_err(|fault| {
            let message = format!("the schema cannot be read: {fault}.");
            vec![Invalid::new("schema", "malformed_json", message)]
        })?;
        let targets = definition.targets.iter().map(|target| TargetSchemaParts {
            kind: Cow::Borrowed(target.kind.as_ref()),
            metadata: target.metadata.map(RawValue::get),
        });
        Self::parse(&AuditSchemaParts {
            targets: targets.collect(),
            actor: definition.actor.map(|actor| actor.metadata.get()),
            metadata: definition.metadata.map(RawValue::get),
        })
    }

    /// Says what of an entry does not fit; nothing when all does.
    ///
    /// Shape: at most [`SCHEMA_FAULTS_MAX`].
    pub fn validate(&self, entry: &CheckedParts<'_>) -> Vec<SchemaFault> {
        let mut faults = Vec::new();
        for (number, wanted) in self.targets.iter().enumerate() {
            if !entry
                .targets
                .iter()
                .any(|target| target.kind == wanted.kind)
            {
                let schema = format!("/targets/{number}/type");
                let message = format!("must contain a target of type {:?}", wanted.kind);
                faults.push(SchemaFault::new("/targets", &schema, "contains", message));
            }
        }
        for (index, target) in entry.targets.iter().enumerate() {
            let wanted = self.targets.iter().enumerate();
            let Some((number, wanted)) = wanted
                .into_iter()
                .find(|(_, wanted)| wanted.kind == target.kind)
            else {
                continue;
            };
            let places = (
                format!("/targets/{index}/metadata"),
                format!("/targets/{number}/metadata"),
            );
            let schema = wanted.metadata.as_ref();
            check(&mut faults, schema, target.metadata, (&places.0, &places.1));
        }
        let actor = ("/actor/metadata", "/actor/metadata");
        check(
            &mut faults,
            self.actor.as_ref(),
            entry.actor_metadata,
            actor,
        );
        let metadata = ("/metadata", "/metadata");
        check(
            &mut faults,
            self.metadata.as_ref(),
            entry.metadata,
            metadata,
        );
        faults.truncate(SCHEMA_FAULTS_MAX);
        faults
    }
}

/// Schemas are the same when they differ in the order of targets and of members at most.
impl PartialEq for AuditSchema {
    fn eq(&self, other: &Self) -> bool {
        // The types of a schema are distinct, so that this is equality of sets.
        self.actor == other.actor
            && self.metadata == other.metadata
            && self.targets.len() == other.targets.len()
            && self
                .targets
                .iter()
                .all(|target| other.targets.contains(target))
    }
}

impl Eq for AuditSchema {}

#[derive(Serialize, Deserialize)]
struct Definition<'a> {
    #[serde(borrow)]
    targets: Vec<TargetDefinition<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    actor: Option<ActorDefinition<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct TargetDefinition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct ActorDefinition<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn raw(schema: Option<&JsonSchema>) -> Option<&RawValue> {
    schema.map(|schema| serde_json::from_str(schema.as_str()).expect("a parsed schema is JSON"))
}

/// A target type that no earlier target of the schema has.
fn kind(field: &str, text: &str, earlier: &[TargetSchema]) -> Result<String, Invalid> {
    if text.is_empty() || text.chars().count() > NAME_CHARS_MAX {
        let message = format!("{field} must be 1 to {NAME_CHARS_MAX} characters.");
        return Err(Invalid::new(field, "invalid_length", message));
    }
    if earlier.iter().any(|target| target.kind == text) {
        let message = format!("{field}: another target of the schema has the same type.");
        return Err(Invalid::new(field, "duplicate_target_type", message));
    }
    Ok(text.to_owned())
}

/// Notes what does not fit; `places` is where the value stands in the entry, and its schema in the definition.
fn check(
    faults: &mut Vec<SchemaFault>,
    schema: Option<&JsonSchema>,
    value: Option<&str>,
    places: (&str, &str),
) {
    let Some(schema) = schema else { return };
    let found = schema.validate_text(value.unwrap_or("{}"));
    faults.extend(
        found
            .into_iter()
            .map(|fault| fault.within(places.0, places.1)),
    );
}

#[cfg(test)]
mod tests;
