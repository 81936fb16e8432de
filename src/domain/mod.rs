//! The platform's words and rules: no IO, no clock, no dice.
//!
//! Invariant: the same arguments give the same answer. Does not know how anything is stored, sent or asked for.

pub mod access;
pub mod attempt;
pub mod audit;
pub mod audit_export;
pub mod audit_redaction;
pub mod audit_retention;
pub mod breaker;
pub mod checkpoint;
pub mod delivery;
pub mod endpoint;
pub mod endpoint_health;
pub mod environment;
pub mod event;
pub mod headers;
pub mod id;
pub mod idempotency;
pub mod invalid;
pub mod json;
pub mod limits;
pub mod merkle;
pub mod organization;
pub mod page;
pub mod portal;
pub mod replay;
pub mod retry;
pub mod schema;
pub mod secret;
pub mod signature;
pub mod time;
pub mod why;
