//! The API: one file for each noun, the list of operations, and their description.

mod deliveries;
mod description;
mod endpoints;
mod envelope;
mod events;
pub(super) mod openapi;
mod organizations;
pub(super) mod routes;

pub(super) use description::Description;
