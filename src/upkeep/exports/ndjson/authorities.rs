//! Authorities: the entries outside of an export that name redacted leaves inside it.
//!
//! Invariant: an authority is written only if the export needs it and does not hold it anyway. Memory grows with
//! the runs of redacted entries that the export holds, as the verifier's does. Does not judge: a redacted entry
//! that nobody names is written as it is, and the verifier finds it.

use super::super::WINDOW;
use super::proofs::Proofs;
use super::{Entry, Work, line};
use crate::domain::audit::{
    AuditEntry, Commitments, EXPIRED_ACTION, LeafSet, Opening, Salts, named_leaves,
};
use crate::domain::id::EnvironmentId;
use crate::store::audit_exports::{self, Scope};
use crate::store::{Conn, StoreError};

/// Authorities that are read at a time.
const PAGE: i64 = 100;

pub(super) enum Outcome {
    Full,
    Done,
    /// An authority may have expired since the checkpoint was taken, and before it was written.
    Overtaken,
}

/// The first entry under the checkpoint that can be an authority; what follows the last when there is none.
pub(super) async fn first(conn: &mut Conn, work: &Work<'_>) -> Result<i64, StoreError> {
    if work.scope.is_whole(work.size) {
        return Ok(work.size);
    }
    let page = next(conn, work, -1).await?;
    Ok(page.first().map_or(work.size, |entry| entry.leaf_index))
}

/// Writes authorities until the chunk is full or none is left.
///
/// Shape: an authority may itself be redacted, and then rests on a later one. So they are gone through from the first
/// each time, and only those after the last chunk's are written.
pub(super) async fn write(conn: &mut Conn, work: &mut Work<'_>) -> Result<Outcome, StoreError> {
    let written = work.row.authorities_through.unwrap_or(-1);
    work.row.authorities_through = Some(written);
    let relies_from = work.row.relies_from.unwrap_or(0);
    let mut after = relies_from - 1;
    let mut needed = None;
    loop {
        if work.is_full() {
            return Ok(Outcome::Full);
        }
        let page = next(conn, work, after).await?;
        let Some(last) = page.last() else { break };
        after = last.leaf_index;
        let needed = match &mut needed {
            Some(needed) => needed,
            // Most trails have no redaction, and then nobody needs to look for redacted entries.
            none => none.insert(incomplete(conn, work).await?),
        };
        let mut page = outside(conn, &work.scope, work.row.environment_id, page).await?;
        let mut relied_on = Vec::with_capacity(page.len());
        for entry in page.drain(..) {
            if named(&entry)?.meets(needed) {
                if entry.commitments.is_some() {
                    needed.insert(entry.leaf_index.unsigned_abs());
                }
                relied_on.push(entry);
            }
        }
        relied_on.retain(|entry| entry.leaf_index > written);
        push(conn, work, &relied_on).await?;
        work.row.authorities_through = Some(after.max(written));
    }
    // Asked last: what is lost after this was read before.
    let expired = expired(conn, work).await?;
    let mut unread = LeafSet::default();
    let unread_from = relies_from.max(written + 1);
    unread.insert_range(unread_from.unsigned_abs(), last_before(work.size));
    match unread_from < work.size && expired.meets(&unread) {
        true => Ok(Outcome::Overtaken),
        false => Ok(Outcome::Done),
    }
}

/// Writes authorities with their proofs.
async fn push(conn: &mut Conn, work: &mut Work<'_>, page: &[Entry]) -> Result<(), StoreError> {
    let leaves = page.iter().map(|entry| entry.leaf_index);
    let proofs = Proofs::load(conn, work.row, work.size, leaves).await?;
    for entry in page {
        let index = entry.leaf_index;
        let (leaf, proof) = (proofs.leaf(index)?, proofs.of(index)?);
        line(entry, true, &leaf, &proof).push_to(&mut work.text);
        work.text.push('\n');
    }
    Ok(())
}

/// The next entries that name redacted leaves; none when there are no more.
async fn next(conn: &mut Conn, work: &Work<'_>, after: i64) -> Result<Vec<Entry>, StoreError> {
    let (environment, organization) = (work.row.environment_id, work.row.organization_id);
    let mut after = after;
    while after + 1 < work.size {
        let end = work.size.min(after + 1 + WINDOW);
        let between = (after, end);
        let page = audit_exports::authorities(conn, environment, organization, between, PAGE);
        let page = page.await?;
        if !page.is_empty() {
            return Ok(page);
        }
        after = end - 1;
    }
    Ok(Vec::new())
}

/// Those that the export does not hold by itself.
async fn outside(
    conn: &mut Conn,
    scope: &Scope,
    environment: EnvironmentId,
    mut page: Vec<Entry>,
) -> Result<Vec<Entry>, StoreError> {
    let leaves: Vec<i64> = page.iter().map(|entry| entry.leaf_index).collect();
    let shown = audit_exports::shown_among(conn, environment, &scope.filter, &leaves).await?;
    page.retain(|entry| {
        let in_range = (scope.first..scope.size).contains(&entry.leaf_index);
        !(in_range && shown.contains(&entry.leaf_index))
    });
    Ok(page)
}

/// The leaves of the export that may be shown as redacted: those that are, and those that have expired since the
/// checkpoint was taken, because an entry may have been written before.
async fn incomplete(conn: &mut Conn, work: &Work<'_>) -> Result<LeafSet, StoreError> {
    let mut set = LeafSet::default();
    let (environment, scope) = (work.row.environment_id, &work.scope);
    let mut after = scope.first - 1;
    while after + 1 < scope.size {
        let end = scope.size.min(after + 1 + WINDOW);
        let between = (after, end);
        let page = audit_exports::redacted_leaves(conn, environment, &scope.filter, between);
        for leaf in page.await? {
            set.insert(leaf.unsigned_abs());
        }
        after = end - 1;
    }
    // In this order: what expires meanwhile is in one of the two.
    for (first, last) in expired(conn, work).await?.ranges() {
        let last = last.min(last_before(scope.size));
        set.insert_range(first.max(scope.first.unsigned_abs()), last);
    }
    Ok(set)
}

/// The leaves whose entries have expired since the checkpoint was taken.
async fn expired(conn: &mut Conn, work: &Work<'_>) -> Result<LeafSet, StoreError> {
    let (environment, organization) = (work.row.environment_id, work.row.organization_id);
    let late = audit_exports::changed_since(conn, environment, organization, work.size).await?;
    let mut set = LeafSet::default();
    for entry in &late {
        let entry = read(entry)?;
        if entry.action().as_str() == EXPIRED_ACTION {
            let named = named_leaves(&entry);
            named
                .ranges()
                .for_each(|(first, last)| set.insert_range(first, last));
        }
    }
    Ok(set)
}

/// The last of so many leaves.
const fn last_before(size: i64) -> u64 {
    size.unsigned_abs().saturating_sub(1)
}

/// The leaves that an entry names as redacted or expired.
fn named(entry: &Entry) -> Result<LeafSet, StoreError> {
    Ok(named_leaves(&read(entry)?))
}

/// The entry of a row.
///
/// Errors: `Corrupt` when it is none.
pub(super) fn read(entry: &Entry) -> Result<AuditEntry, StoreError> {
    let corrupt =
        |fault: String| StoreError::corrupt(format!("leaf {}: {fault}", entry.leaf_index));
    let opening = match (&entry.salts, &entry.commitments) {
        (Some(salts), _) => Salts::from_bytes(salts).map(Opening::Salts),
        (None, Some(hashes)) => Commitments::from_bytes(hashes).map(Opening::Commitments),
        (None, None) => None,
    };
    let opening = opening.ok_or_else(|| corrupt("its salts or commitments".to_owned()))?;
    AuditEntry::from_stored(&entry.object, opening).map_err(|fault| corrupt(fault.to_string()))
}
