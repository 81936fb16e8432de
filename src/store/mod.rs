//! The store: Postgres, and the only place that knows SQL.
//!
//! Invariant: every statement on a tenant's table names one environment. The caller owns the transaction, so
//! that two verbs can share one. Rows live and die in their noun's file.

pub mod agenda;
pub mod api_keys;
pub mod attempts;
pub mod audit_checkpoints;
pub mod audit_entries;
pub mod audit_exports;
pub mod audit_logs;
pub mod audit_pages;
pub mod audit_proofs;
pub mod audit_redactions;
pub mod audit_retention;
pub mod audit_schemas;
pub mod audit_signing_keys;
pub mod audit_trees;
pub mod breakers;
pub mod claims;
pub mod columns;
mod conn;
pub mod deliveries;
pub mod embedded;
pub mod endpoint_cache;
pub mod endpoint_health;
pub mod endpoints;
pub mod environments;
pub mod erasure;
mod error;
pub mod event_types;
pub mod events;
pub mod footprint;
pub mod gate;
pub mod handoff;
pub mod idempotency;
pub mod installation;
pub mod leader;
pub mod migrate;
pub mod organizations;
pub mod outbox;
mod paging;
pub mod partitions;
mod pool;
pub mod portal;
pub mod recent_deliveries;
pub mod recent_events;
pub mod replay_candidates;
pub mod replays;
pub mod retention;
pub mod rewrapping;
pub mod schema;
pub mod settlements;
mod shared;
pub mod shares;
pub mod strain;
mod stretches;
mod turns;
pub mod vault;
mod wire;
mod work;
pub mod workers;

pub use conn::Conn;
pub use error::StoreError;
pub use pool::{DatabaseSettings, Loan, reconnecting};
pub use shared::Store;
pub use turns::Turn;
