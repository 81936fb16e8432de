//! API keys: stored as hashes, looked up by hash.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::api_keys;
use crate::domain::access::{ApiKey, Permission};
use crate::domain::id::{ApiKeyId, EnvironmentId};
use crate::domain::page::PageQuery;

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct ApiKeyRow {
    id: ApiKeyId,
    environment_id: EnvironmentId,
    name: String,
    hint: String,
    permissions: Vec<String>,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        let mut permissions: Vec<Permission> = Vec::with_capacity(row.permissions.len());
        for permission in &row.permissions {
            let known = permission.parse();
            permissions
                .push(known.map_err(|_unknown| {
                    StoreError::corrupt(format!("permission of {}", row.id))
                })?);
        }
        Ok(Self {
            id: row.id,
            environment: row.environment_id,
            name: row.name,
            hint: row.hint,
            permissions,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        })
    }
}

/// Inserts a key under the hash of its text.
///
/// Errors: `Conflict` of `api_keys_secret_unique` when the text is in use.
pub async fn insert(conn: &mut Conn, key: &ApiKey, sha256: [u8; 32]) -> Result<(), StoreError> {
    let permissions: Vec<_> = key
        .permissions
        .iter()
        .map(|permission| permission.as_str())
        .collect();
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(key.id),
            api_keys::environment_id.eq(key.environment),
            api_keys::name.eq(&key.name),
            api_keys::secret_sha256.eq(&sha256[..]),
            api_keys::hint.eq(&key.hint),
            api_keys::permissions.eq(permissions),
            api_keys::created_at.eq(key.created_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Finds a key by the hash of its text, revoked or not.
pub async fn find_by_hash(conn: &mut Conn, sha256: [u8; 32]) -> Result<Option<ApiKey>, StoreError> {
    let row: Option<ApiKeyRow> = api_keys::table
        .filter(api_keys::secret_sha256.eq(&sha256[..]))
        .select(ApiKeyRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(ApiKey::try_from).transpose()
}

/// All keys of all environments, oldest first.
pub async fn all(conn: &mut Conn) -> Result<Vec<ApiKey>, StoreError> {
    let rows: Vec<ApiKeyRow> = api_keys::table
        .order(api_keys::id)
        .select(ApiKeyRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Reads one page of an environment's keys, revoked ones too, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    query: &PageQuery<ApiKeyId>,
) -> Result<Vec<ApiKey>, StoreError> {
    let statement = api_keys::table
        .filter(api_keys::environment_id.eq(environment))
        .select(ApiKeyRow::as_select())
        .into_boxed();
    let statement = paged!(statement, api_keys::id, query);
    let rows: Vec<ApiKeyRow> = statement.load(conn).await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// Revokes a key; answers whether it was not revoked before.
pub async fn revoke(conn: &mut Conn, id: ApiKeyId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let revoked = diesel::update(api_keys::table)
        .filter(api_keys::id.eq(id))
        .filter(api_keys::revoked_at.is_null())
        .set(api_keys::revoked_at.eq(now))
        .execute(conn)
        .await?;
    Ok(revoked > 0)
}

/// Finds a key by its id, revoked or not.
pub async fn find(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    let row: Option<ApiKeyRow> = api_keys::table
        .filter(api_keys::id.eq(id))
        .select(ApiKeyRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(ApiKey::try_from).transpose()
}
