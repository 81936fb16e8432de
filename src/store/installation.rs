//! The installation: one row that remembers which master key seals its secrets.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::installation;
use super::vault::Vault;

/// The only row's id.
const ROW: i16 = 1;

/// Whether a master key fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKey {
    /// Nothing was sealed before: from now on this is the key.
    Adopted,
    /// It is the one.
    Right,
    Wrong,
}

/// Compares the vault's key with the installation's; a new installation takes it as its own.
pub async fn adopt(
    conn: &mut Conn,
    vault: &Vault,
    now: DateTime<Utc>,
) -> Result<MasterKey, StoreError> {
    let inserted = diesel::insert_into(installation::table)
        .values((
            installation::id.eq(ROW),
            installation::master_key_check.eq(vault.seal_check()),
            installation::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if inserted == 1 {
        return Ok(MasterKey::Adopted);
    }
    let sealed: Vec<u8> = installation::table
        .select(installation::master_key_check)
        .first(conn)
        .await?;
    Ok(if vault.opens_check(&sealed) {
        MasterKey::Right
    } else {
        MasterKey::Wrong
    })
}

/// Whether the vault's key is the installation's: what it seals can be opened by the servers.
pub async fn recognises(conn: &mut Conn, vault: &Vault) -> Result<bool, StoreError> {
    let sealed: Option<Vec<u8>> = installation::table
        .select(installation::master_key_check)
        .first(conn)
        .await
        .optional()?;
    Ok(sealed.is_some_and(|sealed| vault.opens_check(&sealed)))
}

/// The time by the database's clock, or `now` where a test moves time by hand.
///
/// What is deleted by age is measured by this clock: one server's wrong clock must not cost a history.
pub async fn time(
    conn: &mut Conn,
    now: Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>, StoreError> {
    match now {
        Some(now) => Ok(now),
        None => Ok(diesel::select(clock_timestamp()).get_result(conn).await?),
    }
}

diesel::define_sql_function!(fn clock_timestamp() -> diesel::sql_types::Timestamptz);

/// The server's settings without which an accepted event may be lost, and are off.
pub async fn weak_durability(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let weak: Vec<Setting> = diesel::sql_query(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') \
         AND setting = 'off' ORDER BY name",
    )
    .load(conn)
    .await?;
    Ok(weak.into_iter().map(|setting| setting.name).collect())
}
