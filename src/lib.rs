//! Tidings: events, webhooks and audit logs on Postgres.
//!
//! The rooms and what each may import: `docs/ARCHITECTURE.md`.

pub mod app;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod egress;
pub mod http;
pub mod ingest;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod upkeep;
