//! Why a text was refused, in words for the person who sent it.
//!
//! Invariant: `offset` counts bytes of the text as it was sent, so that the sender can find the place.
//! Does not quote the payload, except for a duplicate member name, and that one shortened.

use thiserror::Error;

/// A refused text: what is wrong, and at which byte of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonFault {
    pub kind: JsonFaultKind,
    /// Counted from 0; the length of the text when it ended too early.
    pub offset: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonFaultKind {
    #[error("unexpected end of the text")]
    UnexpectedEnd,
    #[error("expected a value")]
    ExpectedValue,
    #[error("expected a member name in double quotes")]
    ExpectedName,
    #[error("expected ':' after the member name")]
    ExpectedColon,
    #[error("expected ',' or '}}'")]
    ExpectedMember,
    #[error("expected ',' or ']'")]
    ExpectedElement,
    #[error("unexpected text after the value")]
    TrailingText,
    #[error("invalid number")]
    InvalidNumber,
    #[error("invalid escape in a string")]
    InvalidEscape,
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// The name in its compact form with its quotes, shortened if it is long.
    #[error("duplicate member name {name}")]
    DuplicateName { name: String },
    #[error("more than {depth_max} levels of nesting")]
    TooDeep { depth_max: usize },
    #[error("more than {bytes_max} bytes in compact form")]
    TooLarge { bytes_max: usize },
}

impl JsonFault {
    /// The word for programs.
    pub fn code(&self) -> &'static str {
        match self.kind {
            JsonFaultKind::DuplicateName { .. } => "duplicate_member",
            JsonFaultKind::TooDeep { .. } => "too_deep",
            JsonFaultKind::TooLarge { .. } => "too_large",
            JsonFaultKind::UnexpectedEnd
            | JsonFaultKind::ExpectedValue
            | JsonFaultKind::ExpectedName
            | JsonFaultKind::ExpectedColon
            | JsonFaultKind::ExpectedMember
            | JsonFaultKind::ExpectedElement
            | JsonFaultKind::TrailingText
            | JsonFaultKind::InvalidNumber
            | JsonFaultKind::InvalidEscape
            | JsonFaultKind::ControlCharacter => "malformed_json",
        }
    }
}
