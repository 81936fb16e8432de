//! Migrations: embedded in the binary, applied under a lock, so that servers that start together take turns.

use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::conn::Conn;
use super::error::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// The advisory lock of migrating: the bytes of "tidings!".
const LOCK: i64 = i64::from_be_bytes(*b"tidings!");

diesel::define_sql_function!(fn pg_try_advisory_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool);

/// Applies what is missing; answers the names of what was applied. Takes the connection and gives it up.
///
/// Errors: `Query` when a migration fails; it was rolled back, and later ones were not begun.
pub async fn run(mut conn: Conn) -> Result<Vec<String>, StoreError> {
    // Trying, not waiting: a wait inside a statement would hold a snapshot that concurrent index builds wait for.
    loop {
        let taken: bool = diesel::select(pg_try_advisory_lock(LOCK))
            .get_result(&mut conn)
            .await?;
        if taken {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    diesel::sql_query("SET statement_timeout = 0")
        .execute(&mut conn)
        .await?;
    let mut harness = AsyncMigrationHarness::new(conn.into_inner());
    let applied = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| StoreError::Corrupt(format!("a migration failed: {error}")))?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Takes back every migration, newest first; for the test that each can be taken back.
pub async fn revert_all(conn: Conn) -> Result<Vec<String>, StoreError> {
    let mut harness = AsyncMigrationHarness::new(conn.into_inner());
    let reverted = harness
        .revert_all_migrations(MIGRATIONS)
        .map_err(|error| StoreError::Corrupt(format!("a migration failed: {error}")))?;
    Ok(reverted.iter().map(ToString::to_string).collect())
}

/// Whether every migration of this binary is applied.
pub async fn is_complete(conn: &mut Conn) -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let count: Count =
        diesel::sql_query("SELECT count(*) AS count FROM __diesel_schema_migrations")
            .get_result(conn)
            .await?;
    let known = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?
        .len();
    Ok(usize::try_from(count.count).is_ok_and(|applied| applied >= known))
}
