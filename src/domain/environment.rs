//! Environments: the isolated spaces that own everything.

use chrono::{DateTime, Utc};

use super::id::EnvironmentId;

/// An isolated space.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub name: String,
    pub created_at: DateTime<Utc>,
}
