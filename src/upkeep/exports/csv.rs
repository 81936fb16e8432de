//! Entries as rows of CSV (Source: RFC 4180), in UTF-8 with CRLF and one header row.
//!
//! Invariant: every row has the columns of [`COLUMNS`], and no cell is a formula: what a spreadsheet would compute
//! gets a leading apostrophe.

use std::borrow::Cow;

use csv::{Terminator, Writer, WriterBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CHUNK_BYTES, FIRST_PAGE, Filled, TURN_LEAVES, WINDOW, finish, page_size};
use crate::store::audit_exports::{self, ExportRow, Scope};
use crate::store::{Conn, StoreError};

const COLUMNS: [&str; 15] = [
    "id",
    "action",
    "version",
    "occurred_at",
    "recorded_at",
    "organization_id",
    "actor_id",
    "actor_type",
    "actor_name",
    "actor_metadata",
    "targets",
    "location",
    "user_agent",
    "metadata",
    "index",
];

/// Fills a chunk and moves `row` on; the export is ready when nothing is left.
pub(super) async fn fill(
    conn: &mut Conn,
    row: &mut ExportRow,
    first: bool,
) -> Result<Filled, StoreError> {
    let Scope { filter, size, .. } = Scope::of(row)?;
    let mut sheet = Sheet::new(first)?;
    let mut limit = FIRST_PAGE;
    let begin = row.written_through.unwrap_or(-1);
    loop {
        let after = row.written_through.unwrap_or(-1);
        if after + 1 >= size {
            finish(row);
            return sheet.into_chunk();
        }
        if after - begin >= TURN_LEAVES {
            return sheet.into_chunk();
        }
        let end = size.min(after + 1 + WINDOW);
        let environment = row.environment_id;
        let page = audit_exports::entries(conn, environment, &filter, (after, end), limit).await?;
        let mut read_bytes = 0;
        for entry in &page {
            if sheet.len() >= CHUNK_BYTES {
                return sheet.into_chunk();
            }
            sheet.push(&entry.object)?;
            row.written_through = Some(entry.leaf_index);
            row.entries += 1;
            read_bytes += entry.object.len();
        }
        if i64::try_from(page.len()).is_ok_and(|read| read < limit) {
            row.written_through = Some(end - 1);
        }
        if !page.is_empty() {
            limit = page_size(0, read_bytes.div_ceil(page.len()));
        }
    }
}

/// Rows on their way into a chunk.
struct Sheet {
    writer: Writer<Vec<u8>>,
    /// Bytes of the cells, a little less than what they take when written.
    bytes: usize,
}

/// What a row shows of a stored entry.
#[derive(Deserialize)]
struct Entry<'a> {
    id: String,
    action: String,
    version: Option<u64>,
    occurred_at: String,
    recorded_at: String,
    organization_id: Option<String>,
    #[serde(borrow)]
    actor: Actor<'a>,
    #[serde(borrow)]
    targets: &'a RawValue,
    // Gone from a redacted entry, as names and metadata are.
    context: Option<Context>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    index: u64,
}

#[derive(Deserialize)]
struct Actor<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Context {
    location: String,
    user_agent: Option<String>,
}

impl Sheet {
    /// An empty sheet, or one that begins with the header row.
    fn new(with_header: bool) -> Result<Self, StoreError> {
        let writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(Vec::new());
        let mut sheet = Self { writer, bytes: 0 };
        if with_header {
            sheet.write(&COLUMNS)?;
        }
        Ok(sheet)
    }

    /// Adds an entry, given as it is stored.
    ///
    /// Errors: `Corrupt` when it is no entry.
    fn push(&mut self, object: &str) -> Result<(), StoreError> {
        let entry: Entry<'_> = serde_json::from_str(object)
            .map_err(|error| StoreError::corrupt(format!("an audit log entry: {error}")))?;
        let context = entry.context.unwrap_or_default();
        let raw = |value: Option<&RawValue>| value.map_or_else(String::new, |raw| raw.get().into());
        self.write(&[
            entry.id,
            entry.action,
            entry
                .version
                .map_or_else(String::new, |version| version.to_string()),
            entry.occurred_at,
            entry.recorded_at,
            entry.organization_id.unwrap_or_default(),
            entry.actor.id,
            entry.actor.kind,
            entry.actor.name.unwrap_or_default(),
            raw(entry.actor.metadata),
            raw(Some(entry.targets)),
            context.location,
            context.user_agent.unwrap_or_default(),
            raw(entry.metadata),
            entry.index.to_string(),
        ])
    }

    fn write<T: AsRef<str>>(&mut self, cells: &[T; COLUMNS.len()]) -> Result<(), StoreError> {
        let cells: Vec<_> = cells.iter().map(|cell| harmless(cell.as_ref())).collect();
        self.bytes += cells.iter().map(|cell| cell.len() + 1).sum::<usize>();
        let written = self
            .writer
            .write_record(cells.iter().map(|cell| cell.as_bytes()));
        written.map_err(|error| StoreError::corrupt(format!("a row of CSV: {error}")))
    }

    /// About how many bytes are in it.
    const fn len(&self) -> usize {
        self.bytes
    }

    fn into_chunk(self) -> Result<Filled, StoreError> {
        self.into_bytes().map(Filled::Chunk)
    }

    fn into_bytes(self) -> Result<Vec<u8>, StoreError> {
        let bytes = self.writer.into_inner();
        bytes.map_err(|error| StoreError::corrupt(format!("a chunk of CSV: {error}")))
    }
}

/// The cell's text, told apart from a formula (Source: OWASP, CSV Injection).
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sheet: Sheet) -> String {
        String::from_utf8(sheet.into_bytes().expect("bytes")).expect("UTF-8")
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_and_quotes_what_needs_it() {
        let mut sheet = Sheet::new(true).expect("a sheet");

        let object = r#"{"object":"audit_log_event","id":"audit_log_event_1","organization_id":"org_1","action":"user.read","version":2,"occurred_at":"2026-01-01T00:00:00.000Z","recorded_at":"2026-01-01T00:00:01.000Z","actor":{"id":"u1","type":"user","name":"Doe, \"J\"\nTwo","metadata":{"role":"admin"}},"targets":[{"id":"t1","type":"team"}],"context":{"location":"here","user_agent":"curl"},"metadata":{"n":1.0},"index":7}"#;
        sheet.push(object).expect("an entry");

        let text = text(sheet);
        let (header, row) = text.split_once("\r\n").expect("two rows");
        assert_eq!(header, COLUMNS.join(","));
        assert_eq!(
            row,
            "audit_log_event_1,user.read,2,2026-01-01T00:00:00.000Z,2026-01-01T00:00:01.000Z,org_1,u1,user,\
             \"Doe, \"\"J\"\"\nTwo\",\"{\"\"role\"\":\"\"admin\"\"}\",\"[{\"\"id\"\":\"\"t1\"\",\"\"type\"\":\"\"team\"\"}]\",\
             here,curl,\"{\"\"n\"\":1.0}\",7\r\n"
        );
    }

    #[test]
    fn what_a_redacted_entry_lacks_is_an_empty_cell() {
        let mut sheet = Sheet::new(false).expect("a sheet");

        let object = r#"{"object":"audit_log_event","id":"e","organization_id":null,"action":"a","occurred_at":"o","recorded_at":"r","actor":{"id":"u","type":"user"},"targets":[],"index":0,"redacted":true}"#;
        sheet.push(object).expect("an entry");

        assert_eq!(text(sheet), "e,a,,o,r,,u,user,,,[],,,,0\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for plain in ["", "1-1", "'=1", "a=b", "{}"] {
            assert_eq!(harmless(plain), plain);
        }
    }

    #[test]
    fn what_is_no_entry_is_corrupt() {
        let mut sheet = Sheet::new(false).expect("a sheet");

        assert!(matches!(sheet.push("{}"), Err(StoreError::Corrupt(_))));
    }
}
