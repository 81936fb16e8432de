//! Checkpoints and the keys that sign them, as the platform keeps and shows them.
//!
//! Invariant: a checkpoint is shown in one text, to callers and in the event that tells of it, so that whoever
//! keeps either holds the same.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::domain::audit::Trail;
use crate::domain::id::AuditLogCheckpointId;
use crate::domain::merkle::Hash;
use crate::domain::time;

/// A checkpoint that was made and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    pub id: AuditLogCheckpointId,
    pub trail: Trail,
    pub size: u64,
    pub root: Hash,
    /// The signed note: origin, size, root and signatures.
    pub note: String,
    pub created_at: DateTime<Utc>,
}

impl StoredCheckpoint {
    /// The object as it is shown: compact JSON, the root in hexadecimal digits.
    pub fn render_object(&self) -> String {
        let mut object = String::with_capacity(512);
        let _infallible = write!(
            object,
            r#"{{"object":"audit_log_checkpoint","id":"{}","organization_id":{},"size":{},"root_hash":"{}","note":{},"created_at":"{}"}}"#,
            self.id,
            json!(self.trail.organization()),
            self.size,
            self.root,
            json!(self.note),
            time::to_text(self.created_at),
        );
        object
    }
}

/// A key that signs an environment's checkpoints, or did: what anybody may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Counts from 1; the newest has the greatest.
    pub number: i32,
    /// The verifying key's text.
    pub verifier: String,
    pub created_at: DateTime<Utc>,
    /// Since when it signs no more.
    pub retired_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::OrganizationId;
    use crate::domain::merkle::empty_root;

    #[test]
    fn a_checkpoint_is_shown_as_json_with_the_root_in_hexadecimal_digits() {
        let organization = OrganizationId::at(1, 1);
        let mut stored = StoredCheckpoint {
            id: AuditLogCheckpointId::at(2, 2),
            trail: Trail::Organization(organization),
            size: 7,
            root: empty_root(),
            note: "a\n\n\u{2014} b c\n".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
        };

        let shown: serde_json::Value = serde_json::from_str(&stored.render_object()).expect("JSON");

        assert_eq!(
            shown,
            json!({
                "object": "audit_log_checkpoint",
                "id": stored.id,
                "organization_id": organization,
                "size": 7,
                "root_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "note": "a\n\n\u{2014} b c\n",
                "created_at": "1970-01-01T00:00:00.000Z",
            })
        );
        stored.trail = Trail::Environment;
        assert!(
            stored
                .render_object()
                .contains(r#""organization_id":null,"#)
        );
    }
}
