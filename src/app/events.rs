//! Events: published, and read back in one order.

use super::context::App;
use super::error::{AppError, Noun};
use super::{event_types, once};
use crate::domain::access::Caller;
use crate::domain::event::{Event, EventFilter, NewEvent};
use crate::domain::id::EventId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Cursor, Order, Page, PageQuery, PageSize};
use crate::ingest::NewItem;
use crate::store::events::{self, CursorState};
use crate::store::{StoreError, recent_events};

/// Records one event; it is durable with all its deliveries when this answers.
///
/// Errors: `EventInvalid` when its type is enforced and it does not fit.
pub async fn publish(
    app: &App,
    caller: &Caller,
    event: NewEvent,
    key: Option<IdempotencyKey>,
) -> Result<Event, AppError> {
    let events = vec![event];
    let misfits = event_types::misfits(app, caller, &events).await?;
    let faults: Vec<_> = misfits.into_iter().flatten().collect();
    if !faults.is_empty() {
        let refusal = AppError::EventInvalid(faults);
        return one(once::recorded_or(app, caller, key.as_ref(), refusal).await?);
    }
    one(record(app, caller, events, key).await?)
}

/// Records events, all or none, in the order given.
///
/// Errors: as [`publish`]; the paths of faults begin with `/events/<number>`.
pub async fn publish_batch(
    app: &App,
    caller: &Caller,
    events: Vec<NewEvent>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<Event>, AppError> {
    let misfits = event_types::misfits(app, caller, &events).await?;
    let mut faults = Vec::new();
    for (number, found) in misfits.into_iter().enumerate() {
        let path = format!("/events/{number}");
        faults.extend(found.into_iter().map(|fault| fault.within(&path, "")));
    }
    if !faults.is_empty() {
        let refusal = AppError::EventInvalid(faults);
        return once::recorded_or(app, caller, key.as_ref(), refusal).await;
    }
    record(app, caller, events, key).await
}

/// Records a sample, which need not fit the schema of its type.
pub(super) async fn publish_sample(
    app: &App,
    caller: &Caller,
    event: NewEvent,
    key: Option<IdempotencyKey>,
) -> Result<Event, AppError> {
    one(record(app, caller, vec![event], key).await?)
}

pub(super) fn one(mut events: Vec<Event>) -> Result<Event, AppError> {
    events.pop().ok_or_else(|| {
        AppError::Internal(StoreError::Corrupt("an event was not answered".to_owned()))
    })
}

async fn record(
    app: &App,
    caller: &Caller,
    events: Vec<NewEvent>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<Event>, AppError> {
    let name = key.as_ref().map(|key| key.key.clone());
    let items = events.into_iter().map(NewItem::Event).collect();
    let recorded = app.recorder().record(caller.environment, items, key).await;
    recorded.map_err(|error| AppError::of_record(error, name.as_deref()))
}

/// Finds one event.
pub async fn find(app: &App, caller: &Caller, id: EventId) -> Result<Event, AppError> {
    let mut conn = app.store().conn().await?;
    let event = events::find(&mut conn, caller.environment, id).await?;
    let event = event.filter(|event| caller.sees(event.organization));
    event.ok_or_else(|| AppError::not_found(Noun::Event, &id))
}

/// Lists events, newest first.
pub async fn recent(
    app: &App,
    caller: &Caller,
    filter: &EventFilter,
    query: &PageQuery<EventId>,
) -> Result<Page<Event>, AppError> {
    let filter = EventFilter {
        organization: caller.bound_to.or(filter.organization),
        ..filter.clone()
    };
    let mut conn = app.store().conn().await?;
    let rows = recent_events::page(&mut conn, caller.environment, &filter, query).await?;
    Ok(Page::cut(rows, query))
}

/// Reads the feed after `after`, oldest first.
///
/// Errors: `CursorUnknown` for an id that names no event here, `CursorExpired` for one that retention has passed.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &EventFilter,
    after: Option<EventId>,
    size: PageSize,
) -> Result<Page<Event>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = events::page(&mut conn, caller.environment, filter, after, size).await?;
    // After the page was read: a cursor that retention passed in between must not skip what went with it.
    if let Some(cursor) = after {
        match events::cursor_state(&mut conn, caller.environment, cursor).await? {
            CursorState::Valid => {}
            CursorState::Expired => {
                return Err(AppError::CursorExpired {
                    cursor: cursor.to_string(),
                });
            }
            CursorState::Unknown => {
                return Err(AppError::CursorUnknown {
                    cursor: cursor.to_string(),
                });
            }
        }
    }
    let query = PageQuery {
        size,
        order: Order::Ascending,
        cursor: after.map(Cursor::After),
    };
    Ok(Page::cut(rows, &query))
}
