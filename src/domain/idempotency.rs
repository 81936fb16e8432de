//! Idempotency: the caller's name for a request, and the fingerprint of what it asked for.
//!
//! Invariant: a key names one request of one environment, method and path. The same key with the same body is
//! answered again; with another body it is refused.

use sha2::{Digest, Sha256};

use super::invalid::Invalid;
use super::limits::IDEMPOTENCY_KEY_CHARS_MAX;

/// The caller's name for one request, with what the request was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Method and path, such as `POST /events`.
    pub scope: String,
    /// What the caller sent as `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the raw body.
    pub fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// Errors: empty, longer than 255 characters, or not printable ASCII.
    pub fn parse(method: &str, path: &str, key: &str, body: &[u8]) -> Result<Self, Invalid> {
        let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX || !printable {
            let message = "Idempotency-Key must be 1 to 255 printable ASCII characters.";
            return Err(Invalid::new(
                "Idempotency-Key",
                "idempotency_key_invalid",
                message,
            ));
        }
        Ok(Self {
            scope: format!("{method} {path}"),
            key: key.to_owned(),
            fingerprint: Sha256::digest(body).into(),
        })
    }
}
