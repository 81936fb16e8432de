//! The API: one file for each noun, the list of operations, and their description.

mod audit_logs;
mod deliveries;
mod description;
mod endpoints;
mod envelope;
mod event_types;
mod events;
mod metrics;
pub(super) mod openapi;
mod organizations;
mod portal_links;
mod replays;
pub(super) mod routes;
mod why;

pub(super) use description::Description;
