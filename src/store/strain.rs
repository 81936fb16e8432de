//! Strain: what outside of Tidings' own statements makes them slower, or will.
//!
//! Invariant: only reads, and of others' sessions only what the role may see: a superuser's are hidden from a plain
//! role, unless it has `pg_read_all_stats`.

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::partitions;

/// What weighs on the database now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strain {
    /// Seconds since the oldest transaction began that keeps vacuum from removing rows, by its snapshot or by having
    /// written; 0 where there is none. Prepared transactions count, a replica's feedback does not.
    pub snapshot_held_s: i64,
    /// Rows of the outbox that are dead and not removed yet, by Postgres's own count.
    pub outbox_dead_rows: i64,
    /// When the last week ends that has partitions.
    pub partitions_until: Option<DateTime<Utc>>,
}

/// Looks at the database from this connection, whose own snapshot does not count.
pub async fn look(conn: &mut Conn) -> Result<Strain, StoreError> {
    Ok(Strain {
        snapshot_held_s: number(
            conn,
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::bigint AS number FROM ( \
               SELECT xact_start AS since FROM pg_stat_activity \
               WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND backend_type = 'client backend' AND pid <> pg_backend_pid() \
                 AND datid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
               UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS held",
        )
        .await?,
        outbox_dead_rows: number(
            conn,
            "SELECT coalesce(sum(n_dead_tup), 0)::bigint AS number FROM pg_stat_user_tables \
             WHERE relid = 'outbox'::regclass",
        )
        .await?,
        partitions_until: partitions::made_until(conn).await?,
    })
}

async fn number(conn: &mut Conn, statement: &str) -> Result<i64, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let answer: Number = diesel::sql_query(statement).get_result(conn).await?;
    Ok(answer.number)
}
