//! Exports of audit logs, made in the background on every server.
//!
//! Invariant: a chunk and the place it reaches are one transaction, so what is broken off goes on after its last
//! chunk, on whichever server; and a server passes over what another one is at. Exports take turns, a chunk each.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio_util::sync::CancellationToken;

use crate::domain::audit_export::{ExportFormat, ExportState};
use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::domain::time::Clock;
use crate::store::audit_exports::{self, ExportRow};
use crate::store::{Conn, Store, StoreError};

mod anew;
mod csv;
mod ndjson;

/// How often a server looks for what another one has left; its own exports wake it at once.
const POLL: Duration = Duration::from_millis(500);
/// How long a server waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Exports that take turns.
const TURNS: i64 = 16;
/// Bytes after which a chunk is full.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks that one transaction deletes.
const CHUNKS_BITE: i64 = 16;
/// Entries that are read at a time: a few until their size is known, then about a chunk's worth.
const FIRST_PAGE: i64 = 100;
const PAGE_MAX: i64 = 1_000;

/// What came of one turn.
enum Turn {
    /// A chunk is written, or the end is.
    Moved,
    /// Another server is at it, or it is done.
    Passed,
    /// The trail has lost something that the export's checkpoint still shows.
    Overtaken,
}

/// What a turn is to add to an export.
enum Filled {
    Chunk(Vec<u8>),
    Overtaken,
}

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
            moved |= write_chunk(&mut conn, store, clock, environment, id).await?;
        }
        if !moved {
            return Ok(());
        }
    }
}

/// Writes the next chunk of one export, or deletes some that are to go; answers whether it was there to be taken.
///
/// An export that cannot be made becomes an error, so that the others go on.
pub async fn write_chunk(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<bool, StoreError> {
    let turn = conn
        .transaction(async |conn| {
            let Some(row) = audit_exports::take(conn, environment, id).await? else {
                return Ok(Turn::Passed);
            };
            if row.clearing {
                audit_exports::clear(conn, &row, CHUNKS_BITE).await?;
                return Ok(Turn::Moved);
            }
            settle(conn, clock, row).await
        })
        .await?;
    match turn {
        Turn::Moved => Ok(true),
        Turn::Passed => Ok(false),
        Turn::Overtaken => anew::begin(conn, store, clock, environment, id).await,
    }
}

/// Deletes some chunks of an export, if they are to go; answers whether it was there to be taken.
pub(super) async fn clear(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<bool, StoreError> {
    conn.transaction(async |conn| {
        let row = audit_exports::take(conn, environment, id).await?;
        let Some(row) = row.filter(|row| row.clearing) else {
            return Ok(false);
        };
        audit_exports::clear(conn, &row, CHUNKS_BITE).await?;
        Ok(true)
    })
    .await
}

/// Fills a chunk of an export that this transaction has taken.
async fn settle(conn: &mut Conn, clock: &Clock, mut row: ExportRow) -> Result<Turn, StoreError> {
    row.updated_at = clock.now();
    let number = audit_exports::chunk_count(conn, row.environment_id, row.id).await?;
    let mut next = row.clone();
    let filled = match ExportFormat::parse(&row.format) {
        Some(ExportFormat::Csv) => csv::fill(conn, &mut next, number == 0).await,
        Some(ExportFormat::Ndjson) => ndjson::fill(conn, &mut next, number == 0).await,
        None => Err(StoreError::corrupt(format!("format of {}", row.id))),
    };
    match filled {
        Ok(Filled::Overtaken) => return Ok(Turn::Overtaken),
        Ok(Filled::Chunk(bytes)) => {
            let chunk = (!bytes.is_empty()).then_some((number, bytes.as_slice()));
            audit_exports::advance(conn, &next, chunk).await?;
        }
        Err(StoreError::Corrupt(fault)) => fail(conn, row, &fault).await?,
        Err(
            error @ (StoreError::Conflict { .. }
            | StoreError::Unavailable(_)
            | StoreError::Query(_)),
        ) => return Err(error),
    }
    Ok(Turn::Moved)
}

async fn fail(conn: &mut Conn, mut row: ExportRow, fault: &str) -> Result<(), StoreError> {
    tracing::error!(export = %row.id, fault, "an export cannot be made");
    ExportState::Failed.as_str().clone_into(&mut row.state);
    row.clearing = true;
    audit_exports::advance(conn, &row, None).await
}

fn finish(row: &mut ExportRow) {
    ExportState::Ready.as_str().clone_into(&mut row.state);
}

/// How many entries of about `each` bytes go into what is left of a chunk.
fn page_size(written: usize, each: usize) -> i64 {
    let left = CHUNK_BYTES.saturating_sub(written);
    i64::try_from(left / each.max(1))
        .unwrap_or(PAGE_MAX)
        .clamp(1, PAGE_MAX)
}
