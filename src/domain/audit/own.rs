//! The environment's own trail: what was done to the platform itself, as entries without an organization.
//!
//! Invariant: an entry says who, from where and to what. Its facts are put in one by one, so no object gets in as
//! a whole, with its secrets; texts are cut to what an entry holds. Does not decide what is worth an entry:
//! whoever makes a change does, and records it in the transaction of the change.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::content::{Context, Identity, Metadata, Personal, PersonalParts};
use super::new::NewAuditEntry;
use crate::domain::access::{Caller, Credential};
use crate::domain::event::EventType;
use crate::domain::limits::{
    AUDIT_ID_CHARS_MAX, AUDIT_LOCATION_CHARS_MAX, AUDIT_METADATA_VALUE_CHARS_MAX,
    AUDIT_USER_AGENT_CHARS_MAX, NAME_CHARS_MAX,
};
use crate::domain::time;

macro_rules! own_actions {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// What the platform records of itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum OwnAction {
            $($name),+
        }

        impl OwnAction {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

own_actions! {
    EnvironmentCreated "environment.created",
    ApiKeyCreated "api_key.created",
    ApiKeyRevoked "api_key.revoked",
    OrganizationCreated "organization.created",
    OrganizationUpdated "organization.updated",
    OrganizationDeleted "organization.deleted",
    EndpointCreated "webhook_endpoint.created",
    EndpointUpdated "webhook_endpoint.updated",
    EndpointDisabled "webhook_endpoint.disabled",
    EndpointEnabled "webhook_endpoint.enabled",
    EndpointDeleted "webhook_endpoint.deleted",
    SecretRotated "webhook_endpoint.secret_rotated",
    RotationCompleted "webhook_endpoint.rotation_completed",
    DeliveryReplayed "webhook_delivery.replayed",
    ReplayCreated "replay.created",
    ReplayCancelled "replay.cancelled",
    EventTypeCreated "event_type.created",
    EventTypeUpdated "event_type.updated",
    EventTypeDeleted "event_type.deleted",
    SchemaCreated "audit_log_schema.created",
    RetentionUpdated "audit_log_retention.updated",
    ExportCreated "audit_log_export.created",
    RedactionRequested "audit_log_redaction.requested",
    PortalLinkCreated "portal_link.created",
    PortalEntered "portal.entered",
    AuditKeyRotated "audit_log_key.rotated",
    AuditKeyRetired "audit_log_key.retired",
    MasterKeyReplaced "master_key.replaced",
}

/// Who did it, and from where.
#[derive(Debug, Clone)]
pub struct Actor {
    identity: Identity,
    name: Option<Box<str>>,
    context: Context,
}

impl Actor {
    /// Whoever sits at the command line: the user and the machine, as far as they are known.
    ///
    /// Shape: the user is a name, not an id: a name can be forgotten.
    pub fn operator(user: Option<&str>, machine: Option<&str>) -> Self {
        Self {
            identity: identity("operator", "command_line"),
            name: user.map(|user| cut(user, NAME_CHARS_MAX)),
            context: Context {
                location: location(machine.unwrap_or_default(), "command line"),
                user_agent: None,
            },
        }
    }

    /// The platform itself, by the part of it that acted.
    pub fn platform(part: &str) -> Self {
        Self {
            identity: identity("platform", part),
            name: None,
            context: Context {
                location: "tidings".into(),
                user_agent: None,
            },
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        let origin = &caller.origin;
        let address = origin.address.map(|address| address.to_string());
        let user_agent = origin.user_agent.as_deref();
        Self {
            identity: match caller.credential {
                Credential::ApiKey(key) => identity("api_key", &key.to_string()),
                Credential::PortalSession(id) => identity("portal_session", &id.to_string()),
            },
            name: Some(cut(&caller.name, NAME_CHARS_MAX)),
            context: Context {
                location: location(address.as_deref().unwrap_or_default(), "unknown"),
                user_agent: user_agent.map(|text| cut(text, AUDIT_USER_AGENT_CHARS_MAX)),
            },
        }
    }
}

/// What was done, and to what.
#[derive(Debug, Clone)]
pub struct OwnEntry {
    action: OwnAction,
    targets: Vec<Identity>,
    names: Vec<Personal>,
    facts: Map<String, Value>,
}

/// One value among an entry's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Text(String),
    Number(u64),
    Flag(bool),
}

impl OwnEntry {
    pub fn new(action: OwnAction) -> Self {
        Self {
            action,
            targets: Vec::new(),
            names: Vec::new(),
            facts: Map::new(),
        }
    }

    /// Names something that the action was done to.
    #[must_use]
    pub fn on(mut self, kind: &str, id: impl Display) -> Self {
        self.targets.push(identity(kind, &id.to_string()));
        self.names.push(Personal::default());
        self
    }

    /// Gives the last target a name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if let Some(last) = self.names.last_mut() {
            last.name = Some(cut(name, NAME_CHARS_MAX));
        }
        self
    }

    /// Adds a fact to the metadata.
    ///
    /// Shape: `key` is letters, digits, `_` and `-`; a text that is too long loses its end.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, fact: impl Into<Fact>) -> Self {
        let value = match fact.into() {
            Fact::Text(text) => Value::from(&*cut(&text, AUDIT_METADATA_VALUE_CHARS_MAX)),
            Fact::Number(number) => number.into(),
            Fact::Flag(flag) => flag.into(),
        };
        self.facts.insert(key.into(), value);
        self
    }

    /// Adds what a member was and is, if that is not the same.
    #[must_use]
    pub fn with_change<T: Into<Fact>>(self, key: &str, before: T, after: T) -> Self {
        let (before, after) = (before.into(), after.into());
        if before == after {
            return self;
        }
        self.with(format!("{key}_before"), before)
            .with(format!("{key}_after"), after)
    }

    /// The entry as it is recorded.
    pub fn by(self, actor: &Actor, now: DateTime<Utc>) -> NewAuditEntry {
        let metadata = (!self.facts.is_empty())
            .then(|| Metadata::from_compact(Value::Object(self.facts).to_string()));
        NewAuditEntry {
            organization: None,
            action: EventType::parse("action", self.action.as_str())
                .expect("a name of the platform's own"),
            version: None,
            occurred_at: time::to_millis_precision(now),
            actor: actor.identity.clone(),
            targets: self.targets,
            parts: PersonalParts {
                actor: Personal {
                    name: actor.name.clone(),
                    metadata: None,
                },
                targets: self.names,
                context: actor.context.clone(),
                metadata,
            },
        }
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

fn identity(kind: &str, id: &str) -> Identity {
    Identity {
        id: cut(id, AUDIT_ID_CHARS_MAX),
        kind: kind.into(),
    }
}

fn location(text: &str, otherwise: &str) -> Box<str> {
    match text {
        "" => otherwise.into(),
        text => cut(text, AUDIT_LOCATION_CHARS_MAX),
    }
}

/// The first characters of a text.
fn cut(text: &str, chars_max: usize) -> Box<str> {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::domain::access::{ApiKey, Origin, Permission};
    use crate::domain::id::{ApiKeyId, EnvironmentId};
    use crate::domain::time::from_millis;

    fn caller() -> Caller {
        let key = ApiKey {
            id: ApiKeyId::at(1, 1),
            environment: EnvironmentId::at(1, 1),
            name: "billing".to_owned(),
            hint: "sk_abcd".to_owned(),
            permissions: vec![Permission::Admin],
            created_at: from_millis(0),
            revoked_at: None,
        };
        Caller::new(&key).at(Origin {
            address: Some(Ipv4Addr::LOCALHOST.into()),
            user_agent: Some("curl/8".into()),
        })
    }

    #[test]
    fn an_entry_says_who_from_where_and_to_what_and_has_no_organization() {
        let entry = OwnEntry::new(OwnAction::ApiKeyRevoked)
            .on("api_key", "key_1")
            .named("old")
            .with("permissions", "admin")
            .with_change("same", 1, 1)
            .with_change("enabled", true, false)
            .by(&Actor::from(&caller()), from_millis(7));

        assert_eq!(entry.organization, None);
        assert_eq!(entry.action.as_str(), "api_key.revoked");
        assert_eq!(
            (&*entry.actor.kind, &*entry.actor.id),
            ("api_key", &*ApiKeyId::at(1, 1).to_string())
        );
        assert_eq!(entry.parts.actor.name.as_deref(), Some("billing"));
        assert_eq!(&*entry.parts.context.location, "127.0.0.1");
        assert_eq!(entry.parts.context.user_agent.as_deref(), Some("curl/8"));
        assert_eq!(entry.parts.targets[0].name.as_deref(), Some("old"));
        let metadata = entry.parts.metadata.unwrap();
        assert_eq!(
            metadata.as_str(),
            r#"{"enabled_after":false,"enabled_before":true,"permissions":"admin"}"#
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_unknown_is_said() {
        let long = "ä".repeat(2_000);

        let entry = OwnEntry::new(OwnAction::EndpointUpdated)
            .on("webhook_endpoint", &long)
            .named(&long)
            .with("text", long.as_str())
            .by(&Actor::operator(Some(&long), None), from_millis(0));

        assert_eq!(entry.targets[0].id.chars().count(), AUDIT_ID_CHARS_MAX);
        assert_eq!(
            entry.parts.actor.name.unwrap().chars().count(),
            NAME_CHARS_MAX
        );
        let metadata: Value = serde_json::from_str(entry.parts.metadata.unwrap().as_str()).unwrap();
        assert_eq!(
            metadata["text"].as_str().unwrap().chars().count(),
            AUDIT_METADATA_VALUE_CHARS_MAX
        );
        assert_eq!(&*entry.parts.context.location, "command line");
    }

    #[test]
    fn every_action_is_a_name_that_entries_may_have_and_its_own() {
        let mut names: Vec<_> = OwnAction::ALL
            .iter()
            .map(|action| action.as_str())
            .collect();
        for name in &names {
            assert!(EventType::parse("action", name).is_ok(), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OwnAction::ALL.len());
    }
}
