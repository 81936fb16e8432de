//! What is wrong with a configuration, for the person who wrote it.
//!
//! Invariant: a [`ConfigError`] holds *all* faults, each with its key and the place it was set; a secret's value
//! is in none of them. Does not know exit codes.

use std::fmt;

use super::settings::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, `section.name`, or what stood in its place.
    pub key: String,
    /// Where it was set; `None` when several settings contradict each other.
    pub origin: Option<Origin>,
    pub message: String,
}

impl Fault {
    pub(super) fn new(key: &str, origin: &Origin, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            origin: Some(origin.clone()),
            message: message.into(),
        }
    }

    pub(super) fn contradiction(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            origin: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}): {}", self.key, self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub faults: Vec<Fault>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

/// The machine lacks what the configuration asks for: no Postgres programs, a data directory that cannot be used.
///
/// Shape: the text says what is missing and what to do. Told apart from a failure of the running program because
/// a supervisor need not try again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

impl SetupError {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
