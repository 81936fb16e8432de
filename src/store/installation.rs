//! The installation: one row that remembers which master key seals its secrets.
//!
//! Invariant: what is sealed in rows is sealed under the master key of `master_key_check`, by whoever has locked
//! that row against a change of it. While a master key is being replaced, `old_master_key_check` stands beside it:
//! rows may still be sealed under that one, and nobody may start who cannot open them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::installation;
use super::vault::{Sealer, Vault};

/// The only row's id.
const ROW: i16 = 1;

/// How a vault's master keys fit the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKey {
    /// Nothing was sealed before: from now on this is the key.
    Adopted,
    /// It is the one, and the only one.
    Right,
    /// It is to be the one; secrets are sealed under the old one, which is here too.
    NotYet,
    /// It is the one, and some secrets are still sealed under the old one, which is here too.
    Halfway,
    /// It is the one, but some secrets are still sealed under the old one, which is not here.
    OldMissing,
    /// It was the one, and was replaced.
    Replaced,
    Wrong,
}

impl MasterKey {
    /// Whether every secret can be opened.
    pub const fn opens_everything(self) -> bool {
        match self {
            Self::Adopted | Self::Right | Self::NotYet | Self::Halfway => true,
            Self::OldMissing | Self::Replaced | Self::Wrong => false,
        }
    }
}

/// What the row says of master keys.
#[derive(Queryable, Selectable)]
#[diesel(table_name = installation)]
struct Checks {
    master_key_check: Vec<u8>,
    old_master_key_check: Option<Vec<u8>>,
}

impl Checks {
    fn judge(&self, vault: &Vault) -> MasterKey {
        let here = |check: &[u8]| vault.sealer_of(check).is_some();
        let old = self.old_master_key_check.as_deref();
        if !here(&self.master_key_check) {
            return match old {
                Some(old) if here(old) => MasterKey::Replaced,
                Some(_) | None => MasterKey::Wrong,
            };
        }
        let is_new = vault.sealer().opens_check(&self.master_key_check);
        match old {
            Some(old) if !here(old) => MasterKey::OldMissing,
            // The two are exchanged: a rewrap would seal under the one that is on its way out.
            Some(_) if !is_new => MasterKey::Replaced,
            Some(_) => MasterKey::Halfway,
            None if is_new => MasterKey::Right,
            None => MasterKey::NotYet,
        }
    }
}

/// Compares the vault's keys with the installation's; a new installation takes the vault's as its own.
pub async fn adopt(
    conn: &mut Conn,
    vault: &Vault,
    now: DateTime<Utc>,
) -> Result<MasterKey, StoreError> {
    let inserted = diesel::insert_into(installation::table)
        .values((
            installation::id.eq(ROW),
            installation::master_key_check.eq(vault.sealer().seal_check()),
            installation::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if inserted == 1 {
        return Ok(MasterKey::Adopted);
    }
    let checks: Checks = installation::table
        .select(Checks::as_select())
        .first(conn)
        .await?;
    Ok(checks.judge(vault))
}

/// What seals from now until the end of the transaction: nobody changes the master key meanwhile.
///
/// Shape: `None` when the installation's master key is not here, as in a command that runs without it. It is the
/// last lock that a transaction takes.
pub async fn sealer<'a>(
    conn: &mut Conn,
    vault: &'a Vault,
) -> Result<Option<Sealer<'a>>, StoreError> {
    let check: Option<Vec<u8>> = installation::table
        .select(installation::master_key_check)
        .for_share()
        .first(conn)
        .await
        .optional()?;
    Ok(check.and_then(|check| vault.sealer_of(&check)))
}

/// The sealer of [`sealer`], for rows that no server could do without.
///
/// Errors: `Unavailable` when the master key was replaced and this process has only the old one: others have both.
pub async fn sealer_of_server<'a>(
    conn: &mut Conn,
    vault: &'a Vault,
) -> Result<Sealer<'a>, StoreError> {
    let reason = "the master key of the installation is another than this process has";
    let sealer = sealer(conn, vault).await?;
    sealer.ok_or_else(|| StoreError::Unavailable(reason.to_owned()))
}

/// The sealer of this moment, for what is kept in no row.
pub async fn sealer_now<'a>(
    conn: &mut Conn,
    vault: &'a Vault,
) -> Result<Option<Sealer<'a>>, StoreError> {
    let check: Option<Vec<u8>> = installation::table
        .select(installation::master_key_check)
        .first(conn)
        .await
        .optional()?;
    Ok(check.and_then(|check| vault.sealer_of(&check)))
}

/// Makes the vault's new master key the installation's, if its old one still is; answers how the keys fit then.
///
/// Shape: the row stays locked until the end of the transaction. Whoever seals waits for it, and seals under the
/// new key; who was sealing under the old one has ended.
pub async fn begin_replacing(conn: &mut Conn, vault: &Vault) -> Result<MasterKey, StoreError> {
    let Some(checks) = locked(conn).await? else {
        return Ok(MasterKey::Wrong);
    };
    let fits = checks.judge(vault);
    if fits != MasterKey::NotYet {
        return Ok(fits);
    }
    diesel::update(installation::table)
        .set((
            installation::master_key_check.eq(vault.sealer().seal_check()),
            installation::old_master_key_check.eq(Some(checks.master_key_check)),
        ))
        .execute(conn)
        .await?;
    Ok(MasterKey::Halfway)
}

/// Notes that nothing is sealed under the vault's old master key any more.
///
/// Shape: within a transaction. Says nothing of a replacement by other keys, which somebody may have begun since.
pub async fn end_replacing(conn: &mut Conn, vault: &Vault) -> Result<(), StoreError> {
    let checks = locked(conn).await?;
    if checks.is_some_and(|checks| checks.judge(vault) == MasterKey::Halfway) {
        diesel::update(installation::table)
            .set(installation::old_master_key_check.eq(None::<Vec<u8>>))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// What the row says, locked against a change of it.
async fn locked(conn: &mut Conn) -> Result<Option<Checks>, StoreError> {
    let checks = installation::table
        .select(Checks::as_select())
        .for_update()
        .first(conn)
        .await;
    Ok(checks.optional()?)
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
