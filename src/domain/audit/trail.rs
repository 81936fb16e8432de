//! Trails: whose audit log is meant.
//!
//! Invariant: a trail has one text: an organization's id, or the word `environment` for the environment's own.
//! That is also how a checkpoint's origin ends. Does not know whether the organization exists.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::domain::id::OrganizationId;

/// The word for the environment's own trail.
const ENVIRONMENT: &str = "environment";

/// The audit log of one organization, or the environment's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trail {
    Environment,
    Organization(OrganizationId),
}

/// Why a text names no trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be an organization's id, or `environment`")]
pub struct TrailFault;

impl Trail {
    /// The trail of entries with this organization.
    pub const fn of(organization: Option<OrganizationId>) -> Self {
        match organization {
            Some(id) => Self::Organization(id),
            None => Self::Environment,
        }
    }

    /// What the trail's entries have as their organization.
    pub const fn organization(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(id) => Some(id),
            Self::Environment => None,
        }
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(id) => id.fmt(f),
            Self::Environment => f.write_str(ENVIRONMENT),
        }
    }
}

impl FromStr for Trail {
    type Err = TrailFault;

    fn from_str(text: &str) -> Result<Self, TrailFault> {
        if text == ENVIRONMENT {
            return Ok(Self::Environment);
        }
        let id = text.parse().map_err(|_other_kind| TrailFault)?;
        Ok(Self::Organization(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_an_organization_or_the_environments_own() {
        let id = OrganizationId::at(1, 1);

        for trail in [Trail::Environment, Trail::Organization(id)] {
            assert_eq!(trail.to_string().parse(), Ok(trail));
            assert_eq!(Trail::of(trail.organization()), trail);
        }
        for text in ["", "Environment", "org_1", "env_01KDWX4V00000000000000TEST"] {
            assert_eq!(text.parse::<Trail>(), Err(TrailFault), "{text}");
        }
    }
}
