//! Audit logs and event types: recorded, held against their schemas, and read back.

mod checkpoints;
mod event_types;
mod export_turns;
mod exports;
mod interrupted;
mod kills;
mod ndjson;
mod own_trail;
mod own_trail_rules;
mod pages;
mod proofs;
mod published;
mod recording;
mod redaction;
mod redactions;
mod refusals;
mod retention;
mod schemas;
mod tampering;
mod trail;
mod witness;
