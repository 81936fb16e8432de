//! Exports of audit logs, made in the background on every server.
//!
//! Invariant: a chunk and the place it reaches are one transaction, so what is broken off goes on after its last
//! chunk, on whichever server; and a server passes over what another one is at. Jobs take turns, a chunk each.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio_util::sync::CancellationToken;

use crate::domain::audit_export::ExportState;
use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::domain::time::Clock;
use crate::store::audit_exports::{self, ExportRow, Scope};
use crate::store::{Conn, Store, StoreError, audit_logs};

mod csv;

use csv::Sheet;

/// How often a server looks for what another one has left; its own exports wake it at once.
const POLL: Duration = Duration::from_millis(500);
/// How long a server waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Exports that take turns.
const TURNS: i64 = 16;
/// Bytes after which a chunk is full.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Entries that are read at a time: a few until their size is known, then about a chunk's worth.
const FIRST_PAGE: i64 = 100;
const PAGE_MAX: i64 = 1_000;

/// Makes exports until `stop`.
pub async fn run(store: Store, clock: Clock, stop: CancellationToken) {
    loop {
        let work = async {
            let wait = match make_pending(&store, &clock).await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(error = %error, "exports are put off");
                    PAUSE
                }
            };
            let _woken_or_not = tokio::time::timeout(wait, store.waiting_export()).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = work => {}
        }
    }
}

/// Makes every export that is pending and that no other server is at.
pub async fn make_pending(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    loop {
        let mut moved = false;
        for (environment, id) in audit_exports::pending(&mut conn, TURNS).await? {
            moved |= write_chunk(&mut conn, clock, environment, id).await?;
        }
        if !moved {
            return Ok(());
        }
    }
}

/// Writes the next chunk of one export; answers whether it was there to be taken.
///
/// An export that cannot be made becomes an error, so that the others go on.
pub async fn write_chunk(
    conn: &mut Conn,
    clock: &Clock,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<bool, StoreError> {
    conn.transaction(async |conn| {
        let Some(mut row) = audit_exports::take(conn, environment, id).await? else {
            return Ok(false);
        };
        row.updated_at = clock.now();
        let number = audit_exports::chunk_count(conn, environment, id).await?;
        let mut next = row.clone();
        match fill(conn, &mut next, number == 0).await {
            Ok(bytes) => {
                let chunk = (!bytes.is_empty()).then_some((number, bytes.as_slice()));
                audit_exports::advance(conn, &next, chunk).await?;
            }
            Err(StoreError::Corrupt(fault)) => {
                tracing::error!(export = %id, fault, "an export cannot be made");
                ExportState::Failed.as_str().clone_into(&mut row.state);
                audit_exports::advance(conn, &row, None).await?;
            }
            Err(
                error @ (StoreError::Conflict { .. }
                | StoreError::Unavailable(_)
                | StoreError::Query(_)),
            ) => return Err(error),
        }
        Ok(true)
    })
    .await
}

/// Fills a chunk and moves `row` on; the export is ready when nothing is left.
async fn fill(conn: &mut Conn, row: &mut ExportRow, first: bool) -> Result<Vec<u8>, StoreError> {
    let Scope { filter, size } = Scope::of(row)?;
    let mut sheet = Sheet::new(first)?;
    let mut limit = FIRST_PAGE;
    loop {
        let after = row.written_through.unwrap_or(-1);
        let page = audit_logs::export_page(conn, row.environment_id, &filter, after, limit).await?;
        let full = i64::try_from(page.len()).is_ok_and(|read| read == limit);
        let mut read_bytes = 0;
        for entry in &page {
            if entry.leaf_index >= size {
                return finish(row, sheet);
            }
            if sheet.len() >= CHUNK_BYTES {
                return sheet.into_bytes();
            }
            sheet.push(&entry.object)?;
            row.written_through = Some(entry.leaf_index);
            row.entries += 1;
            read_bytes += entry.object.len();
        }
        if !full {
            return finish(row, sheet);
        }
        let each = read_bytes.div_ceil(page.len().max(1)).max(1);
        limit = i64::try_from(CHUNK_BYTES / each)
            .unwrap_or(PAGE_MAX)
            .clamp(1, PAGE_MAX);
    }
}

fn finish(row: &mut ExportRow, sheet: Sheet) -> Result<Vec<u8>, StoreError> {
    ExportState::Ready.as_str().clone_into(&mut row.state);
    sheet.into_bytes()
}
