//! The portal: who may come in, as what, and what they carry while they are in.
//!
//! Invariant: a visitor who is no operator is bound to one organization. The text of a pass exists only in a link or
//! a cookie; everything kept is a hash of its secret. Does not know about cookies or pages.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::access::{Caller, Permission};
use super::id::{ApiKeyId, EnvironmentId, OrganizationId, PortalLinkId, PortalSessionId};

/// How long a visitor stays in without signing in again.
pub const SESSION_FOR: Duration = Duration::from_secs(12 * 3600);

/// Seconds that a link opens, at most: seven days.
pub const LINK_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// The same where nobody says: a quarter of an hour.
pub const LINK_SECONDS_DEFAULT: u64 = 15 * 60;

/// What somebody is in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// Sees the whole environment.
    Operator,
    /// Sees one organization.
    Member {
        organization: OrganizationId,
        role: MemberRole,
    },
}

/// What somebody may do with an organization's things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// Looks.
    Viewer,
    /// Looks after endpoints too, their secrets included.
    Manager,
}

impl MemberRole {
    pub const ALL: [Self; 2] = [Self::Viewer, Self::Manager];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Manager => "manager",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Visitor {
    /// The word for an operator's role.
    const OPERATOR: &str = "operator";

    /// The word in the database and on the page.
    pub const fn role(&self) -> &'static str {
        match self {
            Self::Operator => Self::OPERATOR,
            Self::Member { role, .. } => role.as_str(),
        }
    }

    /// `None` when role and organization do not fit each other.
    pub fn parse(role: &str, organization: Option<OrganizationId>) -> Option<Self> {
        match (organization, MemberRole::parse(role)) {
            (None, None) => (role == Self::OPERATOR).then_some(Self::Operator),
            (Some(organization), Some(role)) => Some(Self::Member { organization, role }),
            (None, Some(_)) | (Some(_), None) => None,
        }
    }

    pub const fn organization(&self) -> Option<OrganizationId> {
        match self {
            Self::Operator => None,
            Self::Member { organization, .. } => Some(*organization),
        }
    }

    /// What a visitor may do; with a member's it is never more than their organization's.
    pub const fn permissions(&self) -> &'static [Permission] {
        match self {
            Self::Operator => &[Permission::Admin],
            Self::Member { role, .. } => match role {
                MemberRole::Viewer => &[
                    Permission::EventsRead,
                    Permission::EndpointsRead,
                    Permission::AuditRead,
                ],
                MemberRole::Manager => &[
                    Permission::EventsRead,
                    Permission::EndpointsRead,
                    Permission::EndpointsWrite,
                    Permission::SecretsRead,
                    Permission::AuditRead,
                ],
            },
        }
    }
}

/// Who may see what.
#[derive(Debug, Clone)]
pub struct Grant {
    pub environment: EnvironmentId,
    pub visitor: Visitor,
    /// What the visitor is called.
    pub name: String,
    /// The key that it came from: revoked, the grant is worth nothing.
    pub api_key: Option<ApiKeyId>,
}

/// A link that lets somebody in once.
#[derive(Debug, Clone)]
pub struct PortalLink {
    pub id: PortalLinkId,
    pub grant: Grant,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Somebody who is in.
#[derive(Debug, Clone)]
pub struct PortalSession {
    pub id: PortalSessionId,
    pub grant: Grant,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

impl PortalSession {
    /// Whoever acts in this session.
    pub fn caller(&self) -> Caller {
        let grant = &self.grant;
        Caller::visiting(
            grant.environment,
            self.id,
            &grant.name,
            grant.visitor.organization(),
            grant.visitor.permissions(),
        )
    }
}

/// What opens a link or a session: the environment in which to look, and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    environment: EnvironmentId,
    secret: [u8; Self::SECRET_BYTES],
}

impl Pass {
    pub const SECRET_BYTES: usize = 32;

    pub const fn new(environment: EnvironmentId, secret: [u8; Self::SECRET_BYTES]) -> Self {
        Self {
            environment,
            secret,
        }
    }

    /// Reads `env_….<43 characters>`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (environment, secret) = text.split_once('.')?;
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Self {
            environment: environment.parse().ok()?,
            secret: secret.try_into().ok()?,
        })
    }

    pub const fn environment(&self) -> EnvironmentId {
        self.environment
    }

    /// The whole text, for a link or a cookie.
    pub fn expose(&self) -> String {
        let secret = BASE64_URL_SAFE_NO_PAD.encode(self.secret);
        format!("{}.{secret}", self.environment)
    }

    /// What is stored and looked up.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// What every form of a page must carry: known to whoever was shown a page of this session, and to nobody else.
    ///
    /// Shape: derived, so that a new session has another one and nothing more is stored.
    pub fn form_proof(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"tidings portal form\0");
        hash.update(self.secret);
        BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_reads_back_and_shows_neither_its_secret_nor_its_hash_in_a_form() {
        let pass = Pass::new(EnvironmentId::at(1, 1), [7; 32]);

        assert_eq!(Pass::parse(&pass.expose()).as_ref(), Some(&pass));
        let proof = pass.form_proof();
        assert!(!pass.expose().contains(&proof));
        assert_ne!(BASE64_URL_SAFE_NO_PAD.decode(proof).unwrap(), pass.sha256());
        assert_eq!(format!("{pass:?}"), "[redacted]");
        for text in ["", ".", "env_1.x", "org_01KDWX4V00000000000000TEST.AAAA"] {
            assert_eq!(Pass::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_visitor_is_an_operator_or_bound_to_an_organization() {
        let organization = OrganizationId::at(1, 1);
        let member = |role| Visitor::Member { organization, role };

        assert_eq!(Visitor::parse("operator", None), Some(Visitor::Operator));
        for role in MemberRole::ALL {
            let parsed = Visitor::parse(role.as_str(), Some(organization));
            assert_eq!(parsed, Some(member(role)));
            assert_eq!(Visitor::parse(role.as_str(), None), None);
        }
        assert_eq!(Visitor::parse("operator", Some(organization)), None);
    }

    #[test]
    fn a_viewer_changes_nothing_and_reads_no_secret() {
        let viewer = Visitor::Member {
            organization: OrganizationId::at(1, 1),
            role: MemberRole::Viewer,
        };

        for permission in viewer.permissions() {
            assert!(permission.as_str().ends_with(":read"), "{permission}");
            assert_ne!(*permission, Permission::SecretsRead);
        }
    }
}
