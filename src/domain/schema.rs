//! Schemas: what callers have said that their events and audit entries look like, and what does not fit.
//!
//! Invariant: a schema that parsed is safe to run: it refers to nothing outside itself, never to itself, and its
//! size with all references followed is bounded, so that every check ends soon. A fault never quotes the value
//! that was refused. Does not decide what is done about a fault, and does not keep versions.

mod audit;
mod event_type;
mod fault;
mod json_schema;
mod weight;

pub use audit::{AuditSchema, AuditSchemaParts, CheckedParts, CheckedTarget, TargetSchemaParts};
pub use event_type::{EventTypeChange, EventTypeDefinition, EventTypeParts};
pub use fault::SchemaFault;
pub use json_schema::JsonSchema;
