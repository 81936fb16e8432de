//! Audit log signing keys: what signs an environment's checkpoints.
//!
//! Invariant: a seed is kept sealed for its environment, and only until its key is retired; verifying keys are
//! kept for ever, so that every checkpoint that was ever signed can be checked. At most two keys sign: the newest,
//! and during a rotation the one before it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::installation;
use super::schema::audit_log_signing_keys as keys;
use super::vault::{Sealer, Vault};
use crate::domain::checkpoint::{ListedKey, SigningKey, key_name};
use crate::domain::id::EnvironmentId;

/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;
/// The first key's number.
const FIRST: i32 = 1;

/// Makes the environment's first key, unless it has one.
///
/// Shape: within a transaction, so that the master key which seals it stays the installation's.
pub async fn ensure(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let known: i64 = keys::table
        .filter(keys::environment_id.eq(environment))
        .count()
        .get_result(conn)
        .await?;
    if known == 0 {
        let sealer = installation::sealer_of_server(conn, vault).await?;
        insert(conn, &sealer, environment, FIRST, now).await?;
    }
    Ok(())
}

/// Makes a new key; another that was made under the same number at the same moment counts.
pub async fn insert(
    conn: &mut Conn,
    sealer: &Sealer<'_>,
    environment: EnvironmentId,
    number: i32,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let seed: [u8; SEED_BYTES] = sealer.random_bytes();
    let key = signing_key(environment, &seed)?;
    let owner = environment.to_bytes();
    diesel::insert_into(keys::table)
        .values((
            keys::environment_id.eq(environment),
            keys::number.eq(number),
            keys::verifier.eq(key.verifying_key().to_string()),
            keys::seed_sealed.eq(Some(sealer.seal(&owner, hex::encode(seed).as_bytes()))),
            keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// The keys that sign, the newest first.
///
/// Errors: `Corrupt` when a seed does not open: it was sealed under another master key, or was changed.
pub async fn signers(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
) -> Result<Vec<SigningKey>, StoreError> {
    let sealed: Vec<Option<Vec<u8>>> = keys::table
        .filter(keys::environment_id.eq(environment))
        .filter(keys::retired_at.is_null())
        .order(keys::number.desc())
        .select(keys::seed_sealed)
        .load(conn)
        .await?;
    let mut signers = Vec::with_capacity(sealed.len());
    for sealed in sealed.iter().flatten() {
        let text = vault.open(&environment.to_bytes(), sealed)?;
        let mut seed = [0; SEED_BYTES];
        hex::decode_to_slice(text, &mut seed)
            .map_err(|error| StoreError::corrupt(error.to_string()))?;
        signers.push(signing_key(environment, &seed)?);
    }
    Ok(signers)
}

/// Every key that the environment has had, the newest first.
pub async fn all(
    conn: &mut Conn,
    environment: EnvironmentId,
) -> Result<Vec<ListedKey>, StoreError> {
    let rows: Vec<KeyRow> = keys::table
        .filter(keys::environment_id.eq(environment))
        .order(keys::number.desc())
        .select(KeyRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(ListedKey::from).collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = keys)]
struct KeyRow {
    number: i32,
    verifier: String,
    created_at: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

impl From<KeyRow> for ListedKey {
    fn from(row: KeyRow) -> Self {
        let KeyRow {
            number,
            verifier,
            created_at,
            retired_at,
        } = row;
        Self {
            number,
            verifier,
            created_at,
            retired_at,
        }
    }
}

/// Retires a key: it signs no more, and its seed is deleted.
pub async fn retire(
    conn: &mut Conn,
    environment: EnvironmentId,
    number: i32,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::update(keys::table)
        .filter(keys::environment_id.eq(environment))
        .filter(keys::number.eq(number))
        .set((
            keys::retired_at.eq(now),
            keys::seed_sealed.eq(None::<Vec<u8>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

fn signing_key(
    environment: EnvironmentId,
    seed: &[u8; SEED_BYTES],
) -> Result<SigningKey, StoreError> {
    SigningKey::from_seed(seed, &key_name(environment))
        .map_err(|fault| StoreError::corrupt(fault.to_string()))
}
