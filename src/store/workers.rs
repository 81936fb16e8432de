//! Workers: the running processes, each behind an advisory lock that ends with its connection.
//!
//! Invariant: whoever can take a worker's lock may release its leases, because the worker is gone. If it only
//! lost its connection, the lease fence still decides: its settlements then meet `LeaseLost`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::workers;
use crate::domain::id::WorkerId;

/// The advisory lock of a worker: the low 8 bytes of its id, which are random.
fn lock_number(worker: WorkerId) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = worker.to_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

diesel::define_sql_function!(fn pg_try_advisory_lock(key: BigInt) -> diesel::sql_types::Bool);
diesel::define_sql_function!(fn pg_advisory_unlock(key: BigInt) -> diesel::sql_types::Bool);

/// Takes the worker's lock on `conn` and makes the worker known. The lock lasts as long as `conn`.
///
/// Shape: `false` when another connection has the lock; the worker is not registered then.
pub async fn register(
    conn: &mut Conn,
    worker: WorkerId,
    (host, master_keys): (&str, &[String]),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken: bool = diesel::select(pg_try_advisory_lock(lock_number(worker)))
        .get_result(conn)
        .await?;
    if taken {
        diesel::insert_into(workers::table)
            .values((
                workers::id.eq(worker),
                workers::host.eq(host),
                workers::started_at.eq(now),
                workers::master_keys.eq(master_keys),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(taken)
}

/// All workers that are known, dead or alive.
pub async fn all(conn: &mut Conn) -> Result<Vec<WorkerId>, StoreError> {
    Ok(workers::table
        .select(workers::id)
        .order(workers::id)
        .load(conn)
        .await?)
}

/// A worker and its machine.
#[derive(Queryable)]
pub struct KnownWorker {
    pub id: WorkerId,
    pub host: String,
}

/// The workers, dead or alive, that have not said that they have the master key with this fingerprint.
pub async fn without_master_key(
    conn: &mut Conn,
    fingerprint: &str,
) -> Result<Vec<KnownWorker>, StoreError> {
    let lacking = diesel::dsl::not(workers::master_keys.contains(vec![fingerprint]));
    Ok(workers::table
        .filter(lacking)
        .order(workers::id)
        .select((workers::id, workers::host))
        .load(conn)
        .await?)
}

/// Whether a worker is registered; asked on the connection that holds its lock, this shows that both are there.
pub async fn is_known(conn: &mut Conn, worker: WorkerId) -> Result<bool, StoreError> {
    let row = workers::table.filter(workers::id.eq(worker));
    Ok(diesel::select(diesel::dsl::exists(row))
        .get_result(conn)
        .await?)
}

/// Takes the lock of `worker` if nobody holds it.
pub async fn take_lock(conn: &mut Conn, worker: WorkerId) -> Result<bool, StoreError> {
    Ok(diesel::select(pg_try_advisory_lock(lock_number(worker)))
        .get_result(conn)
        .await?)
}

/// Gives back a lock that `take_lock` took.
pub async fn give_lock_back(conn: &mut Conn, worker: WorkerId) -> Result<(), StoreError> {
    let _held: bool = diesel::select(pg_advisory_unlock(lock_number(worker)))
        .get_result(conn)
        .await?;
    Ok(())
}

/// Removes a worker whose lock this connection holds.
pub async fn forget(conn: &mut Conn, worker: WorkerId) -> Result<(), StoreError> {
    diesel::delete(workers::table.filter(workers::id.eq(worker)))
        .execute(conn)
        .await?;
    give_lock_back(conn, worker).await
}
