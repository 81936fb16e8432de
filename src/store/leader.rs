//! Leaders: for each duty, one process at a time that does what has to be done once.
//!
//! Invariant: the lock lasts as long as its connection, so a leader that dies is followed without a rescuer. It
//! spares work and protects nothing: whatever a leader does must be safe to do twice.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::shared::Store;

/// What a leader leads. Each has a leader of its own, so that slow work of one holds up no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Upkeep,
    Checkpoints,
}

impl Duty {
    /// The advisory lock: eight letters.
    const fn lock(self) -> i64 {
        i64::from_be_bytes(match self {
            Self::Upkeep => *b"upkeep!!",
            Self::Checkpoints => *b"checkpts",
        })
    }
}

diesel::define_sql_function!(fn pg_try_advisory_lock(key: BigInt) -> diesel::sql_types::Bool);

/// Becomes the leader, or stays it with the connection `held`; `None` while another process leads.
pub async fn lead(
    store: &Store,
    duty: Duty,
    held: Option<Conn>,
) -> Result<Option<Conn>, StoreError> {
    if let Some(mut conn) = held
        && diesel::select(1.into_sql::<Integer>())
            .execute(&mut conn)
            .await
            .is_ok()
    {
        return Ok(Some(conn));
    }
    let mut conn = store.dedicated().await?;
    let taken: bool = diesel::select(pg_try_advisory_lock(duty.lock()))
        .get_result(&mut conn)
        .await?;
    Ok(taken.then_some(conn))
}
