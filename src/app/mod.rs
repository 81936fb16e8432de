//! What the platform can do, by noun: the doors above call these and nothing below.
//!
//! Invariant: every function takes the caller and stays in its environment; an object of another environment is
//! not found. Knows no HTTP and no SQL.

pub mod api_keys;
pub mod audit;
pub mod audit_checkpoints;
pub mod audit_exports;
pub mod audit_keys;
pub mod audit_proofs;
pub mod audit_redactions;
pub mod audit_retention;
pub mod audit_schemas;
mod context;
pub mod deliveries;
pub mod endpoints;
pub mod environments;
mod error;
pub mod event_types;
pub mod events;
pub mod gauges;
pub mod health;
pub mod master_keys;
mod memory;
mod once;
pub mod organizations;
pub mod overview;
pub mod portal;
pub mod replays;
mod trail;
pub mod why;

pub use context::{App, AppParts, AppSettings};
pub use error::{AppError, Noun};
