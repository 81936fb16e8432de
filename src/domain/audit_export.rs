//! Exports of audit logs: what is asked for, and how far it is.
//!
//! Invariant: what an export holds is settled when it is asked for; entries recorded later are not in it.

use chrono::{DateTime, Utc};

use super::event::EventPattern;
use super::id::{AuditLogExportId, OrganizationId};

/// An export to make. Filters combine by "and", the values of one by "or"; an empty one lets everything pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExport {
    /// `None`: the environment's own trail.
    pub organization: Option<OrganizationId>,
    /// `None`, which not every format has: from the first entry to the last.
    pub range: Option<ExportRange>,
    pub actions: Vec<EventPattern>,
    pub actor_names: Vec<String>,
    pub actor_ids: Vec<String>,
    pub target_types: Vec<String>,
    pub format: ExportFormat,
}

/// From one time to another, not earlier one, both included.
///
/// Shape: of the time at which entries occurred; in a format with proofs, at which they were recorded, because
/// only those times ascend with the tree and so can be shown to have no gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportRange {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// RFC 4180, for people.
    #[default]
    Csv,
    /// One JSON object a line, with proofs: what `tidings audit verify` reads.
    Ndjson,
}

impl ExportFormat {
    const ALL: [Self; 2] = [Self::Csv, Self::Ndjson];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// The word on the wire and in the database; the ending of a file's name too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    /// What a file of this format is called in an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportState {
    Pending,
    Ready,
    /// It could not be made; a new one may.
    Failed,
    /// It was made, and has been deleted since.
    Expired,
}

impl ExportState {
    const ALL: [Self; 4] = [Self::Pending, Self::Ready, Self::Failed, Self::Expired];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "error",
            Self::Expired => "expired",
        }
    }
}

/// An export as it is shown.
#[derive(Debug, Clone)]
pub struct Export {
    pub id: AuditLogExportId,
    /// `None`: the environment's own trail.
    pub organization: Option<OrganizationId>,
    pub format: ExportFormat,
    pub state: ExportState,
    /// Entries that are written so far.
    pub entries: u64,
    /// How many there will be, where that is known beforehand.
    pub total: Option<u64>,
    /// Where the file can be fetched without a key, for a while; made anew each time it is shown.
    pub url: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_states_read_back_from_their_words() {
        for format in ExportFormat::ALL {
            assert_eq!(ExportFormat::parse(format.as_str()), Some(format));
        }
        for state in ExportState::ALL {
            assert_eq!(ExportState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ExportFormat::parse("CSV"), None);
        assert_eq!(ExportFormat::parse("xml"), None);
        assert_eq!(ExportState::parse("failed"), None);
    }
}
