//! The leader: one process at a time that does what has to be done once.
//!
//! Invariant: the lock lasts as long as its connection, so a leader that dies is followed without a rescuer. It
//! spares work and protects nothing: whatever a leader does must be safe to do twice.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::shared::Store;

/// The advisory lock of the leader: the bytes of "upkeep!!".
const LOCK: i64 = i64::from_be_bytes(*b"upkeep!!");

diesel::define_sql_function!(fn pg_try_advisory_lock(key: BigInt) -> diesel::sql_types::Bool);

/// Becomes the leader, or stays it with the connection `held`; `None` while another process leads.
pub async fn lead(store: &Store, held: Option<Conn>) -> Result<Option<Conn>, StoreError> {
    if let Some(mut conn) = held
        && diesel::select(1.into_sql::<Integer>())
            .execute(&mut conn)
            .await
            .is_ok()
    {
        return Ok(Some(conn));
    }
    let mut conn = store.dedicated().await?;
    let taken: bool = diesel::select(pg_try_advisory_lock(LOCK))
        .get_result(&mut conn)
        .await?;
    Ok(taken.then_some(conn))
}
