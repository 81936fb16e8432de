//! Breakers: the circuit breakers that are not closed, one small row for each, shared by all servers.
//!
//! Invariant: an endpoint without a row is sent to as usual. A row is written when a breaker opens, when a probe
//! came to something, and when it closes; never by a delivery. Does not decide: that is `domain::breaker`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::handoff::EndpointKey;
use super::schema::endpoint_breakers as breakers;
use crate::domain::breaker::BreakerState;

const OPEN: &str = "open";
const HALF_OPEN: &str = "half_open";

/// The state that a row tells of; how much a half-open breaker lets through is each server's own to find out.
pub(super) fn state(since: DateTime<Utc>, probe_at: Option<DateTime<Utc>>) -> BreakerState {
    match probe_at {
        Some(probe_at) => BreakerState::Open { since, probe_at },
        None => BreakerState::HalfOpen { since, room: 1 },
    }
}

/// Writes down how a breaker stands; closed is no row.
pub async fn set(
    conn: &mut Conn,
    (environment, endpoint): EndpointKey,
    now: BreakerState,
) -> Result<(), StoreError> {
    let (state, since, probe_at) = match now {
        BreakerState::Open { since, probe_at } => (OPEN, since, Some(probe_at)),
        BreakerState::HalfOpen { since, .. } => (HALF_OPEN, since, None),
        BreakerState::Closed => {
            let gone = diesel::delete(breakers::table)
                .filter(breakers::environment_id.eq(environment))
                .filter(breakers::endpoint_id.eq(endpoint));
            gone.execute(conn).await?;
            return Ok(());
        }
    };
    let columns = (
        breakers::state.eq(state),
        breakers::since.eq(since),
        breakers::probe_at.eq(probe_at),
    );
    diesel::insert_into(breakers::table)
        .values((
            breakers::environment_id.eq(environment),
            breakers::endpoint_id.eq(endpoint),
            columns,
        ))
        .on_conflict((breakers::environment_id, breakers::endpoint_id))
        .do_update()
        .set(columns)
        .execute(conn)
        .await?;
    Ok(())
}

/// How an endpoint's breaker stands.
pub async fn find(
    conn: &mut Conn,
    (environment, endpoint): EndpointKey,
) -> Result<BreakerState, StoreError> {
    let row: Option<(DateTime<Utc>, Option<DateTime<Utc>>)> = breakers::table
        .filter(breakers::environment_id.eq(environment))
        .filter(breakers::endpoint_id.eq(endpoint))
        .select((breakers::since, breakers::probe_at))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map_or(BreakerState::Closed, |(since, probe_at)| {
        state(since, probe_at)
    }))
}
