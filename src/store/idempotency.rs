//! Idempotency keys: what a request that named itself has made.
//!
//! Invariant: read and written under the environment's lock, in the transaction that makes the objects; so two
//! requests with one key never both make something. An answer is a reference, rendered again.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bytea, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::columns::RawId;
use super::conn::Conn;
use super::error::StoreError;
use crate::domain::id::EnvironmentId;
use crate::domain::idempotency::IdempotencyKey;

/// The objects that a request made: one, or a run of events by their first and last id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub first: RawId,
    pub last: RawId,
}

impl Made {
    /// One object.
    pub fn one(id: impl Into<RawId>) -> Self {
        let id = id.into();
        Self {
            first: id,
            last: id,
        }
    }
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Never seen.
    New,
    /// The same request made these objects.
    Same(Made),
    /// Another request has used the key.
    Other,
}

/// Finds what each key has made, in the order of `keys`; the caller holds the environment's lock.
pub async fn find(
    mut conn: &Conn,
    environment: EnvironmentId,
    keys: &[&IdempotencyKey],
) -> Result<Vec<Known>, StoreError> {
    let mut known = vec![Known::New; keys.len()];
    if keys.is_empty() {
        return Ok(known);
    }
    let rows: Vec<(i64, Vec<u8>, RawId, RawId)> =
        Find::of(environment, keys).load(&mut conn).await?;
    for (number, fingerprint, first, last) in rows {
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let (Some(known), Some(key)) = (known.get_mut(index), keys.get(index)) {
            *known = if fingerprint == key.fingerprint {
                Known::Same(Made { first, last })
            } else {
                Known::Other
            };
        }
    }
    Ok(known)
}

struct Find<'a> {
    environment: EnvironmentId,
    scopes: Vec<&'a str>,
    keys: Vec<&'a str>,
}

impl<'a> Find<'a> {
    fn of(environment: EnvironmentId, keys: &[&'a IdempotencyKey]) -> Self {
        let scopes = keys.iter().map(|key| key.scope.as_str()).collect();
        Self {
            environment,
            scopes,
            keys: keys.iter().map(|key| key.key.as_str()).collect(),
        }
    }
}

impl QueryId for Find<'_> {
    type QueryId = Find<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Find<'_> {
    type SqlType = (BigInt, Bytea, Uuid, Uuid);
}

impl QueryFragment<Pg> for Find<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT wanted.number, stored.fingerprint, stored.first_object_id, stored.last_object_id FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.scopes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        // The limit keeps the look-ups single: a join may read all the environment's keys.
        out.push_sql(
            ") WITH ORDINALITY AS wanted (scope, key, number) CROSS JOIN LATERAL \
             (SELECT fingerprint, first_object_id, last_object_id FROM idempotency_keys \
             WHERE idempotency_keys.scope = wanted.scope AND idempotency_keys.key = wanted.key \
             AND idempotency_keys.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(" LIMIT 1) AS stored");
        Ok(())
    }
}

/// Remembers what requests have made; the caller holds the environment's lock.
pub async fn insert(
    mut conn: &Conn,
    environment: EnvironmentId,
    now: DateTime<Utc>,
    made: &[(&IdempotencyKey, Made)],
) -> Result<(), StoreError> {
    if made.is_empty() {
        return Ok(());
    }
    let keys: Vec<&IdempotencyKey> = made.iter().map(|&(key, _)| key).collect();
    let statement = Insert {
        keys: Find::of(environment, &keys),
        now,
        fingerprints: keys.iter().map(|key| &key.fingerprint[..]).collect(),
        first: made.iter().map(|(_, made)| made.first).collect(),
        last: made.iter().map(|(_, made)| made.last).collect(),
    };
    statement.execute(&mut conn).await?;
    Ok(())
}

struct Insert<'a> {
    keys: Find<'a>,
    now: DateTime<Utc>,
    fingerprints: Vec<&'a [u8]>,
    first: Vec<RawId>,
    last: Vec<RawId>,
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO idempotency_keys (environment_id, created_at, scope, key, fingerprint, first_object_id, \
             last_object_id) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.keys.environment)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(", * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.keys.scopes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.fingerprints)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.first)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.last)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Deletes at most `limit` keys of one environment that are older than `before`; answers how many went.
pub async fn delete_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, StoreError> {
    let deleted = diesel::sql_query(
        "DELETE FROM idempotency_keys WHERE environment_id = $1 AND (scope, key) IN \
         (SELECT scope, key FROM idempotency_keys WHERE environment_id = $1 AND created_at < $2 LIMIT $3)",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(deleted)
}
