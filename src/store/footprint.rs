//! The footprint: what the database holds and has written, for whoever measures.
//!
//! Invariant: reads counters that Postgres keeps anyway, and no tenant's row.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Integer};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;

/// The database at one moment.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Footprint {
    /// Tables and indexes of this database.
    #[diesel(sql_type = BigInt)]
    pub database_bytes: i64,
    /// Write-ahead log since the cluster began, all databases together.
    #[diesel(sql_type = BigInt)]
    pub wal_bytes: i64,
    /// The server process behind this connection.
    #[diesel(sql_type = Integer)]
    pub backend: i32,
    /// Whether that process can only be on this machine.
    #[diesel(sql_type = Bool)]
    pub on_this_machine: bool,
}

/// Reads the footprint of the database that `conn` is connected to.
pub async fn read(conn: &mut Conn) -> Result<Footprint, StoreError> {
    let statement = "SELECT pg_database_size(current_database()) AS database_bytes, \
                     pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes, \
                     pg_backend_pid() AS backend, \
                     inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr() AS on_this_machine";
    Ok(diesel::sql_query(statement).get_result(conn).await?)
}
