//! Events: published, and read back in one order.

use super::context::App;
use super::error::{AppError, Noun};
use crate::domain::access::Caller;
use crate::domain::event::{Event, EventFilter, NewEvent};
use crate::domain::id::EventId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Cursor, Order, Page, PageQuery, PageSize};
use crate::store::StoreError;
use crate::store::events::{self, CursorState};

/// Records one event; it is durable with all its deliveries when this answers.
pub async fn publish(
    app: &App,
    caller: &Caller,
    event: NewEvent,
    key: Option<IdempotencyKey>,
) -> Result<Event, AppError> {
    let mut events = publish_batch(app, caller, vec![event], key).await?;
    events.pop().ok_or_else(|| {
        AppError::Internal(StoreError::Corrupt("an event was not answered".to_owned()))
    })
}

/// Records events, all or none, in the order given.
pub async fn publish_batch(
    app: &App,
    caller: &Caller,
    events: Vec<NewEvent>,
    key: Option<IdempotencyKey>,
) -> Result<Vec<Event>, AppError> {
    let name = key.as_ref().map(|key| key.key.clone());
    let recorded = app.recorder().record(caller.environment, events, key).await;
    recorded.map_err(|error| AppError::of_record(error, name.as_deref()))
}

/// Finds one event.
pub async fn find(app: &App, caller: &Caller, id: EventId) -> Result<Event, AppError> {
    let mut conn = app.store().conn().await?;
    let event = events::find(&mut conn, caller.environment, id).await?;
    event.ok_or_else(|| AppError::not_found(Noun::Event, &id))
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
