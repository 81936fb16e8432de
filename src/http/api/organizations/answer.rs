//! An organization as it is shown.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::timestamp;
use crate::domain::id::{OrganizationDomainId, OrganizationId};
use crate::domain::organization::Organization;

/// A customer inside your environment.
#[derive(Serialize, ToSchema)]
#[schema(as = Organization)]
pub(in crate::http::api) struct OrganizationBody<'a> {
    #[schema(value_type = String, example = "organization")]
    object: &'static str,
    #[schema(value_type = String, example = "org_01KDWX4V00000000000000TEST")]
    id: OrganizationId,
    #[schema(value_type = String, example = "Acme")]
    name: &'a str,
    allow_profiles_outside_organization: bool,
    #[schema(value_type = Vec<DomainBody>)]
    domains: Vec<DomainBody<'a>>,
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: &'a BTreeMap<String, String>,
    /// Your own id for the organization.
    #[schema(required, value_type = Option<String>)]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    stripe_customer_id: Option<&'a str>,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

/// A domain name that an organization uses.
#[derive(Serialize, ToSchema)]
#[schema(as = OrganizationDomain)]
pub(in crate::http::api) struct DomainBody<'a> {
    #[schema(value_type = String, example = "organization_domain")]
    object: &'static str,
    #[schema(value_type = String)]
    id: OrganizationDomainId,
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    #[schema(value_type = String, example = "acme.example")]
    domain: &'a str,
    #[schema(value_type = super::input::DomainStateWord, inline)]
    state: &'static str,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
}

impl<'a> From<&'a Organization> for OrganizationBody<'a> {
    fn from(organization: &'a Organization) -> Self {
        let domains = organization.domains.iter().map(|domain| DomainBody {
            object: "organization_domain",
            id: domain.id,
            organization_id: organization.id,
            domain: &domain.domain,
            state: domain.state.as_str(),
            created_at: domain.created_at,
            updated_at: domain.updated_at,
        });
        Self {
            object: "organization",
            id: organization.id,
            name: &organization.name,
            allow_profiles_outside_organization: organization.allow_profiles_outside_organization,
            domains: domains.collect(),
            metadata: &organization.metadata,
            external_id: organization.external_id.as_deref(),
            stripe_customer_id: organization.stripe_customer_id.as_deref(),
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::EnvironmentId;
    use crate::domain::organization::{DomainState, OrganizationDomain};
    use crate::domain::time::from_millis;

    #[test]
    fn an_organization_shows_every_key_that_sdks_need() {
        let at = from_millis(0);
        let organization = Organization {
            environment: EnvironmentId::at(1, 1),
            id: OrganizationId::at(1, 1),
            name: "Acme".into(),
            external_id: None,
            stripe_customer_id: None,
            allow_profiles_outside_organization: false,
            domains: vec![OrganizationDomain {
                id: OrganizationDomainId::at(1, 1),
                domain: "acme.example".into(),
                state: DomainState::Verified,
                created_at: at,
                updated_at: at,
            }],
            metadata: BTreeMap::new(),
            created_at: at,
            updated_at: at,
        };
        let (id, domain) = (
            organization.id.to_string(),
            OrganizationDomainId::at(1, 1).to_string(),
        );
        let time = "1970-01-01T00:00:00.000Z";

        assert_eq!(
            serde_json::to_value(OrganizationBody::from(&organization)).expect("JSON"),
            json!({
                "object": "organization", "id": id, "name": "Acme", "allow_profiles_outside_organization": false,
                "domains": [{
                    "object": "organization_domain", "id": domain, "organization_id": id, "domain": "acme.example",
                    "state": "verified", "created_at": time, "updated_at": time,
                }],
                "metadata": {}, "external_id": null, "created_at": time, "updated_at": time,
            })
        );
    }
}
