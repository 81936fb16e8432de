//! How long an organization's audit log is kept.

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::trail;
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::id::OrganizationId;
use crate::store::{Conn, StoreError, audit_retention, events, organizations};

/// How an organization's audit log is set up.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub organization: OrganizationId,
    /// `None`: entries are kept for ever.
    pub retention_days: Option<u32>,
}

/// Days that the organization's entries are kept; `None`: for ever.
pub async fn get(
    app: &App,
    caller: &Caller,
    organization: OrganizationId,
) -> Result<Option<u32>, AppError> {
    let mut conn = app.store().conn().await?;
    exists(&mut conn, caller, organization).await?;
    let days = audit_retention::days(&mut conn, caller.environment, organization).await?;
    days.map(u32::try_from)
        .transpose()
        .map_err(|error| StoreError::corrupt(error.to_string()).into())
}

/// Sets how many days the organization's entries are kept, one of the periods of `domain::audit_retention`.
pub async fn set(
    app: &App,
    caller: &Caller,
    organization: OrganizationId,
    days: u32,
) -> Result<u32, AppError> {
    let stored = i32::try_from(days).map_err(|error| StoreError::corrupt(error.to_string()))?;
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        exists(conn, caller, organization).await?;
        let before = audit_retention::days(conn, caller.environment, organization).await?;
        if before == Some(stored) {
            return Ok(());
        }
        audit_retention::set_days(conn, caller.environment, organization, stored).await?;
        let entry = told(organization, before, days);
        trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await
    })
    .await?;
    app.handoff().wake();
    Ok(days)
}

fn told(organization: OrganizationId, before: Option<i32>, after: u32) -> OwnEntry {
    let entry = OwnEntry::new(OwnAction::RetentionUpdated)
        .on("organization", organization)
        .with("days_after", u64::from(after));
    // Without a number before it, entries were kept for ever.
    match before.and_then(|days| u64::try_from(days).ok()) {
        Some(before) => entry.with("days_before", before),
        None => entry,
    }
}

/// How the organization's audit log is set up.
pub async fn configuration(
    app: &App,
    caller: &Caller,
    organization: OrganizationId,
) -> Result<Configuration, AppError> {
    let retention_days = get(app, caller, organization).await?;
    Ok(Configuration {
        organization,
        retention_days,
    })
}

async fn exists(conn: &mut Conn, caller: &Caller, id: OrganizationId) -> Result<(), AppError> {
    match organizations::find(conn, caller.environment, id).await? {
        Some(_organization) => Ok(()),
        None => Err(AppError::not_found(Noun::Organization, &id)),
    }
}
