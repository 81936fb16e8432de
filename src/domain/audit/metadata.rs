//! Metadata as it is sent: a flat object of texts, numbers and booleans.
//!
//! Invariant: what is accepted keeps its member order and the text of its numbers. Every member that does not
//! fit is told, each at its own place. Does not decode texts: a lone surrogate is kept, and counts as one character.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::content::Metadata;
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::json::{JsonKind, JsonLimits, compact};
use crate::domain::limits::{
    AUDIT_METADATA_BYTES_MAX, AUDIT_METADATA_VALUE_CHARS_MAX, JSON_DEPTH_MAX,
    METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX,
};

/// Checks and compacts a JSON text; `field` is its path.
pub(super) fn parse(field: &str, text: &str, faults: &mut Faults) -> Option<Metadata> {
    let compacted = faults.take(compacted(field, text))?;
    let Ok(members) = members(&compacted) else {
        faults.push(invalid_key(field, "a key"));
        return None;
    };
    if members.len() > METADATA_KEYS_MAX {
        let message = format!("{field} must have at most {METADATA_KEYS_MAX} members.");
        faults.push(Invalid::new(field, "too_many_members", message));
    }
    for (key, value) in members {
        if !is_key(&key) {
            faults.push(invalid_key(field, &format!("the key {key:?}")));
        } else if let Some(message) = refusal(value.get()) {
            let field = format!("{field}.{key}");
            let message = format!("{field} {message}.");
            faults.push(Invalid::new(field, "invalid_metadata_value", message));
        }
    }
    Some(Metadata::from_compact(compacted))
}

fn compacted(field: &str, text: &str) -> Result<String, Invalid> {
    let limits = JsonLimits {
        depth_max: JSON_DEPTH_MAX,
        bytes_max: AUDIT_METADATA_BYTES_MAX,
    };
    let mut compacted = String::with_capacity(text.len());
    match compact(text, limits, &mut compacted) {
        Ok(JsonKind::Object) => Ok(compacted),
        Ok(_) => {
            let message = format!("{field} must be a JSON object.");
            Err(Invalid::new(field, "object_required", message))
        }
        Err(fault) => {
            let message = format!("{field}: {fault}.");
            Err(Invalid::new(field, fault.code(), message))
        }
    }
}

fn is_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=METADATA_KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(is_allowed)
}

/// The place is the object: a path or a pointer cannot hold every key.
fn invalid_key(field: &str, which: &str) -> Invalid {
    let rule = "must be 1 to 40 letters, digits, '_' and '-'";
    Invalid::new(
        field,
        "invalid_metadata_key",
        format!("{field}: {which} {rule}."),
    )
}

/// Says why a compact JSON text is no value of metadata.
fn refusal(value: &str) -> Option<&'static str> {
    match value.as_bytes().first() {
        Some(b'"') if text_chars(value) > AUDIT_METADATA_VALUE_CHARS_MAX => {
            Some("must be at most 500 characters")
        }
        Some(b'"' | b't' | b'f' | b'-' | b'0'..=b'9') => None,
        Some(_) | None => Some("must be a string, a number or a boolean"),
    }
}

/// Counts the characters that a compact JSON string stands for.
fn text_chars(string: &str) -> usize {
    let inner = string.trim_start_matches('"');
    let mut characters = inner.strip_suffix('"').unwrap_or(inner).chars();
    let mut count = 0;
    while let Some(character) = characters.next() {
        count += 1;
        if character == '\\' && characters.next() == Some('u') {
            // Four digits; in compact form a pair of surrogates is one plain character.
            characters.nth(3);
        }
    }
    count
}

/// The members of a compact JSON object in their order.
fn members(compacted: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    serde_json::Deserializer::from_str(compacted).deserialize_map(Members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
