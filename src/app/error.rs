//! App errors: what a caller can act on.
//!
//! Errors look down only: which number an error has on the wire is `http/problem.rs`'s to say.

use chrono::{DateTime, Utc};

use crate::domain::id::EndpointId;
use crate::domain::invalid::Invalid;
use crate::domain::schema::SchemaFault;
use crate::ingest::RecordError;
use crate::store::StoreError;

/// What a call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    Event,
    Endpoint,
    Organization,
    Delivery,
    ApiKey,
    Environment,
    AuditLogEvent,
    AuditLogAction,
    AuditLogExport,
    AuditLogCheckpoint,
    AuditLogRedaction,
    EventType,
    PortalLink,
    Replay,
}

impl Noun {
    /// The word that callers read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "Event",
            Self::Endpoint => "Webhook Endpoint",
            Self::Organization => "Organization",
            Self::Delivery => "Delivery",
            Self::ApiKey => "API Key",
            Self::Environment => "Environment",
            Self::AuditLogEvent => "Audit Log Event",
            Self::AuditLogAction => "Audit Log Action",
            Self::AuditLogExport => "Audit Log Export",
            Self::AuditLogCheckpoint => "Audit Log Checkpoint",
            Self::AuditLogRedaction => "Audit Log Redaction",
            Self::EventType => "Event Type",
            Self::PortalLink => "Portal Link",
            Self::Replay => "Replay",
        }
    }
}

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("the input is invalid")]
    Invalid(Vec<Invalid>),
    #[error("{} not found: '{id}'", noun.as_str())]
    NotFound { noun: Noun, id: String },
    /// An audit log event does not fit its schema.
    #[error("the audit log event does not fit its schema")]
    AuditInvalid(Vec<SchemaFault>),
    /// An event's data does not fit the schema of its type.
    #[error("the event does not fit the schema of its type")]
    EventInvalid(Vec<SchemaFault>),
    /// An export would begin before what is kept.
    #[error("the range begins before {earliest}")]
    ExportRangeTooOld { earliest: DateTime<Utc> },
    /// There is nothing that a checkpoint could cover.
    #[error("the audit log has no entries yet")]
    TrailEmpty,
    /// The last checkpoint is older than the entry, or there is none.
    #[error("no checkpoint covers the entry yet")]
    NotCheckpointed,
    /// A signing key was rotated, and the one before it not retired.
    #[error("two keys sign already; retire the older one first")]
    RotationUnderWay,
    /// A command without the master key would seal what no server could open.
    #[error(
        "this takes the master key of the servers; set TIDINGS_MASTER_KEY or TIDINGS_MASTER_KEY_FILE"
    )]
    MasterKeyNeeded,
    /// A rewrap opens under one and seals under the other.
    #[error(
        "this takes the new master key and the old one: TIDINGS_MASTER_KEY and TIDINGS_OLD_MASTER_KEY, or their _FILE"
    )]
    MasterKeysNeeded,
    /// What is sealed under the new master key, a running server could not open.
    #[error(
        "the server {server} does not have the new master key yet; start every server anew with both keys first"
    )]
    MasterKeyUnknown { server: String },
    /// Another object has what must be unique.
    #[error("{message}")]
    Exists { noun: Noun, message: String },
    /// The outbound guard would not call it.
    #[error("{message}")]
    InvalidUrl { message: String },
    #[error("idempotency key {key} was used by another request")]
    IdempotencyKeyReused { key: String },
    #[error("external id {external_id} is in use")]
    ExternalIdUsed { external_id: String },
    #[error("cursor {cursor} names no event")]
    CursorUnknown { cursor: String },
    #[error("cursor {cursor} has left the retention period")]
    CursorExpired { cursor: String },
    #[error("endpoint {id} is disabled")]
    EndpointDisabled { id: EndpointId },
    #[error("no more than {max} {what}")]
    LimitReached { what: &'static str, max: i64 },
    /// Too much is waiting already; nothing was done.
    #[error("too much is waiting")]
    Overloaded,
    /// The database is away; a later try may succeed.
    #[error(transparent)]
    Unavailable(StoreError),
    #[error(transparent)]
    Internal(StoreError),
}

impl AppError {
    pub(super) fn not_found(noun: Noun, id: &impl ToString) -> Self {
        Self::NotFound {
            noun,
            id: id.to_string(),
        }
    }

    /// The error of a request that recorded events, made under `key`.
    pub(super) fn of_record(error: RecordError, key: Option<&str>) -> Self {
        match error {
            RecordError::Overloaded => Self::Overloaded,
            RecordError::KeyReused => Self::IdempotencyKeyReused {
                key: key.unwrap_or_default().to_owned(),
            },
            RecordError::NoOrganization(id) => Self::not_found(Noun::Organization, &id),
            RecordError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Exhausted(_) => Self::Unavailable(error),
            StoreError::Conflict { .. } | StoreError::Corrupt(_) | StoreError::Query(_) => {
                Self::Internal(error)
            }
        }
    }
}

/// Lets a transaction's own begin and commit fail as the store does.
impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}
