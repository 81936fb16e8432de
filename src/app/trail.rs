//! The environment's own trail: the entries of what the platform's verbs have changed.
//!
//! Invariant: an entry is recorded in the transaction of its change, under the environment's lock, together with
//! its leaf and the event that tells of it. Whoever records wakes dispatch after the commit.

use super::context::App;
use super::error::AppError;
use crate::domain::audit::{Actor, OwnEntry};
use crate::ingest;
use crate::store::Conn;
use crate::store::events::EnvironmentLock;

/// Records what `actor` has done; nothing when there are no entries.
pub(super) async fn record(
    app: &App,
    conn: &mut Conn,
    lock: &EnvironmentLock,
    actor: &Actor,
    entries: impl IntoIterator<Item = OwnEntry>,
) -> Result<(), AppError> {
    let now = app.clock().now();
    let entries = entries.into_iter().map(|entry| entry.by(actor, now));
    let entries: Vec<_> = entries.collect();
    if !entries.is_empty() {
        ingest::record_entries_within(conn, lock, app.clock().for_database(), entries).await?;
    }
    Ok(())
}
