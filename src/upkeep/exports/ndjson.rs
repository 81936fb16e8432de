//! Entries with their proofs, a JSON object a line: what `tidings audit verify` reads.
//!
//! Invariant: every proof is against the checkpoint in the first line, and memory holds one page of entries with the
//! nodes that their proofs share. Objects are written as they are stored, unread: if one was changed, the verifier
//! must see it. Order: header, entries by leaf, the authorities that those rest on, end.

use serde::Serialize;

use super::{CHUNK_BYTES, FIRST_PAGE, Filled, PAGE_MAX, finish, page_size};
use crate::domain::audit::{ExportEnd, ExportHeader, REDACTED_ACTION, StoredLine, named_leaves};
use crate::domain::merkle::Hash;
use crate::store::audit_exports::{self, ExportRow, Scope};
use crate::store::audit_logs::{self, ExportRow as Entry};
use crate::store::{Conn, StoreError};

mod authorities;
mod proofs;

use proofs::Proofs;

/// A leaf of the export.
enum Leaf {
    Kept(Entry),
    /// Nothing but its hash is left.
    Expired(i64),
}

/// An export on its way.
struct Work<'a> {
    row: &'a mut ExportRow,
    scope: Scope,
    /// Of the checkpoint's tree.
    size: i64,
    text: String,
}

/// Fills a chunk and moves `row` on; the export is ready when nothing is left.
pub(super) async fn fill(
    conn: &mut Conn,
    row: &mut ExportRow,
    first: bool,
) -> Result<Filled, StoreError> {
    let scope = Scope::of(row)?;
    let size = row.checkpoint_size;
    let size = size.ok_or_else(|| StoreError::corrupt(format!("checkpoint of {}", row.id)))?;
    let begin = row.written_through.map_or(scope.first, |last| last + 1);
    let mut work = Work {
        row,
        scope,
        size,
        text: String::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4),
    };
    if first {
        work.push_header()?;
    }
    let mut done = work.row.authorities_through.is_some() || work.entries(conn).await?;
    if done && !work.scope.is_whole(size) {
        done = match authorities::write(conn, &mut work).await? {
            authorities::Outcome::Full => false,
            authorities::Outcome::Done => true,
            authorities::Outcome::Overtaken => return Ok(Filled::Overtaken),
        };
    }
    // Asked last: what is lost after this was read before.
    if work.is_overtaken(conn, begin).await? {
        return Ok(Filled::Overtaken);
    }
    if done {
        work.push_end()?;
        finish(work.row);
    }
    Ok(Filled::Chunk(work.text.into_bytes()))
}

impl Work<'_> {
    /// Writes entries until the chunk is full; answers whether none is left.
    async fn entries(&mut self, conn: &mut Conn) -> Result<bool, StoreError> {
        let mut limit = FIRST_PAGE;
        loop {
            if self.is_full() {
                return Ok(false);
            }
            let page = self.page(conn, limit).await?;
            let Some(last) = page.last().map(Leaf::index) else {
                return Ok(true);
            };
            let proofs = Proofs::load(conn, self.row, self.size, page.iter().map(Leaf::index));
            let proofs = proofs.await?;
            let before = self.text.len();
            for leaf in &page {
                if self.is_full() {
                    return Ok(false);
                }
                self.push(leaf, &proofs)?;
            }
            if last + 1 >= self.scope.size {
                return Ok(true);
            }
            let each = (self.text.len() - before).div_ceil(page.len());
            limit = page_size(self.text.len(), each);
        }
    }

    fn is_full(&self) -> bool {
        self.text.len() >= CHUNK_BYTES
    }

    /// The next leaves; none when there are no more.
    async fn page(&self, conn: &mut Conn, limit: i64) -> Result<Vec<Leaf>, StoreError> {
        let last = self.row.written_through;
        let after = last.unwrap_or(self.scope.first - 1);
        let environment = self.row.environment_id;
        let filter = &self.scope.filter;
        let mut rows = audit_logs::export_page(conn, environment, filter, after, limit).await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|read| read < limit);
        rows.retain(|row| row.leaf_index < self.scope.size);
        if !self.scope.is_complete() {
            return Ok(rows.into_iter().map(Leaf::Kept).collect());
        }
        // Where an entry should be and is not, its leaf is shown; there may be millions, so a page at a time.
        let mut leaves = Vec::with_capacity(rows.len());
        let mut next = after + 1;
        for row in rows {
            let index = row.leaf_index;
            let end = index.min(next + PAGE_MAX);
            leaves.extend((next..end).map(Leaf::Expired));
            if end < index {
                return Ok(leaves);
            }
            leaves.push(Leaf::Kept(row));
            next = index + 1;
        }
        if is_last {
            let end = self.scope.size.min(next + PAGE_MAX);
            leaves.extend((next..end).map(Leaf::Expired));
        }
        Ok(leaves)
    }

    fn push(&mut self, leaf: &Leaf, proofs: &Proofs) -> Result<(), StoreError> {
        let index = leaf.index();
        let leaf_hash = proofs.leaf(index)?;
        let inclusion = proofs.of(index)?;
        match leaf {
            Leaf::Kept(entry) => line(entry, false, &leaf_hash, &inclusion).push_to(&mut self.text),
            Leaf::Expired(_) => self.text.push_str(&proofs.expired(index)?.render()),
        }
        self.text.push('\n');
        self.row.written_through = Some(index);
        self.row.entries += 1;
        Ok(())
    }

    fn push_header(&mut self) -> Result<(), StoreError> {
        let checkpoint = self.row.checkpoint.clone();
        let organization = self.row.organization_id;
        let header = ExportHeader {
            organization: (organization != audit_logs::NO_ORGANIZATION).then_some(organization),
            checkpoint: checkpoint.unwrap_or_default(),
            range_start: self.row.range_start,
            range_end: self.row.range_end,
            filters: filters(&self.scope)?,
            complete: self.scope.is_complete(),
        };
        self.text.push_str(&header.render());
        self.text.push('\n');
        Ok(())
    }

    fn push_end(&mut self) -> Result<(), StoreError> {
        let entries = u64::try_from(self.row.entries);
        let entries = entries.map_err(|error| StoreError::corrupt(error.to_string()))?;
        self.text.push_str(&ExportEnd { entries }.render());
        self.text.push('\n');
        Ok(())
    }

    /// Whether something that the file shows, or is still to show, was lost since the checkpoint was taken.
    ///
    /// Shape: what expires after it was written may stay, as it was recorded then; `begin` is the first leaf that
    /// was not written before. What is redacted must not leave the house in a file that is made from now on.
    async fn is_overtaken(&self, conn: &mut Conn, begin: i64) -> Result<bool, StoreError> {
        let (environment, organization) = (self.row.environment_id, self.row.organization_id);
        let late = audit_exports::changed_since(conn, environment, organization, self.size).await?;
        for entry in &late {
            let entry = authorities::read(entry)?;
            let from = match entry.action().as_str() == REDACTED_ACTION {
                true => self.scope.first,
                false => begin,
            };
            let named = named_leaves(&entry);
            let mut ranges = named.ranges();
            let is_here =
                |(first, last): (u64, u64)| place(first) < self.scope.size && place(last) >= from;
            if ranges.any(is_here) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Leaf {
    const fn index(&self) -> i64 {
        match self {
            Self::Kept(entry) => entry.leaf_index,
            Self::Expired(index) => *index,
        }
    }
}

/// A leaf's index as the database has it.
fn place(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn line<'a>(
    entry: &'a Entry,
    is_authority: bool,
    leaf_hash: &'a Hash,
    inclusion: &'a [Hash],
) -> StoredLine<'a> {
    StoredLine {
        object: &entry.object,
        salts: entry.salts.as_deref(),
        commitments: entry.commitments.as_deref(),
        leaf_hash,
        inclusion: Some(inclusion),
        is_authority,
    }
}

/// The header's account of the filters: those that are there.
fn filters(scope: &Scope) -> Result<String, StoreError> {
    #[derive(Serialize)]
    struct Filters<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        actions: Vec<String>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        actor_names: &'a [String],
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        actor_ids: &'a [String],
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        targets: &'a [String],
    }
    let filter = &scope.filter;
    let filters = Filters {
        actions: filter.actions.iter().map(ToString::to_string).collect(),
        actor_names: &filter.actor_names,
        actor_ids: &filter.actor_ids,
        targets: &filter.targets,
    };
    serde_json::to_string(&filters).map_err(|error| StoreError::corrupt(error.to_string()))
}
