//! Entries with their proofs, a JSON object a line: what `tidings audit verify` reads.
//!
//! Invariant: every proof is against the checkpoint in the first line, and memory holds one page of entries with the
//! nodes that their proofs share. Objects are written as they are stored, unread: if one was changed, the verifier
//! must see it. Order: header, entries by leaf, the authorities that those rest on, end.

use std::ops::Range;

use serde::Serialize;

use super::{CHUNK_BYTES, FIRST_PAGE, Filled, TURN_LEAVES, WINDOW, finish, page_size};
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

/// Leaves of the export.
struct Page {
    leaves: Vec<Leaf>,
    /// The last leaf that was looked at for it.
    through: i64,
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
        // Before any entry is read: what is lost of these later may be missed.
        work.row.relies_from = Some(authorities::first(conn, &work).await?);
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
    /// Writes entries until the chunk is full or the turn is over; answers whether none is left.
    async fn entries(&mut self, conn: &mut Conn) -> Result<bool, StoreError> {
        let mut limit = FIRST_PAGE;
        let begin = self.looked_through();
        loop {
            let after = self.looked_through();
            if after + 1 >= self.scope.size {
                return Ok(true);
            }
            if self.is_full() || after - begin >= TURN_LEAVES {
                return Ok(false);
            }
            let page = self.page(conn, limit).await?;
            if !page.leaves.is_empty() {
                let leaves = page.leaves.iter().map(Leaf::index);
                let proofs = Proofs::load(conn, self.row, self.size, leaves).await?;
                let before = self.text.len();
                for leaf in &page.leaves {
                    if self.is_full() {
                        return Ok(false);
                    }
                    self.push(leaf, &proofs)?;
                }
                let each = (self.text.len() - before).div_ceil(page.leaves.len());
                limit = page_size(self.text.len(), each);
            }
            self.row.written_through = Some(page.through);
        }
    }

    fn is_full(&self) -> bool {
        self.text.len() >= CHUNK_BYTES
    }

    /// The last leaf that was looked at.
    fn looked_through(&self) -> i64 {
        let last = self.row.written_through;
        last.unwrap_or(self.scope.first - 1)
    }

    /// The next leaves.
    async fn page(&self, conn: &mut Conn, limit: i64) -> Result<Page, StoreError> {
        let after = self.looked_through();
        let is_complete = self.scope.is_complete();
        // Every leaf of a complete export is a line of it.
        let window = if is_complete { limit } else { WINDOW };
        let end = self.scope.size.min(after + 1 + window);
        let (environment, filter) = (self.row.environment_id, &self.scope.filter);
        let rows = audit_exports::entries(conn, environment, filter, (after, end), limit).await?;
        let through = end - 1;
        if is_complete {
            let leaves = complete(rows, after + 1..end);
            return Ok(Page { leaves, through });
        }
        let is_cut = i64::try_from(rows.len()).is_ok_and(|read| read >= limit);
        let last = rows.last().map(|row| row.leaf_index).filter(|_| is_cut);
        Ok(Page {
            leaves: rows.into_iter().map(Leaf::Kept).collect(),
            through: last.unwrap_or(through),
        })
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

/// The leaves of `range`: where an entry should be and is not, the leaf is shown.
fn complete(rows: Vec<Entry>, range: Range<i64>) -> Vec<Leaf> {
    let mut rows = rows.into_iter().peekable();
    let mut leaves = Vec::with_capacity(rows.len());
    for index in range {
        match rows.next_if(|row| row.leaf_index == index) {
            Some(row) => leaves.push(Leaf::Kept(row)),
            None => leaves.push(Leaf::Expired(index)),
        }
    }
    leaves
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
