//! Exports of audit logs: what is asked for, and how far it is.
//!
//! Invariant: what an export holds is settled when it is asked for; entries recorded later are not in it.

use chrono::{DateTime, Utc};

use super::event::EventPattern;
use super::id::{AuditLogExportId, OrganizationId};

/// An export to make. Filters combine by "and", the values of one by "or"; an empty one lets everything pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExport {
    pub organization: OrganizationId,
    /// Occurred at this time or later.
    pub range_start: DateTime<Utc>,
    /// Occurred at this time or earlier; not before `range_start`.
    pub range_end: DateTime<Utc>,
    pub actions: Vec<EventPattern>,
    pub actor_names: Vec<String>,
    pub actor_ids: Vec<String>,
    pub target_types: Vec<String>,
    pub format: ExportFormat,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// RFC 4180, for people.
    #[default]
    Csv,
}

impl ExportFormat {
    pub fn parse(word: &str) -> Option<Self> {
        (word == Self::Csv.as_str()).then_some(Self::Csv)
    }

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
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
    pub organization: OrganizationId,
    pub format: ExportFormat,
    pub state: ExportState,
    /// Entries that are written so far.
    pub entries: u64,
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
        let csv = ExportFormat::Csv;
        assert_eq!(ExportFormat::parse(csv.as_str()), Some(csv));
        for state in ExportState::ALL {
            assert_eq!(ExportState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ExportFormat::parse("CSV"), None);
        assert_eq!(ExportFormat::parse("ndjson"), None);
        assert_eq!(ExportState::parse("failed"), None);
    }
}
