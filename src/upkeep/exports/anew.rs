//! Beginning an export anew, against a new checkpoint.
//!
//! Invariant: an export shows as incomplete only what an entry under its checkpoint names. What was redacted or has
//! expired after the checkpoint and before it was written is named by a later entry, so the checkpoint must be later
//! too, and with it every proof. What is redacted after it was written goes with the chunks that hold it. Each time
//! takes a redaction or a retention run, so an export ends.
//!
//! Holds the environment's lock, and so waits for no export: one that somebody has is passed over.

use diesel_async::AsyncConnection;

use crate::domain::id::{AuditLogExportId, EnvironmentId};
use crate::domain::time::Clock;
use crate::ingest::checkpoint_within;
use crate::store::audit_exports::{self, ExportRow, Scope, Span};
use crate::store::{Conn, Store, StoreError, events};

/// An export whose checkpoint, of this size, is too old.
pub(super) struct Overtaken {
    pub(super) environment: EnvironmentId,
    pub(super) id: AuditLogExportId,
    pub(super) size: Option<i64>,
}

/// Begins an export anew; answers whether it was there to be taken.
///
/// Shape: its range does not grow. What was recorded later than what it was to hold is not in it, even where the
/// range ends in the future.
pub(super) async fn begin(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    overtaken: &Overtaken,
) -> Result<bool, StoreError> {
    let (environment, id) = (overtaken.environment, overtaken.id);
    let Some(row) = audit_exports::find(conn, environment, id).await? else {
        return Ok(false);
    };
    let first = Scope::of(&row)?;
    let span = span(conn, &row).await?.map(|span| Span {
        end: span.end.min(first.size),
        ..span
    });
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let Some(mut row) = audit_exports::take(conn, environment, id).await? else {
            return Ok(false);
        };
        if row.checkpoint_size != overtaken.size {
            // Another server has begun it anew.
            return Ok(true);
        }
        if row.clearing {
            return Ok(true);
        }
        row.updated_at = clock.now();
        row.clearing = true;
        let now = clock.for_database();
        let organization = row.organization_id;
        let taken = checkpoint_within(conn, &lock, now, store.vault(), organization).await?;
        let covered = row.checkpoint_size.map_or(0, i64::unsigned_abs);
        let later = taken.filter(|taken| taken.size > covered);
        let Some(checkpoint) = later else {
            let fault = "entries name lost leaves and are not in the tree";
            return Err(StoreError::corrupt(fault));
        };
        row.cover(first.filter, checkpoint.note, checkpoint.size, span)?;
        audit_exports::restart(conn, &row).await?;
        tracing::info!(export = %id, "an export begins anew: its trail has lost entries");
        Ok(true)
    })
    .await
}

async fn span(conn: &mut Conn, row: &ExportRow) -> Result<Option<Span>, StoreError> {
    let (Some(start), Some(end)) = (row.range_start, row.range_end) else {
        return Ok(None);
    };
    let (environment, organization) = (row.environment_id, row.organization_id);
    audit_exports::span(conn, environment, organization, start, end)
        .await
        .map(Some)
}
