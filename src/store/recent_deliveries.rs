//! Deliveries in the large: how the last ones went, and what is still owed.
//!
//! Invariant: every statement reads a bounded number of rows, however long the history is.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{deliveries, outbox};
use crate::domain::delivery::{SettledDelivery, StateName};
use crate::domain::id::{EndpointId, EnvironmentId};

/// How the last deliveries ended, newest first; of these endpoints alone where they are given.
pub async fn settled(
    conn: &mut Conn,
    environment: EnvironmentId,
    among: Option<&[EndpointId]>,
    count: i64,
) -> Result<Vec<SettledDelivery>, StoreError> {
    let mut statement = deliveries::table
        .filter(deliveries::environment_id.eq(environment))
        .order(deliveries::id.desc())
        .limit(count)
        .select((
            deliveries::endpoint_id,
            deliveries::state,
            deliveries::created_at,
            deliveries::settled_at,
            deliveries::last_duration_ms,
        ))
        .into_boxed();
    if let Some(among) = among {
        statement = statement.filter(deliveries::endpoint_id.eq_any(among.to_vec()));
    }
    type Row = (
        EndpointId,
        String,
        DateTime<Utc>,
        DateTime<Utc>,
        Option<i32>,
    );
    let rows: Vec<Row> = statement.load(conn).await?;
    let read = |(endpoint, state, created_at, settled_at, duration): Row| {
        let state =
            StateName::parse(&state).ok_or_else(|| StoreError::corrupt("a state".to_owned()))?;
        let duration_ms = duration.and_then(|duration| u64::try_from(duration).ok());
        Ok(SettledDelivery {
            endpoint,
            state,
            created_at,
            settled_at,
            duration_ms,
        })
    };
    rows.into_iter().map(read).collect()
}

/// The deliveries that are owed longest, at most `count`: when they were made.
pub async fn owed_longest(
    conn: &mut Conn,
    environment: EnvironmentId,
    among: Option<&[EndpointId]>,
    count: i64,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let mut statement = outbox::table
        .filter(outbox::environment_id.eq(environment))
        .order(outbox::id)
        .limit(count)
        .select(outbox::created_at)
        .into_boxed();
    if let Some(among) = among {
        statement = statement.filter(outbox::endpoint_id.eq_any(among.to_vec()));
    }
    Ok(statement.load(conn).await?)
}
