//! Exports of audit logs, made in the background on every server.
//!
//! Invariant: a chunk and the place it reaches are one transaction, so what is broken off goes on after its last
//! chunk, on whichever server; and a server passes over what another one is at. Exports take turns, a chunk each,
//! one of each environment; one that cannot proceed neither stops the others nor tries for ever.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio_util::sync::CancellationToken;

use super::JOBS_EVERY;
use super::put_off::PutOff;
use crate::domain::audit_export::{ExportFormat, ExportState};
use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::domain::time::Clock;
use crate::store::audit_exports::{self, ExportRow};
use crate::store::{Conn, Store, StoreError};

mod anew;
mod csv;
mod ndjson;

use anew::Overtaken;

/// How long a server waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Exports that take turns, one of each environment.
const TURNS: i64 = 16;
/// Turns in a row after which an export is given up. With the waits between them that takes five minutes; a database
/// that is away is not counted.
const FAILURES_MAX: i32 = 5;
/// Bytes after which a chunk is full.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks that one transaction deletes.
const CHUNKS_BITE: i64 = 16;
/// Entries that are read at a time: a few until their size is known, then about a chunk's worth.
const FIRST_PAGE: i64 = 100;
const PAGE_MAX: i64 = 1_000;
/// Leaves that one statement looks at, however few of them the export holds.
const WINDOW: i64 = 10_000;
/// Leaves that one turn looks at.
const TURN_LEAVES: i64 = 100_000;

/// What came of one turn.
enum Turn {
    /// A chunk is written, or the end is.
    Moved,
    /// Another server is at it, or it is done.
    Passed,
    /// The trail has lost something that the export's checkpoint, of this size, still shows.
    Overtaken(Option<i64>),
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
                Ok(()) => JOBS_EVERY,
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
///
/// Errors: the last that was met; the other exports have gone on.
pub async fn make_pending(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let (mut put_off, mut failed) = (PutOff::new(), Ok(()));
    loop {
        let due = audit_exports::due(&mut conn, clock.now(), put_off.jobs(), TURNS).await?;
        if due.is_empty() {
            return failed;
        }
        for (environment, id) in due {
            match write_chunk(&mut conn, store, clock, environment, id).await {
                Ok(true) => {}
                Ok(false) => put_off.push(id),
                Err(error) => {
                    tracing::warn!(export = %id, error = %error, "an export was broken off");
                    failed = Err(error);
                    put_off.push(id);
                }
            }
        }
    }
}

/// Writes the next chunk of one export, or deletes some that are to go; answers whether it was there to be taken.
///
/// An export that cannot be made becomes an error, and so does one that has failed again and again.
/// Errors: what may pass; it is counted.
pub async fn write_chunk(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
    id: AuditLogExportId,
) -> Result<bool, StoreError> {
    let error = match turn(conn, store, clock, environment, id).await {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    let now = clock.now();
    match &error {
        StoreError::Corrupt(_) => {}
        StoreError::Unavailable(_) | StoreError::Exhausted(_) => return Err(error),
        StoreError::Conflict { .. } | StoreError::Query(_) => {
            let failures = audit_exports::count_failure(conn, environment, id, now).await?;
            if failures < FAILURES_MAX {
                return Err(error);
            }
        }
    }
    tracing::error!(export = %id, error = %error, "an export cannot be made");
    audit_exports::give_up(conn, environment, id, now).await?;
    Ok(true)
}

async fn turn(
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
        Turn::Overtaken(size) => {
            anew::begin(
                conn,
                store,
                clock,
                &Overtaken {
                    environment,
                    id,
                    size,
                },
            )
            .await
        }
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
    let filled = match ExportFormat::parse(&row.format) {
        Some(ExportFormat::Csv) => csv::fill(conn, &mut row, number == 0).await?,
        Some(ExportFormat::Ndjson) => ndjson::fill(conn, &mut row, number == 0).await?,
        None => return Err(StoreError::corrupt(format!("format of {}", row.id))),
    };
    let Filled::Chunk(bytes) = filled else {
        return Ok(Turn::Overtaken(row.checkpoint_size));
    };
    let chunk = (!bytes.is_empty()).then_some((number, bytes.as_slice()));
    audit_exports::advance(conn, &row, chunk).await?;
    Ok(Turn::Moved)
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
