//! Audit logs on the wire: entries, schemas of actions, exports, checkpoints and proofs, redactions, and how long
//! entries are kept.
//!
//! Invariant: what SDKs of the contract send and read is as they have it; unknown members of a body are ignored,
//! because they send more than the contract says.

pub(super) mod checkpoints;
pub(super) mod events;
pub(super) mod exports;
pub(super) mod keys;
pub(super) mod proofs;
pub(super) mod redactions;
pub(super) mod retention;
pub(super) mod schemas;
mod trail;
