//! Rewrapping: what is sealed under the old master key, sealed again under the new one.
//!
//! Invariant: a row is replaced only if its sealed bytes are those that were read. Whatever changed meanwhile was
//! sealed under the new master key by whoever changed it, because the installation's check names that one by then.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_signing_keys as seeds, endpoints};
use super::vault::Vault;
use crate::domain::id::{EndpointId, EnvironmentId};

/// A sealed value before and after.
#[derive(Debug, Clone)]
struct Sealed {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// What becomes of one sealed value.
enum Turned {
    /// The new master key opens it already.
    Done(Vec<u8>),
    Anew(Sealed),
    /// No master key that is here opens it.
    Unreadable,
}

fn turn(vault: &Vault, owner: &[u8], sealed: Vec<u8>) -> Turned {
    if vault.sealer().has_sealed(owner, &sealed) {
        return Turned::Done(sealed);
    }
    match vault.open(owner, &sealed) {
        Ok(plain) => Turned::Anew(Sealed {
            after: vault.sealer().seal(owner, plain.as_bytes()),
            before: sealed,
        }),
        Err(_) => Turned::Unreadable,
    }
}

/// An endpoint whose secrets are to be replaced by the same under the new master key.
#[derive(Debug, Clone)]
pub struct EndpointAnew {
    id: EndpointId,
    secret: Sealed,
    previous: Option<Sealed>,
}

/// A look at some endpoints of an environment.
#[derive(Debug, Default)]
pub struct Look {
    pub anew: Vec<EndpointAnew>,
    /// Endpoints of which a secret opens under no master key that is here.
    pub unreadable: Vec<EndpointId>,
    /// The last one looked at; `None` when there was none.
    pub through: Option<EndpointId>,
}

/// Looks at the endpoints behind `after`, deleted ones too, at most `limit`.
pub async fn look(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
    after: Option<EndpointId>,
    limit: i64,
) -> Result<Look, StoreError> {
    let mut statement = endpoints::table
        .filter(endpoints::environment_id.eq(environment))
        .order(endpoints::id)
        .limit(limit)
        .select((
            endpoints::id,
            endpoints::secret_sealed,
            endpoints::previous_secret_sealed,
        ))
        .into_boxed();
    if let Some(after) = after {
        statement = statement.filter(endpoints::id.gt(after));
    }
    let rows: Vec<(EndpointId, Vec<u8>, Option<Vec<u8>>)> = statement.load(conn).await?;
    let mut look = Look::default();
    for (id, secret, previous) in rows {
        look.through = Some(id);
        let owner = id.to_bytes();
        let secret = turn(vault, &owner, secret);
        let previous = previous.map(|previous| turn(vault, &owner, previous));
        look.note(id, secret, previous);
    }
    Ok(look)
}

impl Look {
    fn note(&mut self, id: EndpointId, secret: Turned, previous: Option<Turned>) {
        let same = |sealed: Vec<u8>| Sealed {
            before: sealed.clone(),
            after: sealed,
        };
        let mut changes = false;
        let mut part = |turned: Turned| match turned {
            Turned::Done(sealed) => Some(same(sealed)),
            Turned::Anew(sealed) => {
                changes = true;
                Some(sealed)
            }
            Turned::Unreadable => None,
        };
        let (secret, previous) = (part(secret), previous.map(&mut part));
        match (secret, previous) {
            (Some(secret), None) if changes => self.anew.push(EndpointAnew {
                id,
                secret,
                previous: None,
            }),
            (Some(secret), Some(Some(previous))) if changes => self.anew.push(EndpointAnew {
                id,
                secret,
                previous: Some(previous),
            }),
            (None, _) | (_, Some(None)) => self.unreadable.push(id),
            (Some(_), _) => {}
        }
    }
}

/// Replaces an endpoint's secrets by the same ones; answers whether they were still those that were read.
pub async fn replace_secrets(
    conn: &mut Conn,
    environment: EnvironmentId,
    anew: &EndpointAnew,
) -> Result<bool, StoreError> {
    let previous = anew.previous.as_ref();
    let changed = diesel::update(endpoints::table)
        .filter(endpoints::environment_id.eq(environment))
        .filter(endpoints::id.eq(anew.id))
        .filter(endpoints::secret_sealed.eq(&anew.secret.before))
        .filter(
            endpoints::previous_secret_sealed
                .is_not_distinct_from(previous.map(|sealed| &sealed.before)),
        )
        .set((
            endpoints::secret_sealed.eq(&anew.secret.after),
            endpoints::previous_secret_sealed.eq(previous.map(|sealed| &sealed.after)),
        ))
        .execute(conn)
        .await?;
    Ok(changed > 0)
}

/// Replaces the seeds of the keys that sign the environment's checkpoints; answers how many, and the numbers of those
/// that open under no master key that is here.
///
/// Shape: the caller holds the environment's lock, as whoever rotates or retires one does.
pub async fn replace_seeds(
    conn: &mut Conn,
    vault: &Vault,
    environment: EnvironmentId,
) -> Result<(u64, Vec<i32>), StoreError> {
    let kept: Vec<(i32, Option<Vec<u8>>)> = seeds::table
        .filter(seeds::environment_id.eq(environment))
        .filter(seeds::seed_sealed.is_not_null())
        .order(seeds::number)
        .select((seeds::number, seeds::seed_sealed))
        .load(conn)
        .await?;
    let (mut replaced, mut unreadable) = (0, Vec::new());
    for (number, sealed) in kept {
        let Some(sealed) = sealed else { continue };
        match turn(vault, &environment.to_bytes(), sealed) {
            Turned::Done(_) => {}
            Turned::Unreadable => unreadable.push(number),
            Turned::Anew(sealed) => {
                diesel::update(seeds::table)
                    .filter(seeds::environment_id.eq(environment))
                    .filter(seeds::number.eq(number))
                    .set(seeds::seed_sealed.eq(Some(sealed.after)))
                    .execute(conn)
                    .await?;
                replaced += 1;
            }
        }
    }
    Ok((replaced, unreadable))
}
