//! Organizations: the customers inside an environment.

use std::collections::BTreeMap;

use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::id::{OrganizationDomainId, OrganizationId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::invalid::Invalid;
use crate::domain::organization::{
    NewDomain, NewOrganization, Organization, OrganizationChange, OrganizationDomain,
    OrganizationFilter,
};
use crate::domain::page::{Page, PageQuery};
use crate::domain::time::Clock;
use crate::store::{Conn, StoreError, events, organizations};

/// Organizations that a text may mean, at most: enough to see that it is not one.
const MEANT_MAX: i64 = 5;

/// Creates an organization.
///
/// Errors: `Exists` when a domain belongs to another one, `ExternalIdUsed`.
pub async fn create(
    app: &App,
    caller: &Caller,
    new: NewOrganization,
    key: Option<IdempotencyKey>,
) -> Result<Organization, AppError> {
    let now = app.clock().now();
    let organization = Organization {
        environment: caller.environment,
        id: OrganizationId::new(now),
        name: new.name,
        external_id: new.external_id,
        stripe_customer_id: new.stripe_customer_id,
        allow_profiles_outside_organization: new.allow_profiles_outside_organization,
        domains: domains(app.clock(), &[], new.domains),
        metadata: new.metadata,
        created_at: now,
        updated_at: now,
    };
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let created = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(id) = once::made_before(conn, caller.environment, key.as_ref()).await? {
                return found(conn, caller, id).await;
            }
            let inserted = organizations::insert(conn, &organization).await;
            inserted.map_err(|error| conflict(error, &organization))?;
            let entry = told(OwnAction::OrganizationCreated, &organization);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            once::remember(app, conn, caller.environment, key.as_ref(), organization.id).await?;
            Ok::<_, AppError>(organization)
        })
        .await?;
    app.handoff().wake();
    Ok(created)
}

/// Finds one organization.
pub async fn find(
    app: &App,
    caller: &Caller,
    id: OrganizationId,
) -> Result<Organization, AppError> {
    let mut conn = app.store().conn().await?;
    found(&mut conn, caller, id).await
}

async fn found(
    conn: &mut Conn,
    caller: &Caller,
    id: OrganizationId,
) -> Result<Organization, AppError> {
    let organization = organizations::find(conn, caller.environment, id).await?;
    organization.ok_or_else(|| AppError::not_found(Noun::Organization, &id))
}

/// Finds one organization by the caller's own id for it.
pub async fn find_by_external_id(
    app: &App,
    caller: &Caller,
    external_id: &str,
) -> Result<Organization, AppError> {
    let mut conn = app.store().conn().await?;
    let organization =
        organizations::find_by_external_id(&mut conn, caller.environment, external_id).await?;
    organization.ok_or_else(|| AppError::not_found(Noun::Organization, &external_id))
}

/// Lists organizations.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &OrganizationFilter,
    query: &PageQuery<OrganizationId>,
) -> Result<Page<Organization>, AppError> {
    let mut conn = app.store().conn().await?;
    let rows = organizations::page(&mut conn, caller.environment, filter, query).await?;
    Ok(Page::cut(rows, query))
}

/// What organizations are called, those of `ids` that are there for the caller.
pub async fn names(
    app: &App,
    caller: &Caller,
    ids: &[OrganizationId],
) -> Result<BTreeMap<OrganizationId, String>, AppError> {
    let seen = ids.iter().copied().filter(|id| caller.sees(Some(*id)));
    let seen: Vec<_> = seen.collect();
    if seen.is_empty() {
        return Ok(BTreeMap::new());
    }
    let conn = app.store().conn().await?;
    let names = organizations::names(&conn, caller.environment, &seen).await?;
    Ok(names.into_iter().collect())
}

/// The organizations that a person may mean by a text that is no id: the one whose external id it is; else those
/// that are called so; else those whose name holds it.
///
/// Shape: at most `MEANT_MAX`. Nobody who is bound to an organization is told of others.
pub async fn meant(
    app: &App,
    caller: &Caller,
    text: &str,
) -> Result<Vec<(OrganizationId, String)>, AppError> {
    if caller.bound_to.is_some() {
        return Ok(Vec::new());
    }
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let own = organizations::find_by_external_id(&mut conn, environment, text).await?;
    if let Some(organization) = own {
        return Ok(vec![(organization.id, organization.name)]);
    }
    let called = organizations::called(&conn, environment, text, MEANT_MAX).await?;
    if !called.is_empty() {
        return Ok(called);
    }
    Ok(organizations::holding(&conn, environment, text, MEANT_MAX).await?)
}

/// Changes an organization.
///
/// Errors: as `create`, and `NotFound`.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: OrganizationId,
    change: OrganizationChange,
) -> Result<Organization, AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    let updated = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let before = found(conn, caller, id).await?;
            let mut organization = before.clone();
            apply(change, &mut organization, app.clock())
                .map_err(|invalid| AppError::Invalid(vec![invalid]))?;
            let changed = organization.differences(&before);
            if changed.is_empty() {
                return Ok(before);
            }
            let updated = organizations::update(conn, &organization).await;
            updated.map_err(|error| conflict(error, &organization))?;
            let entry = told(OwnAction::OrganizationUpdated, &organization)
                .with("changed", changed.join(","));
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            Ok::<_, AppError>(organization)
        })
        .await?;
    app.handoff().wake();
    Ok(updated)
}

/// Deletes an organization; its events stay.
pub async fn delete(app: &App, caller: &Caller, id: OrganizationId) -> Result<(), AppError> {
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let organization = found(conn, caller, id).await?;
        organizations::delete(conn, caller.environment, id).await?;
        let entry = told(OwnAction::OrganizationDeleted, &organization);
        trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await
    })
    .await?;
    app.handoff().wake();
    Ok(())
}

fn told(action: OwnAction, organization: &Organization) -> OwnEntry {
    OwnEntry::new(action)
        .on("organization", organization.id)
        .named(&organization.name)
}

fn apply(
    change: OrganizationChange,
    organization: &mut Organization,
    clock: &Clock,
) -> Result<(), Invalid> {
    if let Some(name) = change.name {
        organization.name = name;
    }
    if let Some(external_id) = change.external_id {
        organization.external_id = external_id;
    }
    if let Some(stripe_customer_id) = change.stripe_customer_id {
        organization.stripe_customer_id = stripe_customer_id;
    }
    if let Some(allow) = change.allow_profiles_outside_organization {
        organization.allow_profiles_outside_organization = allow;
    }
    if let Some(new) = change.domains {
        organization.domains = domains(clock, &organization.domains, new);
    }
    if let Some(metadata) = change.metadata {
        metadata.apply(&mut organization.metadata)?;
    }
    organization.updated_at = clock.now();
    Ok(())
}

/// The domains an organization is to have: those it has already keep their ids.
fn domains(
    clock: &Clock,
    old: &[OrganizationDomain],
    new: Vec<NewDomain>,
) -> Vec<OrganizationDomain> {
    let now = clock.now();
    let one = |new: NewDomain| {
        let kept = old.iter().find(|old| old.domain == new.domain);
        OrganizationDomain {
            id: kept.map_or_else(|| OrganizationDomainId::new(now), |kept| kept.id),
            domain: new.domain,
            state: new.state,
            created_at: kept.map_or(now, |kept| kept.created_at),
            updated_at: now,
        }
    };
    new.into_iter().map(one).collect()
}

fn conflict(error: StoreError, organization: &Organization) -> AppError {
    match error {
        StoreError::Conflict { constraint }
            if constraint == "organization_domains_domain_unique" =>
        {
            let domains: Vec<_> = organization
                .domains
                .iter()
                .map(|domain| domain.domain.as_str())
                .collect();
            let message = format!(
                "An Organization with the domain {} already exists.",
                domains.join(" or ")
            );
            AppError::Exists {
                noun: Noun::Organization,
                message,
            }
        }
        StoreError::Conflict { constraint } if constraint == "organizations_external_id_unique" => {
            AppError::ExternalIdUsed {
                external_id: organization.external_id.clone().unwrap_or_default(),
            }
        }
        error @ (StoreError::Conflict { .. }
        | StoreError::Unavailable(_)
        | StoreError::Exhausted(_)
        | StoreError::Corrupt(_)
        | StoreError::Query(_)) => error.into(),
    }
}
