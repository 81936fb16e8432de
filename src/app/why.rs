//! Why: what is known of an event and an endpoint, put together for `domain::why`.

use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::attempt::Outcome;
use crate::domain::delivery::{Delivery, DeliveryFilter};
use crate::domain::endpoint::Endpoint;
use crate::domain::event::Event;
use crate::domain::id::{EndpointId, EventId};
use crate::domain::page::{Order, PageQuery, PageSize};
use crate::domain::why::{self, Explanation, Facts};
use crate::store::attempts;

/// Why an event went to an endpoint or did not, and what that rests on.
#[derive(Debug, Clone)]
pub struct Why {
    pub event: Event,
    pub endpoint: Endpoint,
    /// The event's deliveries to the endpoint, newest first; at most a hundred.
    pub deliveries: Vec<Delivery>,
    /// What the last attempt of the newest came to.
    pub outcome: Option<Outcome>,
    pub explanation: Explanation,
}

/// Explains an event at an endpoint.
///
/// Errors: `NotFound` for either.
pub async fn explain(
    app: &App,
    caller: &Caller,
    event: EventId,
    endpoint: EndpointId,
) -> Result<Why, AppError> {
    let event = super::events::find(app, caller, event).await?;
    let endpoint = super::endpoints::find(app, caller, endpoint).await?;
    let filter = DeliveryFilter {
        event: Some(event.id),
        endpoint: Some(endpoint.id),
        ..DeliveryFilter::default()
    };
    let newest = PageQuery {
        size: PageSize::LARGEST,
        order: Order::Descending,
        cursor: None,
    };
    let mut deliveries = super::deliveries::list(app, caller, &filter, &newest)
        .await?
        .items;
    // Their ids have the event's time and no order among themselves.
    deliveries.sort_by_key(|delivery| std::cmp::Reverse(delivery.created_at));
    let outcome = match deliveries.first() {
        Some(last) => last_outcome(app, last).await?,
        None => None,
    };
    let breaker = super::endpoints::breaker(app, &endpoint).await?;
    let facts = Facts {
        event: &event,
        endpoint: &endpoint,
        last: deliveries.first(),
        outcome: outcome.as_ref(),
        breaker,
    };
    let explanation = why::explain(&facts);
    Ok(Why {
        event,
        endpoint,
        deliveries,
        outcome,
        explanation,
    })
}

async fn last_outcome(app: &App, delivery: &Delivery) -> Result<Option<Outcome>, AppError> {
    let mut conn = app.store().conn().await?;
    let recorded = attempts::of_delivery(
        &mut conn,
        delivery.environment,
        delivery.id,
        super::deliveries::ATTEMPTS_SHOWN_MAX,
    )
    .await?;
    Ok(recorded
        .into_iter()
        .next_back()
        .map(|last| last.attempt.outcome))
}
