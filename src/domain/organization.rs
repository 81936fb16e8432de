//! Organizations: the customers inside an environment.
//!
//! Invariant: a domain name belongs to at most one organization of an environment, an external id too; the
//! store's unique keys hold that. Metadata is flat text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::id::{EnvironmentId, OrganizationDomainId, OrganizationId};

/// A customer inside an environment.
#[derive(Debug, Clone)]
pub struct Organization {
    pub environment: EnvironmentId,
    pub id: OrganizationId,
    pub name: String,
    pub external_id: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub allow_profiles_outside_organization: bool,
    pub domains: Vec<OrganizationDomain>,
    pub metadata: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A domain name that an organization uses.
#[derive(Debug, Clone)]
pub struct OrganizationDomain {
    pub id: OrganizationDomainId,
    pub domain: String,
    pub state: DomainState,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Whether the organization has shown that the domain is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    Pending,
    Verified,
}

impl DomainState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Verified]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// An organization that does not exist yet.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    pub name: String,
    pub external_id: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub allow_profiles_outside_organization: bool,
    pub domains: Vec<NewDomain>,
    pub metadata: BTreeMap<String, String>,
}

/// A domain name that is to belong to an organization; lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDomain {
    pub domain: String,
    pub state: DomainState,
}

/// What is to change: `None` leaves a member as it is, `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange {
    pub name: Option<String>,
    pub external_id: Option<Option<String>>,
    pub stripe_customer_id: Option<Option<String>>,
    pub allow_profiles_outside_organization: Option<bool>,
    pub domains: Option<Vec<NewDomain>>,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Which organizations a list shows.
#[derive(Debug, Clone, Default)]
pub struct OrganizationFilter {
    /// Those with one of these domains; empty: all.
    pub domains: Vec<String>,
    /// Those whose name holds this text, in any case.
    pub search: Option<String>,
}
