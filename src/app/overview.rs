//! The overview: how events and deliveries go, in numbers that cost the same however much is stored.

use chrono::{DateTime, TimeDelta, Utc};

use super::context::App;
use super::error::AppError;
use crate::domain::access::Caller;
use crate::domain::attempt::FailureCount;
use crate::domain::delivery::SettledDelivery;
use crate::domain::id::EndpointId;
use crate::store::{endpoint_failures, endpoints, recent_deliveries, recent_events};

/// Deliveries that are looked at to say how they go.
pub const SAMPLE_MAX: i64 = 1_000;
/// Deliveries that are counted one by one; beyond it there are "more than".
pub const OWED_COUNT_MAX: i64 = 1_000;

/// How many events there were in a span of time.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub events: u64,
}

/// How deliveries go.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The last ones that ended, newest first.
    pub settled: Vec<SettledDelivery>,
    /// Up to [`OWED_COUNT_MAX`] that are owed.
    pub owed: u64,
    /// Since when the oldest of them is owed.
    pub owed_since: Option<DateTime<Utc>>,
}

/// The environment's events in `count` equal spans of time up to now, oldest first.
///
/// Shape: of all organizations; positions are dense, so a span holds as many events as positions lie between its
/// ends.
pub async fn events_over_time(
    app: &App,
    caller: &Caller,
    span: TimeDelta,
    count: i32,
) -> Result<Vec<Bar>, AppError> {
    let now = app.clock().now();
    let ends: Vec<_> = (0..=count)
        .map(|number| now - span * (count - number))
        .collect();
    let mut conn = app.store().conn().await?;
    let positions = recent_events::positions_before(&mut conn, caller.environment, &ends).await?;
    let marks: Vec<_> = ends
        .into_iter()
        .zip(positions.into_iter().map(Option::unwrap_or_default))
        .collect();
    let bars = marks.windows(2).filter_map(|pair| match pair {
        [(from, before), (until, through)] => Some(Bar {
            from: *from,
            until: *until,
            events: u64::try_from(through - before).unwrap_or(0),
        }),
        _ => None,
    });
    Ok(bars.collect())
}

/// How deliveries go: of one endpoint, or of all that the caller sees.
pub async fn deliveries(
    app: &App,
    caller: &Caller,
    endpoint: Option<EndpointId>,
) -> Result<Summary, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let among = match (endpoint, caller.bound_to) {
        (Some(id), _) => Some(vec![
            super::endpoints::found(app, &mut conn, caller, id)
                .await?
                .id,
        ]),
        (None, Some(id)) => Some(endpoints::bound_to(&mut conn, environment, id).await?),
        (None, None) => None,
    };
    let among = among.as_deref();
    let settled = recent_deliveries::settled(&mut conn, environment, among, SAMPLE_MAX).await?;
    let owed =
        recent_deliveries::owed_longest(&mut conn, environment, among, OWED_COUNT_MAX).await?;
    Ok(Summary {
        settled,
        owed: u64::try_from(owed.len()).unwrap_or(u64::MAX),
        owed_since: owed.first().copied(),
    })
}

/// How the attempts of an endpoint's last deliveries failed, the most frequent kind first.
///
/// Shape: of the last [`SAMPLE_MAX`] deliveries that ended and as many that are owed.
pub async fn failures(
    app: &App,
    caller: &Caller,
    endpoint: EndpointId,
) -> Result<Vec<FailureCount>, AppError> {
    let mut conn = app.store().conn().await?;
    let endpoint = super::endpoints::found(app, &mut conn, caller, endpoint).await?;
    let (environment, endpoint) = (caller.environment, endpoint.id);
    Ok(endpoint_failures::recent(&mut conn, environment, endpoint, SAMPLE_MAX).await?)
}
