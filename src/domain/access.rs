//! Access: API keys, what they permit, and who is calling.
//!
//! Invariant: the key's text exists only in the caller's request and in the one answer that made it; everything
//! kept is its SHA-256. Keys carry 256 random bits, so a plain hash is enough and a look-up by hash leaks nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::id::{ApiKeyId, EnvironmentId, OrganizationId, PortalSessionId};
use super::invalid::Invalid;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    EventsWrite,
    EventsRead,
    EndpointsWrite,
    EndpointsRead,
    SecretsRead,
    AuditWrite,
    AuditRead,
    /// Everything, organizations included.
    Admin,
}

impl Permission {
    pub const ALL: [Self; 8] = [
        Self::EventsWrite,
        Self::EventsRead,
        Self::EndpointsWrite,
        Self::EndpointsRead,
        Self::SecretsRead,
        Self::AuditWrite,
        Self::AuditRead,
        Self::Admin,
    ];

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::EventsRead => "events:read",
            Self::EndpointsWrite => "endpoints:write",
            Self::EndpointsRead => "endpoints:read",
            Self::SecretsRead => "secrets:read",
            Self::AuditWrite => "audit:write",
            Self::AuditRead => "audit:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                Invalid::new(
                    "permissions",
                    "unknown_permission",
                    format!("unknown permission {text:?}; there are {known}."),
                )
            })
    }
}

/// A key as it is kept: everything but its text.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub environment: EnvironmentId,
    pub name: String,
    /// The first characters of the key's text, so that a person recognises it.
    pub hint: String,
    pub permissions: Vec<Permission>,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Where a request came from, as far as that can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Of whoever holds the other end of the connection.
    pub address: Option<IpAddr>,
    /// What the sender says of itself.
    pub user_agent: Option<Box<str>>,
}

/// What a caller came in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    ApiKey(ApiKeyId),
    PortalSession(PortalSessionId),
}

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Caller {
    pub environment: EnvironmentId,
    pub credential: Credential,
    /// The key's name, or what a visitor of the portal is called.
    pub name: Arc<str>,
    pub origin: Origin,
    /// Bound: nothing but this organization's is there for the caller.
    pub bound_to: Option<OrganizationId>,
    permissions: Vec<Permission>,
}

impl Caller {
    pub fn new(key: &ApiKey) -> Self {
        Self {
            environment: key.environment,
            credential: Credential::ApiKey(key.id),
            name: key.name.as_str().into(),
            origin: Origin::default(),
            bound_to: None,
            permissions: key.permissions.clone(),
        }
    }

    /// A visitor of the portal.
    pub fn visiting(
        environment: EnvironmentId,
        session: PortalSessionId,
        name: &str,
        bound_to: Option<OrganizationId>,
        permissions: &[Permission],
    ) -> Self {
        Self {
            environment,
            credential: Credential::PortalSession(session),
            name: name.into(),
            origin: Origin::default(),
            bound_to,
            permissions: permissions.to_vec(),
        }
    }

    /// The key that the caller came with, if it was one.
    pub const fn api_key(&self) -> Option<ApiKeyId> {
        match self.credential {
            Credential::ApiKey(key) => Some(key),
            Credential::PortalSession(_) => None,
        }
    }

    /// Whether what belongs to this organization, or to none, is there for the caller.
    pub fn sees(&self, organization: Option<OrganizationId>) -> bool {
        self.bound_to.is_none() || self.bound_to == organization
    }

    /// The same caller, calling from there.
    #[must_use]
    pub fn at(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Whether the caller may do this; an admin may do everything.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions
            .iter()
            .any(|&held| held == permission || held == Permission::Admin)
    }
}

/// The text of a key, `sk_…`. Never logged, never stored.
#[derive(Clone)]
pub struct ApiKeyText(String);

/// Characters of the shortest and the longest key that is taken.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 8..=255;
/// Characters that [`ApiKeyText::hint`] shows.
const HINT_CHARS: usize = 7;

impl ApiKeyText {
    /// A new key from 256 random bits.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(format!("sk_{}", BASE64_URL_SAFE_NO_PAD.encode(random)))
    }

    /// Errors: no `sk_` in front, too short, too long, or characters that no header carries.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if text.starts_with("sk_") && KEY_CHARS.contains(&text.len()) && known {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            "key",
            "invalid_key",
            "an API key is sk_ and 5 to 252 letters, digits, '_', '-' or '.'.",
        ))
    }

    /// What is stored and looked up.
    pub fn sha256(&self) -> [u8; 32] {
        Self::hash(&self.0)
    }

    /// The hash of any text that may be a key.
    pub fn hash(text: &str) -> [u8; 32] {
        Sha256::digest(text).into()
    }

    /// The beginning of the key, for lists.
    pub fn hint(&self) -> String {
        self.0.chars().take(HINT_CHARS).chain(['…']).collect()
    }

    /// The whole text, for the one answer that makes the key known.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(permissions: &[Permission]) -> Caller {
        Caller {
            environment: EnvironmentId::at(1, 1),
            credential: Credential::ApiKey(ApiKeyId::at(1, 1)),
            bound_to: None,
            name: "test".into(),
            origin: Origin::default(),
            permissions: permissions.to_vec(),
        }
    }

    #[test]
    fn a_key_may_do_what_it_holds_and_an_admin_everything() {
        for wanted in Permission::ALL {
            assert!(caller(&[Permission::Admin]).may(wanted));
            assert!(caller(&[wanted]).may(wanted));
            assert_eq!(
                caller(&[Permission::EventsRead]).may(wanted),
                wanted == Permission::EventsRead
            );
            assert!(!caller(&[]).may(wanted));
        }
    }

    #[test]
    fn a_permission_reads_back_from_its_word() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
        assert!("events".parse::<Permission>().is_err());
    }

    #[test]
    fn a_keys_text_is_never_shown() {
        let key = ApiKeyText::from_random([7; 32]);

        assert!(!format!("{key:?}").contains("sk_"));
        assert!(key.hint().len() < 12);
        assert_eq!(ApiKeyText::hash(key.expose()), key.sha256());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "sk_",
            "sk_1234",
            "pk_1234567890",
            "sk_with space",
            "sk_ümlaut00",
        ] {
            assert!(ApiKeyText::parse(bad).is_err(), "{bad}");
        }
        assert!(ApiKeyText::parse("sk_test_12345").is_ok());
    }
}
