//! Audit logs and event types: recorded, held against their schemas, and read back.

mod checkpoints;
mod event_types;
mod exports;
mod interrupted;
mod kills;
mod ndjson;
mod proofs;
mod published;
mod recording;
mod redaction;
mod redactions;
mod retention;
mod schemas;
mod tampering;
mod trail;
mod witness;
