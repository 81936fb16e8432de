//! Checkpoints: the signed head of an audit log's tree, in the text form that other tools read.
//!
//! Invariant: a checkpoint is read from a note only after a known key's signature over its text was verified.
//! The text has one spelling for each origin, size and root.
//!
//! Does not say whether two checkpoints agree; that takes a consistency proof (`merkle`).
//! Source: C2SP tlog-checkpoint, C2SP signed-note.

mod note;
mod stored;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use thiserror::Error;

pub use note::{KeyFault, NoteFault, SigningKey, VerifyingKey, open_note, sign_note};
pub use stored::{ListedKey, StoredCheckpoint};

use super::id::{EnvironmentId, OrganizationId};
use super::merkle::Hash;

/// The head of a tree: so many leaves, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which tree: see [`origin`].
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a note is no checkpoint of a known key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointFault {
    #[error(transparent)]
    Note(#[from] NoteFault),
    #[error("the note's text is no checkpoint: origin, size and root hash, each on a line")]
    Text,
}

/// The name of a tree: the organization's, or the environment's own.
pub fn origin(environment: EnvironmentId, organization: Option<OrganizationId>) -> String {
    match organization {
        Some(organization) => format!("{}/{organization}", key_name(environment)),
        None => format!("{}/environment", key_name(environment)),
    }
}

/// The name of the keys that sign an environment's checkpoints.
pub fn key_name(environment: EnvironmentId) -> String {
    format!("tidings/{environment}")
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let root = BASE64.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Signs the checkpoint: the note, with one signature for each key.
    ///
    /// Errors: the origin holds what a note cannot, such as a line break.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<String, CheckpointFault> {
        let text = self.text();
        if Self::parse(&text).as_ref() != Some(self) {
            return Err(CheckpointFault::Text);
        }
        Ok(sign_note(&text, keys)?)
    }

    /// Reads a signed checkpoint.
    ///
    /// Shape: signatures of unknown keys are ignored; at least one of `keys` must have signed, and each
    /// signature that names one of them must be right. Lines after the root are signed but mean nothing here.
    pub fn parse_and_verify(note: &str, keys: &[VerifyingKey]) -> Result<Self, CheckpointFault> {
        let text = open_note(note, keys)?;
        Self::parse(text).ok_or(CheckpointFault::Text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let root = BASE64.decode(root).ok()?;
        Some(Self {
            origin: origin.to_owned(),
            size: decimal(size)?,
            root: Hash::from_bytes(root.try_into().ok()?),
        })
    }
}

/// Reads a number that has its one spelling: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests;
