//! Audit logs and event types: recorded, held against their schemas, and read back.

mod checkpoints;
mod event_types;
mod exports;
mod kills;
mod proofs;
mod published;
mod recording;
mod redactions;
mod retention;
mod schemas;
mod witness;
