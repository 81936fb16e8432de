//! The lines of an NDJSON export, as it is written and as the verifier reads it.
//!
//! Invariant: a line has one text: what is read renders to exactly the bytes that were read. Lines carry all
//! that is needed to check them against the checkpoint in the first one, so no line needs another.
//!
//! Does not verify anything, and does not end a line.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::content::push_string;
use super::entry::{AuditEntry, Content};
use super::leaf::{Commitments, Salts};
use super::line::{StoredLine, push_expired};
use super::stored::{Opening, StoredFault};
use crate::domain::id::OrganizationId;
use crate::domain::merkle::Hash;
use crate::domain::time;

/// Why a line is none of an export.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineFault {
    #[error("not text in UTF-8")]
    NotText,
    #[error("longer than any line of an export")]
    TooLong,
    #[error("not the expected JSON object: {0}")]
    NotAnObject(String),
    #[error("{0} is not well-formed")]
    Member(&'static str),
    #[error("the line is not in the form in which it was written")]
    OtherForm,
    #[error(transparent)]
    Entry(#[from] StoredFault),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHeader {
    pub organization: Option<OrganizationId>,
    /// The signed note against whose size all inclusion proofs are made.
    pub checkpoint: String,
    /// `None`: from the first entry.
    pub range_start: Option<DateTime<Utc>>,
    /// `None`: to the last entry.
    pub range_end: Option<DateTime<Utc>>,
    /// A JSON object in compact form.
    pub filters: String,
    /// Every entry between the first and the last is there.
    pub complete: bool,
}

/// An entry with all that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryLine {
    pub entry: AuditEntry,
    pub leaf_hash: Hash,
    /// `None` when the leaf is beyond the checkpoint.
    pub inclusion: Option<Vec<Hash>>,
    /// Shown only because it names redacted or expired leaves; the export's filters would leave it out.
    pub is_authority: bool,
}

/// What is left of an entry that retention has removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredLine {
    pub index: u64,
    pub leaf_hash: Hash,
    pub inclusion: Option<Vec<Hash>>,
}

/// The last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportEnd {
    /// Entries and expired entries, without authorities.
    pub entries: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderText<'a> {
    #[serde(rename = "object")]
    _object: &'a RawValue,
    #[serde(rename = "format")]
    _format: &'a RawValue,
    organization_id: Option<String>,
    checkpoint: String,
    range_start: Option<String>,
    range_end: Option<String>,
    #[serde(borrow)]
    filters: &'a RawValue,
    complete: bool,
}

impl ExportHeader {
    pub fn render(&self) -> String {
        let mut text = String::from(
            r#"{"object":"audit_log_export","format":"tidings-audit/1","organization_id":"#,
        );
        push_quoted(&mut text, self.organization.map(|id| id.to_string()));
        text.push_str(r#","checkpoint":"#);
        push_string(&mut text, &self.checkpoint);
        text.push_str(r#","range_start":"#);
        push_quoted(&mut text, self.range_start.map(time::to_text));
        text.push_str(r#","range_end":"#);
        push_quoted(&mut text, self.range_end.map(time::to_text));
        let _infallible = write!(
            text,
            r#","filters":{},"complete":{}}}"#,
            self.filters, self.complete
        );
        text
    }

    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let read: HeaderText<'_> = from_json(line)?;
        let instant = |name, text: Option<String>| {
            let time = text.map(|text| time::from_text(&text).ok_or(LineFault::Member(name)));
            time.transpose()
        };
        let organization = read.organization_id.map(|text| text.parse()).transpose();
        let header = Self {
            organization: organization.map_err(|_other| LineFault::Member("organization_id"))?,
            checkpoint: read.checkpoint,
            range_start: instant("range_start", read.range_start)?,
            range_end: instant("range_end", read.range_end)?,
            filters: read.filters.get().to_owned(),
            complete: read.complete,
        };
        exactly(header.render() == line, header)
    }

    /// Whether the export is to hold every entry of the log.
    pub fn is_whole(&self) -> bool {
        self.complete
            && self.range_start.is_none()
            && self.range_end.is_none()
            && self.filters == "{}"
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryText<'a> {
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
    #[serde(borrow)]
    authority: Option<&'a RawValue>,
    salts: Option<Vec<String>>,
    commitments: Option<Vec<String>>,
    leaf_hash: String,
    inclusion: Option<Vec<String>>,
}

impl EntryLine {
    pub fn render(&self) -> String {
        let object = self.entry.render_object();
        let (salts, commitments) = match self.entry.content() {
            Content::Kept { salts, .. } => (Some(salts.to_bytes()), None),
            Content::Redacted { commitments } => (None, Some(commitments.to_bytes())),
        };
        let line = StoredLine {
            object: &object,
            salts: salts.as_deref(),
            commitments: commitments.as_deref(),
            leaf_hash: &self.leaf_hash,
            inclusion: self.inclusion.as_deref(),
            is_authority: self.is_authority,
        };
        let mut text = String::with_capacity(object.len() + 2048);
        line.push_to(&mut text);
        text
    }

    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let read: EntryText<'_> = from_json(line)?;
        let object = read.entry.or(read.authority);
        let object = object.ok_or(LineFault::Member("entry"))?;
        let opening = match (read.salts, read.commitments) {
            (Some(salts), _) => Opening::Salts(parse_salts(&salts)?),
            (None, Some(hashes)) => {
                Opening::Commitments(Commitments::new(parse_hashes("commitments", &hashes)?))
            }
            (None, None) => return Err(LineFault::Member("salts")),
        };
        let line_read = Self {
            entry: AuditEntry::from_stored(object.get(), opening)?,
            leaf_hash: parse_hash("leaf_hash", &read.leaf_hash)?,
            inclusion: parse_inclusion(read.inclusion.as_deref())?,
            is_authority: read.entry.is_none(),
        };
        exactly(line_read.render() == line, line_read)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiredText {
    expired: ExpiredIndex,
    leaf_hash: String,
    inclusion: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiredIndex {
    index: u64,
}

impl ExpiredLine {
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(2048);
        push_expired(
            &mut text,
            self.index,
            &self.leaf_hash,
            self.inclusion.as_deref(),
        );
        text
    }

    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let read: ExpiredText = from_json(line)?;
        let line_read = Self {
            index: read.expired.index,
            leaf_hash: parse_hash("leaf_hash", &read.leaf_hash)?,
            inclusion: parse_inclusion(read.inclusion.as_deref())?,
        };
        exactly(line_read.render() == line, line_read)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndText<'a> {
    #[serde(rename = "object", borrow)]
    _object: &'a RawValue,
    entries: u64,
}

impl ExportEnd {
    pub fn render(&self) -> String {
        format!(
            r#"{{"object":"audit_log_export_end","entries":{}}}"#,
            self.entries
        )
    }

    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let read: EndText<'_> = from_json(line)?;
        let end = Self {
            entries: read.entries,
        };
        exactly(end.render() == line, end)
    }
}

fn from_json<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, LineFault> {
    serde_json::from_str(line).map_err(|fault| LineFault::NotAnObject(fault.to_string()))
}

fn exactly<T>(is_exact: bool, value: T) -> Result<T, LineFault> {
    if is_exact {
        Ok(value)
    } else {
        Err(LineFault::OtherForm)
    }
}

fn parse_hash(name: &'static str, text: &str) -> Result<Hash, LineFault> {
    text.parse().map_err(|_fault| LineFault::Member(name))
}

fn parse_hashes(name: &'static str, texts: &[String]) -> Result<Vec<Hash>, LineFault> {
    texts.iter().map(|text| parse_hash(name, text)).collect()
}

fn parse_inclusion(texts: Option<&[String]>) -> Result<Option<Vec<Hash>>, LineFault> {
    let hashes = texts.map(|texts| parse_hashes("inclusion", texts));
    hashes.transpose()
}

fn parse_salts(texts: &[String]) -> Result<Salts, LineFault> {
    let mut salts = Vec::with_capacity(texts.len());
    for text in texts {
        let mut salt = [0; Salts::BYTES];
        hex::decode_to_slice(text, &mut salt).map_err(|_fault| LineFault::Member("salts"))?;
        salts.push(salt);
    }
    Ok(Salts::new(salts))
}

/// Writes a string that needs no escapes, or null.
fn push_quoted(text: &mut String, value: Option<String>) {
    let _infallible = match value {
        Some(value) => write!(text, r#""{value}""#),
        None => write!(text, "null"),
    };
}
