//! Signatures on deliveries: what a receiver checks to know who sent a body, and when.
//!
//! Invariant: two schemes, one secret. `WorkOS-Signature` is keyed by the text of the secret, `whsec_` included,
//! and counts milliseconds; Standard Webhooks is keyed by the bytes that text encodes, and counts seconds. Both
//! sign the body's bytes as they are sent. Secrets are never printed and signatures compared in constant time.
//!
//! Does not draw secrets, read the clock, or choose which secrets are valid during a rotation.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

use super::secret::Redacted;

const PREFIX: &str = "whsec_";
const SECRET_BYTES: RangeInclusive<usize> = 24..=32;
const MAC_BYTES: usize = 32;

/// An HMAC-SHA256 that has taken its key; a clone of it takes a message.
type Keyed = Hmac<Sha256>;

/// An endpoint's secret: `whsec_` and the base64 of 24 to 32 random bytes.
#[derive(Clone)]
pub struct SigningSecret {
    text: Redacted<String>,
    /// Keyed by the text.
    contract: Keyed,
    /// Keyed by the bytes.
    standard: Keyed,
}

/// Why a text is no signing secret. Does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a signing secret is `whsec_` and the base64 of 24 to 32 bytes")]
pub struct SigningSecretFault;

impl SigningSecret {
    /// Makes a secret of 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::new(format!("{PREFIX}{}", BASE64.encode(bytes)), &bytes)
    }

    /// The text, for an answer that may show it and for sealing it at rest.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    fn new(text: String, bytes: &[u8]) -> Self {
        Self {
            contract: keyed(text.as_bytes()),
            standard: keyed(bytes),
            text: Redacted::new(text),
        }
    }
}

impl FromStr for SigningSecret {
    type Err = SigningSecretFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SigningSecretFault)?;
        match BASE64.decode(encoded) {
            Ok(bytes) if SECRET_BYTES.contains(&bytes.len()) => {
                Ok(Self::new(text.to_owned(), &bytes))
            }
            // The cause would point into the secret.
            Ok(_) | Err(_) => Err(SigningSecretFault),
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningSecret").field(&self.text).finish()
    }
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureFault {
    #[error("the signature or its timestamp is malformed")]
    Malformed,
    #[error("the timestamp is too far from now")]
    OutsideTolerance,
    #[error("the signature does not match the secret and the body")]
    Mismatch,
}

/// Signs `body` for the header `WorkOS-Signature`.
///
/// Shape: `t=<13 digits>, v1=<64 lower-case hex>`; receivers take exactly that, so there is one signature even
/// during a rotation. Units: milliseconds. Source: the wire contract, section 7.
pub fn sign_contract(secret: &SigningSecret, timestamp_ms: i64, body: &[u8]) -> String {
    contract_header(&secret.contract, timestamp_ms, body)
}

/// Signs `body` for the header `webhook-signature`, once with each of `secrets`.
///
/// Shape: `v1,<base64>` for each, separated by spaces. Units: seconds. Source: Standard Webhooks 1.0.0.
pub fn sign_standard<'a>(
    secrets: impl IntoIterator<Item = &'a SigningSecret>,
    message_id: &str,
    timestamp_s: i64,
    body: &[u8],
) -> String {
    let head = format!("{message_id}.{timestamp_s}.");
    let mut header = String::new();
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        let mac = over(&secret.standard, &head, body).finalize().into_bytes();
        BASE64.encode_string(mac, &mut header);
    }
    header
}

/// Checks a `WorkOS-Signature` header as its strictest receivers do.
///
/// Errors: `Malformed` unless the header has exactly the shape that [`sign_contract`] gives it;
/// `OutsideTolerance` when its time is further than `tolerance` from `now_ms`, before or after.
pub fn verify_contract(
    secret: &SigningSecret,
    header: &str,
    body: &[u8],
    now_ms: i64,
    tolerance: Duration,
) -> Result<(), SignatureFault> {
    check_contract(&secret.contract, header, body, now_ms, tolerance)
}

/// The three headers of Standard Webhooks, as received.
#[derive(Debug, Clone, Copy)]
pub struct StandardHeaders<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signature: &'a str,
}

/// Checks the headers of Standard Webhooks; one matching signature is enough.
///
/// Errors: `Malformed` when the timestamp is no number; `OutsideTolerance` when it is further than `tolerance`
/// from `now_s`, before or after; `Mismatch` when no `v1` signature matches. Other versions are passed over.
pub fn verify_standard(
    secret: &SigningSecret,
    headers: StandardHeaders<'_>,
    body: &[u8],
    now_s: i64,
    tolerance: Duration,
) -> Result<(), SignatureFault> {
    let Ok(timestamp_s) = headers.timestamp.parse::<i64>() else {
        return Err(SignatureFault::Malformed);
    };
    if Duration::from_secs(timestamp_s.abs_diff(now_s)) > tolerance {
        return Err(SignatureFault::OutsideTolerance);
    }
    let message = over(
        &secret.standard,
        &format!("{}.{}.", headers.id, headers.timestamp),
        body,
    );
    let holds = |signature: &str| {
        let encoded = signature.strip_prefix("v1,")?;
        let mac = BASE64.decode(encoded).ok()?;
        message.clone().verify_slice(&mac).ok()
    };
    headers
        .signature
        .split(' ')
        .find_map(holds)
        .ok_or(SignatureFault::Mismatch)
}

fn contract_header(key: &Keyed, timestamp_ms: i64, body: &[u8]) -> String {
    // Thirteen digits also for the first years of Unix time, where only a test's clock stands.
    let timestamp = format!("{timestamp_ms:013}");
    let mac = over(key, &format!("{timestamp}."), body)
        .finalize()
        .into_bytes();
    format!("t={timestamp}, v1={}", hex::encode(mac))
}

fn check_contract(
    key: &Keyed,
    header: &str,
    body: &[u8],
    now_ms: i64,
    tolerance: Duration,
) -> Result<(), SignatureFault> {
    let (timestamp, mac) = parse_contract(header).ok_or(SignatureFault::Malformed)?;
    let Ok(timestamp_ms) = timestamp.parse::<i64>() else {
        return Err(SignatureFault::Malformed);
    };
    if Duration::from_millis(timestamp_ms.abs_diff(now_ms)) > tolerance {
        return Err(SignatureFault::OutsideTolerance);
    }
    let Ok(()) = over(key, &format!("{timestamp}."), body).verify_slice(&mac) else {
        return Err(SignatureFault::Mismatch);
    };
    Ok(())
}

fn parse_contract(header: &str) -> Option<(&str, [u8; MAC_BYTES])> {
    let (timestamp, digits) = header.strip_prefix("t=")?.split_once(", v1=")?;
    if timestamp.len() != 13 || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Most receivers compare text, so upper case fails there; it must fail here too.
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut mac = [0; MAC_BYTES];
    hex::decode_to_slice(digits, &mut mac).ok()?;
    Some((timestamp, mac))
}

fn keyed(key: &[u8]) -> Keyed {
    Keyed::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Starts from `key` and takes the message `head` + `body` without joining them.
fn over(key: &Keyed, head: &str, body: &[u8]) -> Keyed {
    key.clone().chain_update(head).chain_update(body)
}

#[cfg(test)]
mod tests;
