//! Organizations: the customers inside an environment.
//!
//! Invariant: a domain name belongs to at most one organization of an environment, an external id too; the
//! store's unique keys hold that. Metadata is flat text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::id::{EnvironmentId, OrganizationDomainId, OrganizationId};
use super::invalid::Invalid;
use super::limits::METADATA_KEYS_MAX;

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

impl Organization {
    /// The members that callers set and that `other` has otherwise, by their names on the wire.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let domains = |organization: &Self| -> BTreeMap<_, _> {
            let domains = organization.domains.iter();
            domains
                .map(|domain| (domain.domain.clone(), domain.state))
                .collect()
        };
        let members = [
            ("name", self.name != other.name),
            ("external_id", self.external_id != other.external_id),
            (
                "stripe_customer_id",
                self.stripe_customer_id != other.stripe_customer_id,
            ),
            (
                "allow_profiles_outside_organization",
                self.allow_profiles_outside_organization
                    != other.allow_profiles_outside_organization,
            ),
            ("domain_data", domains(self) != domains(other)),
            ("metadata", self.metadata != other.metadata),
        ];
        let differing = members.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }
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
    pub metadata: Option<MetadataChange>,
}

/// How metadata is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataChange {
    Clear,
    /// Members with a text are set, members without one are removed, all others stay.
    Merge(BTreeMap<String, Option<String>>),
}

impl MetadataChange {
    /// Errors: more members than an object of metadata holds; it is left as it was.
    pub fn apply(self, metadata: &mut BTreeMap<String, String>) -> Result<(), Invalid> {
        let Self::Merge(changes) = self else {
            metadata.clear();
            return Ok(());
        };
        let mut merged = metadata.clone();
        for (key, value) in changes {
            match value {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        if merged.len() > METADATA_KEYS_MAX {
            let message = format!("metadata must have at most {METADATA_KEYS_MAX} members.");
            return Err(Invalid::new("metadata", "too_many", message));
        }
        *metadata = merged;
        Ok(())
    }
}

/// Which organizations a list shows.
#[derive(Debug, Clone, Default)]
pub struct OrganizationFilter {
    /// Those with one of these domains; empty: all.
    pub domains: Vec<String>,
    /// Those whose name holds this text, in any case.
    pub search: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_change_of_metadata_keeps_what_it_does_not_name() {
        let mut kept = metadata(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let changes = BTreeMap::from([
            ("b".to_owned(), Some("9".to_owned())),
            ("c".to_owned(), None),
        ]);

        assert_eq!(MetadataChange::Merge(changes).apply(&mut kept), Ok(()));
        assert_eq!(kept, metadata(&[("a", "1"), ("b", "9")]));
        assert_eq!(MetadataChange::Clear.apply(&mut kept), Ok(()));
        assert!(kept.is_empty());
    }

    #[test]
    fn a_change_beyond_the_limit_changes_nothing() {
        let mut kept: BTreeMap<String, String> = (0..METADATA_KEYS_MAX)
            .map(|number| (format!("k{number}"), String::new()))
            .collect();
        let before = kept.clone();
        let one_more = BTreeMap::from([("more".to_owned(), Some(String::new()))]);

        assert!(MetadataChange::Merge(one_more).apply(&mut kept).is_err());
        assert_eq!(kept, before);
    }
}
