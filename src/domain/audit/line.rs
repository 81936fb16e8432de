//! The text of a leaf's line in an NDJSON export.
//!
//! Invariant: there is one place that writes lines, so what the job writes from rows and what the verifier holds
//! a line against are the same form. Whoever writes an export does not read the objects: the verifier judges
//! them, and an object that was changed must reach it as it is.
//!
//! Does not end a line.

use std::fmt::Write as _;

use super::leaf::Salts;
use crate::domain::merkle::Hash;

/// An entry as it is stored, with all that proves it.
#[derive(Debug, Clone, Copy)]
pub struct StoredLine<'a> {
    pub object: &'a str,
    /// One behind the other; `None` for a redacted entry.
    pub salts: Option<&'a [u8]>,
    /// One behind the other; `None` for an entry that has its parts.
    pub commitments: Option<&'a [u8]>,
    pub leaf_hash: &'a Hash,
    /// `None` when the leaf is beyond the checkpoint.
    pub inclusion: Option<&'a [Hash]>,
    /// Shown only because it names redacted or expired leaves; the export's filters would leave it out.
    pub is_authority: bool,
}

impl StoredLine<'_> {
    pub fn push_to(&self, text: &mut String) {
        text.push_str(match self.is_authority {
            true => r#"{"authority":"#,
            false => r#"{"entry":"#,
        });
        text.push_str(self.object);
        text.push_str(r#","salts":"#);
        push_bytes(text, self.salts, Salts::BYTES);
        text.push_str(r#","commitments":"#);
        push_bytes(text, self.commitments, Hash::BYTES);
        push_proof(text, self.leaf_hash, self.inclusion);
    }
}

/// Writes the line of a leaf whose entry retention has removed.
pub(super) fn push_expired(
    text: &mut String,
    index: u64,
    leaf_hash: &Hash,
    inclusion: Option<&[Hash]>,
) {
    let _infallible = write!(text, r#"{{"expired":{{"index":{index}}}"#);
    push_proof(text, leaf_hash, inclusion);
}

/// Writes the members that every line of a leaf ends with.
fn push_proof(text: &mut String, leaf_hash: &Hash, inclusion: Option<&[Hash]>) {
    text.push_str(r#","leaf_hash":""#);
    push_hex(text, leaf_hash.as_bytes());
    text.push_str(r#"","inclusion":"#);
    match inclusion {
        Some(hashes) => push_list(text, hashes.iter().map(|hash| hash.as_bytes().as_slice())),
        None => text.push_str("null"),
    }
    text.push('}');
}

/// Writes pieces of `each` bytes, or null.
fn push_bytes(text: &mut String, bytes: Option<&[u8]>, each: usize) {
    match bytes {
        Some(bytes) => push_list(text, bytes.chunks(each)),
        None => text.push_str("null"),
    }
}

fn push_list<'a>(text: &mut String, pieces: impl Iterator<Item = &'a [u8]>) {
    text.push('[');
    for (number, piece) in pieces.enumerate() {
        text.push_str(if number > 0 { ",\"" } else { "\"" });
        push_hex(text, piece);
        text.push('"');
    }
    text.push(']');
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0x0f] {
            let digit = DIGITS.get(usize::from(nibble));
            text.push(digit.map_or('0', |&digit| char::from(digit)));
        }
    }
}
