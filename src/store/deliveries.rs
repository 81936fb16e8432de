//! Deliveries: read, whether they are still owed or settled long ago.
//!
//! The outbox and the history are one shape in the view `all_deliveries`; this file only reads. Rows are made and
//! moved by `outbox` and `attempts`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::{all_attempts, all_deliveries};
use crate::domain::attempt::OutcomeName;
use crate::domain::delivery::{CancelReason, Delivery, DeliveryFilter, DeliveryState, StateName};
use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId};
use crate::domain::page::PageQuery;

#[derive(Queryable, Selectable)]
#[diesel(table_name = all_deliveries)]
struct DeliveryRow {
    environment_id: EnvironmentId,
    id: DeliveryId,
    event_id: EventId,
    endpoint_id: EndpointId,
    state: String,
    reason: Option<String>,
    attempts: i16,
    replay_of: Option<DeliveryId>,
    created_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    leased: bool,
    settled_at: Option<DateTime<Utc>>,
}

impl DeliveryRow {
    fn state(&self) -> Option<DeliveryState> {
        Some(match StateName::parse(&self.state)? {
            StateName::Pending => DeliveryState::Pending {
                due_at: self.due_at?,
                leased: self.leased,
            },
            StateName::Delivered => DeliveryState::Delivered {
                at: self.settled_at?,
            },
            StateName::Exhausted => DeliveryState::Exhausted {
                at: self.settled_at?,
            },
            StateName::Cancelled => {
                let reason = CancelReason::parse(self.reason.as_deref()?)?;
                DeliveryState::Cancelled {
                    at: self.settled_at?,
                    reason,
                }
            }
        })
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let state = row
            .state()
            .ok_or_else(|| StoreError::corrupt(format!("state of {}", row.id)))?;
        Ok(Self {
            environment: row.environment_id,
            id: row.id,
            event: row.event_id,
            endpoint: row.endpoint_id,
            state,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            created_at: row.created_at,
            replay_of: row.replay_of,
        })
    }
}

/// Finds one delivery of `environment`; `None` when it has no such delivery.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let row: Option<DeliveryRow> = all_deliveries::table
        .filter(all_deliveries::environment_id.eq(environment))
        .filter(all_deliveries::id.eq(id))
        .select(DeliveryRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Delivery::try_from).transpose()
}

/// Reads one page, as `query` says, one row beyond its size.
///
/// Shape: ordered by id, which is the order of the events' times; of these endpoints alone where they are given.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &DeliveryFilter,
    among: Option<&[EndpointId]>,
    query: &PageQuery<DeliveryId>,
) -> Result<Vec<Delivery>, StoreError> {
    let statement = all_deliveries::table
        .filter(all_deliveries::environment_id.eq(environment))
        .select(DeliveryRow::as_select())
        .into_boxed();
    let mut statement = paged!(statement, all_deliveries::id, query);
    if let Some(event) = filter.event {
        let (first, last) = DeliveryId::range_for_event(event);
        statement = statement
            .filter(all_deliveries::id.between(first, last))
            .filter(all_deliveries::event_id.eq(event));
    }
    if let Some(endpoint) = filter.endpoint {
        statement = statement.filter(all_deliveries::endpoint_id.eq(endpoint));
    }
    if let Some(among) = among {
        statement = statement.filter(all_deliveries::endpoint_id.eq_any(among.to_vec()));
    }
    if let Some(state) = filter.state {
        statement = statement.filter(all_deliveries::state.eq(state.as_str()));
    }
    match filter.outcome {
        None => {}
        Some(OutcomeName::Accepted) => {
            statement = statement.filter(all_deliveries::state.eq(StateName::Delivered.as_str()));
        }
        Some(outcome) => {
            // What was not delivered is rare and has an index; the last attempt bears the number of them all.
            let last = all_attempts::table
                .filter(all_attempts::environment_id.eq(all_deliveries::environment_id))
                .filter(all_attempts::delivery_id.eq(all_deliveries::id))
                .filter(all_attempts::number.eq(all_deliveries::attempts))
                .filter(all_attempts::outcome.eq(outcome.as_str()));
            statement = statement
                .filter(all_deliveries::state.ne(StateName::Delivered.as_str()))
                .filter(all_deliveries::attempts.gt(0))
                .filter(diesel::dsl::exists(last));
        }
    }
    let rows: Vec<DeliveryRow> = statement.load(conn).await?;
    rows.into_iter().map(Delivery::try_from).collect()
}
