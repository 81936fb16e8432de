//! What is told of endpoints in the environment's own trail.
//!
//! Invariant: no secret is told, and of a URL only scheme, host and port: receivers put tokens into paths and
//! queries. A change of nothing is told by nothing. Does not decide what may change.

use url::Url;

use super::own::{OwnAction, OwnEntry};
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointState};
use crate::domain::event::EventPattern;

impl OwnEntry {
    /// An entry about an endpoint.
    pub fn of_endpoint(action: OwnAction, endpoint: &Endpoint) -> Self {
        Self::new(action).on("webhook_endpoint", endpoint.id)
    }

    /// That an endpoint was made.
    pub fn endpoint_created(endpoint: &Endpoint) -> Self {
        let entry = Self::of_endpoint(OwnAction::EndpointCreated, endpoint)
            .with("url_origin", origin(&endpoint.url))
            .with("events", patterns(&endpoint.patterns))
            .with("enabled", endpoint.is_enabled());
        match endpoint.organization {
            Some(organization) => entry.on("organization", organization),
            None => entry,
        }
    }

    /// That an endpoint is not sent to any more.
    pub fn endpoint_disabled(endpoint: &Endpoint, reason: DisabledReason) -> Self {
        Self::of_endpoint(OwnAction::EndpointDisabled, endpoint).with("reason", reason.as_str())
    }

    /// What a caller has changed of an endpoint; its state is an entry of its own.
    pub fn endpoint_changes(before: &Endpoint, after: &Endpoint) -> Vec<Self> {
        let mut changed = Vec::new();
        let mut note = |name, differs| {
            if differs {
                changed.push(name);
            }
        };
        note("endpoint_url", before.url != after.url);
        note("events", before.patterns != after.patterns);
        note("description", before.description != after.description);
        note("retry_schedule", before.schedule != after.schedule);
        let mut entries = Vec::new();
        if !changed.is_empty() {
            let entry = Self::of_endpoint(OwnAction::EndpointUpdated, after)
                .with("changed", changed.join(","))
                .with_change("url_origin", origin(&before.url), origin(&after.url))
                .with_change(
                    "events",
                    patterns(&before.patterns),
                    patterns(&after.patterns),
                );
            entries.push(entry);
        }
        if before.state != after.state {
            entries.push(match after.state {
                EndpointState::Enabled => Self::of_endpoint(OwnAction::EndpointEnabled, after),
                EndpointState::Disabled(reason) => Self::endpoint_disabled(after, reason),
            });
        }
        entries
    }
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_fault| "unknown".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

fn patterns(patterns: &[EventPattern]) -> String {
    if patterns.is_empty() {
        return "*".to_owned();
    }
    let texts: Vec<String> = patterns.iter().map(EventPattern::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::own::Actor;
    use super::*;
    use crate::domain::endpoint::Secrets;
    use crate::domain::id::{EndpointId, EnvironmentId};
    use crate::domain::signature::SigningSecret;
    use crate::domain::time::from_millis;

    fn endpoint() -> Endpoint {
        Endpoint {
            environment: EnvironmentId::at(1, 1),
            id: EndpointId::at(1, 1),
            url: "https://hooks.example.com/token-in-path?key=token-in-query".to_owned(),
            patterns: Vec::new(),
            organization: None,
            description: String::new(),
            state: EndpointState::Enabled,
            secrets: Secrets {
                current: SigningSecret::from_bytes([1; 32]),
                current_since: from_millis(0),
                previous: None,
            },
            schedule: None,
            failing_since: None,
            created_at: from_millis(0),
            updated_at: from_millis(0),
            deleted_at: None,
        }
    }

    fn told(entries: Vec<OwnEntry>) -> Vec<(String, String)> {
        let actor = Actor::platform("test");
        let told = entries.into_iter().map(|entry| {
            let entry = entry.by(&actor, from_millis(0));
            let metadata = entry.parts.metadata.as_ref();
            let metadata = metadata.map(|metadata| metadata.as_str().to_owned());
            (entry.action.to_string(), metadata.unwrap_or_default())
        });
        told.collect()
    }

    #[test]
    fn of_a_url_neither_path_nor_query_is_told() {
        let moved = Endpoint {
            url: "http://127.0.0.1:8080/token-in-path?key=token-in-query".to_owned(),
            ..endpoint()
        };

        let told = told(OwnEntry::endpoint_changes(&endpoint(), &moved));

        let metadata = r#"{"changed":"endpoint_url","url_origin_after":"http://127.0.0.1:8080","url_origin_before":"https://hooks.example.com"}"#;
        let updated = "webhook_endpoint.updated".to_owned();
        assert_eq!(told, [(updated, metadata.to_owned())]);
    }

    #[test]
    fn a_state_is_told_beside_what_else_has_changed_and_nothing_by_nothing() {
        let changed = Endpoint {
            description: "new".to_owned(),
            state: EndpointState::Disabled(DisabledReason::ByHand),
            ..endpoint()
        };

        let told = told(OwnEntry::endpoint_changes(&endpoint(), &changed));

        let metadata = [r#"{"changed":"description"}"#, r#"{"reason":"by_hand"}"#];
        let actions = ["webhook_endpoint.updated", "webhook_endpoint.disabled"];
        let expected = actions.into_iter().zip(metadata);
        assert!(
            told.iter()
                .map(|(action, metadata)| (&**action, &**metadata))
                .eq(expected)
        );
        assert!(OwnEntry::endpoint_changes(&endpoint(), &endpoint()).is_empty());
    }
}
