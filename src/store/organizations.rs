//! Organizations: the customers inside an environment, with their domains.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::{organization_domains, organizations};
use crate::domain::id::{EnvironmentId, OrganizationDomainId, OrganizationId};
use crate::domain::organization::{
    DomainState, Organization, OrganizationDomain, OrganizationFilter,
};
use crate::domain::page::PageQuery;

#[derive(Queryable, Selectable)]
#[diesel(table_name = organizations)]
struct OrganizationRow {
    environment_id: EnvironmentId,
    id: OrganizationId,
    name: String,
    external_id: Option<String>,
    stripe_customer_id: Option<String>,
    allow_profiles_outside_organization: bool,
    metadata: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = organization_domains)]
struct DomainRow {
    id: OrganizationDomainId,
    organization_id: OrganizationId,
    domain: String,
    state: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = StoreError;

    /// The organization without its domains.
    fn try_from(row: OrganizationRow) -> Result<Self, StoreError> {
        let metadata: BTreeMap<String, String> = serde_json::from_str(&row.metadata)
            .map_err(|error| StoreError::corrupt(format!("metadata of {}: {error}", row.id)))?;
        Ok(Self {
            environment: row.environment_id,
            id: row.id,
            name: row.name,
            external_id: row.external_id,
            stripe_customer_id: row.stripe_customer_id,
            allow_profiles_outside_organization: row.allow_profiles_outside_organization,
            domains: Vec::new(),
            metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl TryFrom<DomainRow> for OrganizationDomain {
    type Error = StoreError;

    fn try_from(row: DomainRow) -> Result<Self, StoreError> {
        let state = DomainState::parse(&row.state)
            .ok_or_else(|| StoreError::corrupt(format!("state of {}", row.id)))?;
        Ok(Self {
            id: row.id,
            domain: row.domain,
            state,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn metadata_text(metadata: &BTreeMap<String, String>) -> Result<String, StoreError> {
    serde_json::to_string(metadata).map_err(|error| StoreError::corrupt(error.to_string()))
}

/// Inserts an organization and its domains.
///
/// Errors: `Conflict` of `organizations_external_id_unique` or `organization_domains_domain_unique`.
pub async fn insert(conn: &mut Conn, organization: &Organization) -> Result<(), StoreError> {
    diesel::insert_into(organizations::table)
        .values((
            organizations::environment_id.eq(organization.environment),
            organizations::id.eq(organization.id),
            organizations::name.eq(&organization.name),
            organizations::external_id.eq(&organization.external_id),
            organizations::stripe_customer_id.eq(&organization.stripe_customer_id),
            organizations::allow_profiles_outside_organization
                .eq(organization.allow_profiles_outside_organization),
            organizations::metadata.eq(metadata_text(&organization.metadata)?),
            organizations::created_at.eq(organization.created_at),
            organizations::updated_at.eq(organization.updated_at),
        ))
        .execute(conn)
        .await?;
    insert_domains(conn, organization).await
}

async fn insert_domains(conn: &mut Conn, organization: &Organization) -> Result<(), StoreError> {
    let rows: Vec<_> = organization
        .domains
        .iter()
        .map(|domain| {
            (
                organization_domains::environment_id.eq(organization.environment),
                organization_domains::id.eq(domain.id),
                organization_domains::organization_id.eq(organization.id),
                organization_domains::domain.eq(&domain.domain),
                organization_domains::state.eq(domain.state.as_str()),
                organization_domains::created_at.eq(domain.created_at),
                organization_domains::updated_at.eq(domain.updated_at),
            )
        })
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(organization_domains::table)
            .values(rows)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Writes an organization back, with exactly the domains it now has.
///
/// Errors: as `insert`.
pub async fn update(conn: &mut Conn, organization: &Organization) -> Result<(), StoreError> {
    diesel::update(organizations::table)
        .filter(organizations::environment_id.eq(organization.environment))
        .filter(organizations::id.eq(organization.id))
        .set((
            organizations::name.eq(&organization.name),
            organizations::external_id.eq(&organization.external_id),
            organizations::stripe_customer_id.eq(&organization.stripe_customer_id),
            organizations::allow_profiles_outside_organization
                .eq(organization.allow_profiles_outside_organization),
            organizations::metadata.eq(metadata_text(&organization.metadata)?),
            organizations::updated_at.eq(organization.updated_at),
        ))
        .execute(conn)
        .await?;
    let old = organization_domains::table
        .filter(organization_domains::environment_id.eq(organization.environment))
        .filter(organization_domains::organization_id.eq(organization.id));
    diesel::delete(old).execute(conn).await?;
    insert_domains(conn, organization).await
}

/// Deletes an organization with its domains; its events stay. Answers whether it was there.
pub async fn delete(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: OrganizationId,
) -> Result<bool, StoreError> {
    let deleted = diesel::delete(organizations::table)
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::id.eq(id))
        .execute(conn)
        .await?;
    Ok(deleted > 0)
}

/// Finds one organization of `environment`; `None` when it has no such organization.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: OrganizationId,
) -> Result<Option<Organization>, StoreError> {
    let row: Option<OrganizationRow> = organizations::table
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::id.eq(id))
        .select(OrganizationRow::as_select())
        .first(conn)
        .await
        .optional()?;
    with_domains(conn, environment, row.into_iter().collect())
        .await
        .map(|mut found| found.pop())
}

/// Those of `ids` that are organizations of `environment`.
pub async fn existing(
    mut conn: &Conn,
    environment: EnvironmentId,
    ids: &[OrganizationId],
) -> Result<Vec<OrganizationId>, StoreError> {
    Ok(organizations::table
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::id.eq_any(ids))
        .select(organizations::id)
        .load(&mut conn)
        .await?)
}

/// What those of `ids` that are organizations of `environment` are called.
pub async fn names(
    mut conn: &Conn,
    environment: EnvironmentId,
    ids: &[OrganizationId],
) -> Result<Vec<(OrganizationId, String)>, StoreError> {
    Ok(organizations::table
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::id.eq_any(ids))
        .select((organizations::id, organizations::name))
        .load(&mut conn)
        .await?)
}

/// Organizations of `environment` that are called so, in small letters or large ones; at most `limit`.
pub async fn called(
    conn: &Conn,
    environment: EnvironmentId,
    name: &str,
    limit: i64,
) -> Result<Vec<(OrganizationId, String)>, StoreError> {
    matching(conn, environment, escaped(name), limit).await
}

/// The same for those whose name holds the text.
pub async fn holding(
    conn: &Conn,
    environment: EnvironmentId,
    text: &str,
    limit: i64,
) -> Result<Vec<(OrganizationId, String)>, StoreError> {
    let pattern = format!("%{}%", escaped(text));
    matching(conn, environment, pattern, limit).await
}

async fn matching(
    mut conn: &Conn,
    environment: EnvironmentId,
    pattern: String,
    limit: i64,
) -> Result<Vec<(OrganizationId, String)>, StoreError> {
    Ok(organizations::table
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::name.ilike(pattern))
        .order(organizations::id)
        .select((organizations::id, organizations::name))
        .limit(limit)
        .load(&mut conn)
        .await?)
}

/// A text that a pattern finds as it stands.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

/// Finds one organization of `environment` by the caller's own id for it.
pub async fn find_by_external_id(
    conn: &mut Conn,
    environment: EnvironmentId,
    external_id: &str,
) -> Result<Option<Organization>, StoreError> {
    let row: Option<OrganizationRow> = organizations::table
        .filter(organizations::environment_id.eq(environment))
        .filter(organizations::external_id.eq(external_id))
        .select(OrganizationRow::as_select())
        .first(conn)
        .await
        .optional()?;
    with_domains(conn, environment, row.into_iter().collect())
        .await
        .map(|mut found| found.pop())
}

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &OrganizationFilter,
    query: &PageQuery<OrganizationId>,
) -> Result<Vec<Organization>, StoreError> {
    let statement = organizations::table
        .filter(organizations::environment_id.eq(environment))
        .select(OrganizationRow::as_select())
        .into_boxed();
    let mut statement = paged!(statement, organizations::id, query);
    if !filter.domains.is_empty() {
        let owners = organization_domains::table
            .filter(organization_domains::environment_id.eq(environment))
            .filter(organization_domains::domain.eq_any(&filter.domains))
            .select(organization_domains::organization_id);
        statement = statement.filter(organizations::id.eq_any(owners));
    }
    if let Some(search) = &filter.search {
        let pattern = format!("%{}%", escaped(search));
        statement = statement.filter(organizations::name.ilike(pattern));
    }
    let rows = statement.load(conn).await?;
    with_domains(conn, environment, rows).await
}

/// Reads the domains of `rows`, in one statement.
async fn with_domains(
    conn: &mut Conn,
    environment: EnvironmentId,
    rows: Vec<OrganizationRow>,
) -> Result<Vec<Organization>, StoreError> {
    let ids: Vec<OrganizationId> = rows.iter().map(|row| row.id).collect();
    let mut found: Vec<Organization> = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(row.try_into()?);
    }
    if found.is_empty() {
        return Ok(found);
    }
    let domains: Vec<DomainRow> = organization_domains::table
        .filter(organization_domains::environment_id.eq(environment))
        .filter(organization_domains::organization_id.eq_any(ids))
        .order(organization_domains::id)
        .select(DomainRow::as_select())
        .load(conn)
        .await?;
    for row in domains {
        let owner = row.organization_id;
        let domain: OrganizationDomain = row.try_into()?;
        if let Some(organization) = found
            .iter_mut()
            .find(|organization| organization.id == owner)
        {
            organization.domains.push(domain);
        }
    }
    Ok(found)
}
