//! Event types: described by their owners, and held against events where they are enforced.
//!
//! Invariant: a change is seen by this process at once and by others within a second; events that are recorded
//! already stay as they are.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::memory::{Holds, Memory};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::event::{EventType, NewEvent};
use crate::domain::id::EnvironmentId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::limits::EVENT_TYPES_MAX;
use crate::domain::page::{Page, PageQuery};
use crate::domain::schema::{
    EventTypeChange, EventTypeDefinition, EventTypeParts, JsonSchema, SchemaFault,
};
use crate::store::columns::RawId;
use crate::store::event_types::{self, EventTypeRow};
use crate::store::{Conn, StoreError, events};

/// An event type as it is kept.
#[derive(Debug, Clone)]
pub struct StoredEventType {
    pub definition: EventTypeDefinition,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The schemas that are enforced, by environment and event type; `None`: none is.
pub(super) type Enforced = Memory<(EnvironmentId, EventType), Option<Arc<JsonSchema>>>;

/// Creates an event type.
///
/// Errors: `Exists`.
pub async fn create(
    app: &App,
    caller: &Caller,
    definition: EventTypeDefinition,
    key: Option<IdempotencyKey>,
) -> Result<StoredEventType, AppError> {
    let now = app.clock().now();
    let name = definition.name.clone();
    let created = StoredEventType {
        definition,
        created_at: now,
        updated_at: now,
    };
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let stored = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let made = once::made_before::<RawId>(conn, caller.environment, key.as_ref()).await?;
            if made.is_some() {
                return found(conn, caller, &name).await;
            }
            if event_types::count(conn, caller.environment).await? >= EVENT_TYPES_MAX {
                return Err(AppError::LimitReached {
                    what: "event types",
                    max: EVENT_TYPES_MAX,
                });
            }
            let inserted = event_types::insert(conn, &row(caller.environment, &created)).await;
            inserted.map_err(|error| conflict(error, &name))?;
            let entry = told(OwnAction::EventTypeCreated, &name)
                .with("enforced", created.definition.enforced);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            // An event type has no id; the request's own name for it finds it again.
            let made = RawId::from_bytes([0; 16]);
            once::remember(app, conn, caller.environment, key.as_ref(), made).await?;
            Ok(created)
        })
        .await?;
    app.enforced().forget(&(caller.environment, name));
    app.handoff().wake();
    Ok(stored)
}

/// Finds one event type.
pub async fn find(
    app: &App,
    caller: &Caller,
    name: &EventType,
) -> Result<StoredEventType, AppError> {
    let mut conn = app.store().conn().await?;
    found(&mut conn, caller, name).await
}

/// Lists event types.
pub async fn list(
    app: &App,
    caller: &Caller,
    query: &PageQuery<String>,
) -> Result<Page<StoredEventType>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = event_types::page(&mut conn, caller.environment, query).await?;
    let types = rows.into_iter().map(StoredEventType::try_from);
    Ok(Page::cut(types.collect::<Result<_, _>>()?, query))
}

/// Changes an event type.
///
/// Errors: `NotFound`, `Invalid` when what comes out does not hold together.
pub async fn update(
    app: &App,
    caller: &Caller,
    name: &EventType,
    change: EventTypeChange,
) -> Result<StoredEventType, AppError> {
    let now = app.clock().now();
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let updated = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let stored = found(conn, caller, name).await?;
            let definition = stored.definition.changed(change);
            let definition = definition.map_err(AppError::Invalid)?;
            let changed = definition.differences(&stored.definition);
            if changed.is_empty() {
                return Ok(stored);
            }
            let entry = told(OwnAction::EventTypeUpdated, name)
                .with("changed", changed.join(","))
                .with_change("enforced", stored.definition.enforced, definition.enforced);
            let updated = StoredEventType {
                definition,
                updated_at: now,
                ..stored
            };
            event_types::update(conn, &row(caller.environment, &updated)).await?;
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            Ok::<_, AppError>(updated)
        })
        .await?;
    app.enforced().forget(&(caller.environment, name.clone()));
    app.handoff().wake();
    Ok(updated)
}

/// Deletes an event type; its events stay.
pub async fn delete(app: &App, caller: &Caller, name: &EventType) -> Result<(), AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        if !event_types::delete(conn, caller.environment, name.as_str()).await? {
            return Err(AppError::not_found(Noun::EventType, name));
        }
        let entry = told(OwnAction::EventTypeDeleted, name);
        trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await
    })
    .await?;
    app.enforced().forget(&(caller.environment, name.clone()));
    app.handoff().wake();
    Ok(())
}

fn told(action: OwnAction, name: &EventType) -> OwnEntry {
    OwnEntry::new(action).on("event_type", name)
}

/// The sample of an event type's data, if it is described and has one.
pub(super) async fn example(
    app: &App,
    caller: &Caller,
    name: &EventType,
) -> Result<Option<String>, AppError> {
    let mut conn = app.store().conn().await?;
    let row = event_types::find(&mut conn, caller.environment, name.as_str()).await?;
    Ok(row.and_then(|row| row.example))
}

/// What of each event does not fit the schema that is enforced for its type, in the order of `events`.
pub(super) async fn misfits(
    app: &App,
    caller: &Caller,
    events: &[NewEvent],
) -> Result<Vec<Vec<SchemaFault>>, AppError> {
    let schemas = enforced(app, caller.environment, events).await?;
    let faults = events.iter().map(|event| {
        let schema = schemas.get(&event.event_type);
        let found = schema.map(|schema| schema.validate_text(&event.data));
        let found = found.unwrap_or_default().into_iter();
        found.map(|fault| fault.within("/data", "")).collect()
    });
    Ok(faults.collect())
}

/// The schemas that are enforced for the types of `events`; read where they are not remembered.
async fn enforced(
    app: &App,
    environment: EnvironmentId,
    events: &[NewEvent],
) -> Result<HashMap<EventType, Arc<JsonSchema>>, AppError> {
    let mut schemas = HashMap::new();
    let mut unknown: Vec<&EventType> = Vec::new();
    for event in events {
        let name = &event.event_type;
        match app.enforced().recall(&(environment, name.clone())) {
            Some(Some(schema)) => {
                schemas.insert(name.clone(), schema);
            }
            Some(None) => {}
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok(schemas);
    }
    unknown.sort_unstable();
    unknown.dedup();
    let begun = app.enforced().begin();
    let names: Vec<&str> = unknown.iter().map(|name| name.as_str()).collect();
    let mut conn = app.store().express().await?;
    let rows = event_types::enforced(&mut conn, environment, &names).await?;
    let texts: HashMap<String, String> = rows.into_iter().collect();
    for name in unknown {
        let text = texts.get(name.as_str());
        let schema = text.map(|text| parsed(name.as_str(), text)).transpose()?;
        let schema = schema.map(Arc::new);
        if let Some(schema) = &schema {
            schemas.insert(name.clone(), schema.clone());
        }
        let key = (environment, name.clone());
        app.enforced().remember(begun, key, schema, Holds::Shortly);
    }
    Ok(schemas)
}

fn parsed(name: &str, text: &str) -> Result<JsonSchema, StoreError> {
    JsonSchema::parse("schema", text)
        .map_err(|_fault| StoreError::corrupt(format!("the schema of event type {name}")))
}

async fn found(
    conn: &mut Conn,
    caller: &Caller,
    name: &EventType,
) -> Result<StoredEventType, AppError> {
    let row = event_types::find(conn, caller.environment, name.as_str()).await?;
    let row = row.ok_or_else(|| AppError::not_found(Noun::EventType, name))?;
    Ok(StoredEventType::try_from(row)?)
}

fn conflict(error: StoreError, name: &EventType) -> AppError {
    match error {
        StoreError::Conflict { constraint } if constraint == "event_types_pkey" => {
            AppError::Exists {
                noun: Noun::EventType,
                message: format!("An event type with the name {name} already exists."),
            }
        }
        error @ (StoreError::Conflict { .. }
        | StoreError::Unavailable(_)
        | StoreError::Exhausted(_)
        | StoreError::Corrupt(_)
        | StoreError::Query(_)) => error.into(),
    }
}

fn row(environment: EnvironmentId, stored: &StoredEventType) -> EventTypeRow {
    let definition = &stored.definition;
    EventTypeRow {
        environment_id: environment,
        name: definition.name.to_string(),
        description: definition.description.clone(),
        json_schema: definition
            .schema
            .as_ref()
            .map(|schema| schema.as_str().to_owned()),
        example: definition.example.clone(),
        deprecated: definition.deprecated,
        enforced: definition.enforced,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

impl TryFrom<EventTypeRow> for StoredEventType {
    type Error = StoreError;

    fn try_from(row: EventTypeRow) -> Result<Self, StoreError> {
        let definition = EventTypeDefinition::parse(&EventTypeParts {
            name: &row.name,
            description: &row.description,
            schema: row.json_schema.as_deref(),
            example: row.example.as_deref(),
            deprecated: row.deprecated,
            enforced: row.enforced,
        });
        let definition = definition
            .map_err(|_faults| StoreError::corrupt(format!("event type {}", row.name)))?;
        Ok(Self {
            definition,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
