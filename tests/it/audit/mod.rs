//! Audit logs and event types: recorded, held against their schemas, and read back.

mod event_types;
mod exports;
mod recording;
mod retention;
mod schemas;
