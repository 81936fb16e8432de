//! Audit logs: what an entry says, what the tree commits to, and how to check both without the platform.
//!
//! Invariant: the leaf of an entry is made from its clear members and from salted commitments to its personal
//! ones, so an entry has the same leaf before and after a redaction. Every member that is shown is committed to.
//!
//! Does not draw salts or ids, and does not place entries in a tree; whoever holds the tree's lock does.
//! Source: docs/adr/0006-audit-tree.md.

mod content;
mod endpoint_entries;
mod entry;
mod export;
mod filter;
mod grant;
mod leaf;
mod line;
mod metadata;
mod new;
mod own;
mod stored;
mod trail;
pub mod verify;

pub use content::{Context, Identity, Metadata, Personal, PersonalParts};
pub use entry::{AuditEntry, Content, LeafPlace};
pub use export::{EntryLine, ExpiredLine, ExportEnd, ExportHeader, LineFault};
pub use filter::{AuditFilter, AuditRecord};
pub use grant::{
    EXPIRED_ACTION, LEAVES_TYPE, LeafSet, LeafSetFault, REDACTED_ACTION, leaf_targets, named_leaves,
};
pub use leaf::{Commitments, Salts};
pub use line::StoredLine;
pub use new::{AuditEntryParts, AuditLimits, NewAuditEntry, PartyParts, instance_path, is_shape};
pub use own::{Actor, Fact, OwnAction, OwnEntry};
pub use stored::{Opening, StoredFault};
pub use trail::{Trail, TrailFault};

#[cfg(test)]
mod tests;
