//! Schemas of audit actions: added by version, and held against entries.
//!
//! Invariant: a version never changes, so a compiled one is remembered for good. That an action has no schema is
//! remembered for less than a second, and forgotten at once where this process adds one.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::memory::{Holds, Memory};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, Metadata, NewAuditEntry, OwnAction, OwnEntry};
use crate::domain::event::EventType;
use crate::domain::id::EnvironmentId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::page::{Page, PageQuery};
use crate::domain::schema::{AuditSchema, CheckedParts, CheckedTarget, SchemaFault};
use crate::store::audit_schemas::{self, SchemaRow};
use crate::store::columns::RawId;
use crate::store::{Conn, StoreError, events};

/// The version that an entry follows when it names none.
const VERSION_DEFAULT: i32 = 1;

/// One version of an action's schema.
#[derive(Debug, Clone)]
pub struct StoredSchema {
    pub version: i32,
    pub schema: AuditSchema,
    pub created_at: DateTime<Utc>,
}

/// An action that has schemas.
#[derive(Debug, Clone)]
pub struct StoredAction {
    pub name: EventType,
    pub latest: StoredSchema,
    /// When its first version was added.
    pub created_at: DateTime<Utc>,
}

/// What entries of a version of an action must meet.
#[derive(Clone)]
pub(super) enum Demand {
    /// The action has no schema.
    Nothing,
    /// The action has schemas, but not this version.
    UnknownVersion,
    Fits(Arc<AuditSchema>),
}

/// Demands by environment, action and version.
pub(super) type Demands = Memory<(EnvironmentId, EventType, i32), Demand>;

/// Adds a version of an action's schema; the newest version is answered when it says the same.
pub async fn create(
    app: &App,
    caller: &Caller,
    action: &EventType,
    schema: AuditSchema,
    key: Option<IdempotencyKey>,
) -> Result<StoredSchema, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let stored = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let made = once::made_before::<RawId>(conn, caller.environment, key.as_ref()).await?;
            if let Some(made) = made {
                return made_then(conn, caller.environment, action, made).await;
            }
            let latest = latest(conn, caller.environment, action).await?;
            let stored = match latest {
                Some(latest) if latest.schema == schema => latest,
                latest => {
                    let version = latest.map_or(VERSION_DEFAULT, |latest| latest.version + 1);
                    let added =
                        add(app, conn, caller.environment, action, (version, schema)).await?;
                    let entry = OwnEntry::new(OwnAction::SchemaCreated)
                        .on("audit_log_action", action)
                        .with("version", u64::from(version.unsigned_abs()));
                    trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
                    added
                }
            };
            let made = raw_version(stored.version);
            once::remember(app, conn, caller.environment, key.as_ref(), made).await?;
            Ok(stored)
        })
        .await?;
    // Entries without a version follow the first; those that name this one were told that it is unknown.
    for version in [VERSION_DEFAULT, stored.version] {
        let changed = (caller.environment, action.clone(), version);
        app.demands().forget(&changed);
    }
    app.handoff().wake();
    Ok(stored)
}

/// Lists an action's versions.
///
/// Errors: `NotFound` for an action that has none.
pub async fn list(
    app: &App,
    caller: &Caller,
    action: &EventType,
    query: &PageQuery<i32>,
) -> Result<Page<StoredSchema>, AppError> {
    let (environment, name) = (caller.environment, action.as_str());
    let mut conn = app.store().conn().await?;
    let rows = audit_schemas::page(&mut conn, environment, name, query).await?;
    if rows.is_empty()
        && audit_schemas::latest(&mut conn, environment, name)
            .await?
            .is_none()
    {
        return Err(AppError::not_found(Noun::AuditLogAction, action));
    }
    let versions = rows.into_iter().map(StoredSchema::try_from);
    Ok(Page::cut(versions.collect::<Result<_, _>>()?, query))
}

/// Lists the actions that have schemas.
pub async fn actions(
    app: &App,
    caller: &Caller,
    query: &PageQuery<String>,
) -> Result<Page<StoredAction>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = audit_schemas::actions(&mut conn, caller.environment, query).await?;
    let mut found = Vec::with_capacity(rows.len());
    for (row, created_at) in rows {
        let name = EventType::parse("action", &row.action)
            .map_err(|_fault| StoreError::corrupt(format!("the action {:?}", row.action)))?;
        let latest = StoredSchema::try_from(row)?;
        found.push(StoredAction {
            name,
            latest,
            created_at,
        });
    }
    Ok(Page::cut(found, query))
}

/// What of an entry does not fit its action's schema.
pub(super) async fn misfits(
    app: &App,
    caller: &Caller,
    entry: &NewAuditEntry,
) -> Result<Vec<SchemaFault>, AppError> {
    let version = entry.version.map(i32::try_from);
    let version = version.map_or(VERSION_DEFAULT, |version| version.unwrap_or(i32::MAX));
    match demand(app, caller.environment, &entry.action, version).await? {
        Demand::Nothing if app.settings().audit_schemas_required => {
            let message = format!("{} has no schema, and one is required", entry.action);
            Ok(vec![unknown("action", message)])
        }
        Demand::Nothing => Ok(Vec::new()),
        Demand::UnknownVersion => {
            let message = format!("{} has no schema of version {version}", entry.action);
            Ok(vec![unknown("version", message)])
        }
        Demand::Fits(schema) => Ok(validate(&schema, entry)),
    }
}

/// That there is no schema for what an entry's member says.
fn unknown(member: &str, message: String) -> SchemaFault {
    SchemaFault {
        instance_path: format!("/{member}"),
        schema_path: "#".to_owned(),
        keyword: member.to_owned(),
        message,
    }
}

fn validate(schema: &AuditSchema, entry: &NewAuditEntry) -> Vec<SchemaFault> {
    let targets = entry.targets.iter().zip(&entry.parts.targets);
    let targets: Vec<CheckedTarget<'_>> = targets
        .map(|(identity, personal)| CheckedTarget {
            kind: &identity.kind,
            metadata: personal.metadata.as_ref().map(Metadata::as_str),
        })
        .collect();
    schema.validate(&CheckedParts {
        targets: &targets,
        actor_metadata: entry.parts.actor.metadata.as_ref().map(Metadata::as_str),
        metadata: entry.parts.metadata.as_ref().map(Metadata::as_str),
    })
}

/// What entries of a version must meet; read when it is not remembered.
async fn demand(
    app: &App,
    environment: EnvironmentId,
    action: &EventType,
    version: i32,
) -> Result<Demand, AppError> {
    let key = (environment, action.clone(), version);
    if let Some(demand) = app.demands().recall(&key) {
        return Ok(demand);
    }
    let begun = app.demands().begin();
    let mut conn = app.store().express().await?;
    let found = audit_schemas::find(&mut conn, environment, action.as_str(), version).await?;
    let (demand, holds) = match found {
        Some(row) => {
            let schema = Arc::new(StoredSchema::try_from(row)?.schema);
            (Demand::Fits(schema), Holds::Forever)
        }
        None => match audit_schemas::latest(&mut conn, environment, action.as_str()).await? {
            Some(_) => (Demand::UnknownVersion, Holds::Shortly),
            None => (Demand::Nothing, Holds::Shortly),
        },
    };
    app.demands().remember(begun, key, demand.clone(), holds);
    Ok(demand)
}

async fn latest(
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &EventType,
) -> Result<Option<StoredSchema>, AppError> {
    let latest = audit_schemas::latest(conn, environment, action.as_str()).await?;
    Ok(latest.map(StoredSchema::try_from).transpose()?)
}

/// Adds a version; under the environment's lock.
async fn add(
    app: &App,
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &EventType,
    (version, schema): (i32, AuditSchema),
) -> Result<StoredSchema, AppError> {
    let row = SchemaRow {
        action: action.to_string(),
        version,
        definition: schema.definition(),
        created_at: app.clock().now(),
    };
    audit_schemas::insert(conn, environment, &row).await?;
    Ok(StoredSchema {
        version,
        schema,
        created_at: row.created_at,
    })
}

/// The version that a request has made before: versions have no ids, so the number stands in for one.
async fn made_then(
    conn: &mut Conn,
    environment: EnvironmentId,
    action: &EventType,
    made: RawId,
) -> Result<StoredSchema, AppError> {
    let version = i32::try_from(u128::from_be_bytes(made.to_bytes()))
        .map_err(|error| StoreError::corrupt(error.to_string()))?;
    let row = audit_schemas::find(conn, environment, action.as_str(), version).await?;
    let row = row.ok_or_else(|| StoreError::corrupt("a schema that was made is not there"))?;
    Ok(StoredSchema::try_from(row)?)
}

fn raw_version(version: i32) -> RawId {
    RawId::from_bytes(u128::from(version.unsigned_abs()).to_be_bytes())
}

impl TryFrom<SchemaRow> for StoredSchema {
    type Error = StoreError;

    fn try_from(row: SchemaRow) -> Result<Self, StoreError> {
        let schema = AuditSchema::from_definition(&row.definition).map_err(|_faults| {
            StoreError::corrupt(format!("schema {} of {}", row.version, row.action))
        })?;
        Ok(Self {
            version: row.version,
            schema,
            created_at: row.created_at,
        })
    }
}
