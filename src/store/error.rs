//! Store errors: what the database said, by kind.
//!
//! Errors look down only: nothing here knows who asks. Absence is an `Option`, not an error.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::conn::OutOfRoom;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A named constraint refused a row.
    #[error("refused by {constraint}")]
    Conflict { constraint: String },
    /// The database is away, read-only, busy, or has no connection free; nothing is known to have changed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database has no memory, disk or slot left for this; nothing has changed.
    #[error("the database has no room: {0}")]
    Exhausted(String),
    /// A row does not read back as what it was written from.
    #[error("a row is corrupt: {0}")]
    Corrupt(String),
    /// The database refused the statement.
    #[error("a statement failed")]
    Query(#[source] DieselError),
}

impl StoreError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// Whether a new try may succeed with nothing else changed.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Exhausted(_))
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        if matches!(error, DieselError::BrokenTransactionManager) {
            return Self::Unavailable("the connection broke".to_owned());
        }
        if let DieselError::QueryBuilderError(cause) = &error
            && cause.is::<OutOfRoom>()
        {
            return Self::Exhausted(cause.to_string());
        }
        let DieselError::DatabaseError(kind, information) = &error else {
            return Self::Query(error);
        };
        match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::CheckViolation => match information.constraint_name() {
                Some(constraint) => Self::Conflict {
                    constraint: constraint.to_owned(),
                },
                None => Self::Query(error),
            },
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure => {
                Self::Unavailable(information.message().to_owned())
            }
            DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::RestrictViolation
            | _ => Self::Query(error),
        }
    }
}
