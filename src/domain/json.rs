//! JSON at the door: the one form in which a payload is stored, signed, sent and read back.
//!
//! Invariant: what [`compact`] writes is valid RFC 8259 text without insignificant white space, its strings
//! escaped exactly as JavaScript's `JSON.stringify` escapes them, its numbers and member order untouched, its
//! member names unique. So a receiver that parses and serialises again sees the bytes that were signed.
//!
//! Does not build a tree, and does not change numbers: `1.0` stays `1.0`, though JavaScript would print `1`.

mod compact;
mod fault;
mod names;
mod string;

pub use compact::{JsonKind, JsonLimits, compact};
pub use fault::{JsonFault, JsonFaultKind};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
