//! How much work a schema is, found out before any of it is compiled.
//!
//! Invariant: every reference is followed, as often as it is met, and stays inside the schema; what is too deep
//! or too large that way is refused. So a reference to itself (too deep) and one that doubles at every level
//! (too large) never reach the validator, which would follow both.

use serde_json::{Map, Value};

use crate::domain::limits::{SCHEMA_DEPTH_MAX, SCHEMA_PATTERNS_MAX, SCHEMA_VALUES_MAX};

/// What checking one instance can cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// JSON values of the schema, with all references followed.
    pub(super) values: usize,
    /// Regular expressions, counted the same way.
    patterns: usize,
    /// Whether it offers alternatives, whose faults are all kept until one of them fits.
    pub(super) has_alternatives: bool,
}

/// Why a schema is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "is more than {SCHEMA_DEPTH_MAX} schemas deep with its references followed, or refers to itself"
    )]
    TooDeep,
    #[error("is larger than {SCHEMA_VALUES_MAX} values with its references followed")]
    TooLarge,
    #[error("has more than {SCHEMA_PATTERNS_MAX} regular expressions")]
    TooManyPatterns,
    #[error("has a $ref other than # and a JSON pointer into the same schema")]
    ForeignReference,
    #[error("has a $ref that leads nowhere")]
    LostReference,
    #[error("uses {0}, which is not supported")]
    Unsupported(&'static str),
}

/// Weighs a schema.
pub(super) fn weigh(root: &Value) -> Result<Weight, Refusal> {
    let mut scales = Scales {
        root,
        weight: Weight::default(),
    };
    scales.schema(root, 0)?;
    Ok(scales.weight)
}

struct Scales<'s> {
    root: &'s Value,
    weight: Weight,
}

impl<'s> Scales<'s> {
    /// A value where a schema may stand; what is unknown is taken for one, so that nothing is missed.
    fn schema(&mut self, value: &'s Value, depth: usize) -> Result<(), Refusal> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err(Refusal::TooDeep);
        }
        self.add(1)?;
        match value {
            Value::Object(members) => {
                for (keyword, member) in members {
                    self.keyword(keyword, member, depth)?;
                }
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.schema(item, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn keyword(&mut self, keyword: &str, member: &'s Value, depth: usize) -> Result<(), Refusal> {
        match (keyword, member) {
            ("$ref", Value::String(reference)) => {
                let target = self.resolve(reference)?;
                self.schema(target, depth + 1)
            }
            ("$dynamicRef", Value::String(_)) => Err(Refusal::Unsupported("$dynamicRef")),
            ("$recursiveRef", Value::String(_)) => Err(Refusal::Unsupported("$recursiveRef")),
            // Either would change what a reference below it means.
            ("$id", Value::String(_)) if depth > 0 => {
                Err(Refusal::Unsupported("$id below the top"))
            }
            ("$schema", Value::String(_)) if depth > 0 => {
                Err(Refusal::Unsupported("$schema below the top"))
            }
            ("const" | "enum" | "default" | "examples", data) => self.add(size(data)),
            ("properties" | "$defs" | "definitions", Value::Object(named))
            | ("dependentSchemas" | "dependencies", Value::Object(named)) => {
                self.named(named, depth)
            }
            ("patternProperties", Value::Object(named)) => {
                self.add_patterns(named.len())?;
                self.named(named, depth)
            }
            ("pattern", Value::String(_)) => self.add_patterns(1),
            (alternatives, nested) => {
                self.weight.has_alternatives |= matches!(alternatives, "anyOf" | "oneOf");
                self.schema(nested, depth + 1)
            }
        }
    }

    /// Schemas by names that the caller chose: none of them is a keyword.
    fn named(&mut self, members: &'s Map<String, Value>, depth: usize) -> Result<(), Refusal> {
        let mut schemas = members.values();
        schemas.try_for_each(|schema| self.schema(schema, depth + 1))
    }

    fn resolve(&self, reference: &str) -> Result<&'s Value, Refusal> {
        let pointer = reference
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            // An escape could be read in two ways; names that need one can be renamed.
            .filter(|pointer| !pointer.contains('%'))
            .ok_or(Refusal::ForeignReference)?;
        self.root.pointer(pointer).ok_or(Refusal::LostReference)
    }

    fn add(&mut self, values: usize) -> Result<(), Refusal> {
        self.weight.values += values;
        if self.weight.values > SCHEMA_VALUES_MAX {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    fn add_patterns(&mut self, patterns: usize) -> Result<(), Refusal> {
        self.weight.patterns += patterns;
        if self.weight.patterns > SCHEMA_PATTERNS_MAX {
            return Err(Refusal::TooManyPatterns);
        }
        Ok(())
    }
}

/// How many values a value is made of.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}
