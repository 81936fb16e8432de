//! Which entries of a trail are wanted, and how one is shown.

use chrono::{DateTime, Utc};

use crate::domain::event::EventPattern;
use crate::domain::id::{AuditLogEventId, OrganizationId};

/// Which entries a list or an export shows: those that meet every condition that is there; values inside one
/// condition are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub organization: Option<OrganizationId>,
    pub actions: Vec<EventPattern>,
    pub actor_ids: Vec<String>,
    pub actor_names: Vec<String>,
    /// Targets as `type` or as `type:id`.
    pub targets: Vec<String>,
    /// Occurred at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Occurred at this time or earlier.
    pub until: Option<DateTime<Utc>>,
    /// Words in names and metadata.
    pub search: Option<String>,
}

/// An entry as it is shown.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    pub id: AuditLogEventId,
    /// The audit log event object of the wire.
    pub object_json: String,
}
