//! Endpoints: URLs that want events, with their secrets, their state and their health.
//!
//! Invariant: an endpoint gets an event only while it is enabled, when a pattern matches and when it is bound
//! to the event's organization or to none. Whether its URL may be called is the outbound guard's to say.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::event::{EventPattern, EventType};
use super::id::{EndpointId, EnvironmentId, OrganizationId};
use super::retry::RetrySchedule;
use super::signature::SigningSecret;

/// A URL that wants events.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub environment: EnvironmentId,
    pub id: EndpointId,
    pub url: String,
    /// Empty: every event type.
    pub patterns: Vec<EventPattern>,
    /// Bound: only that organization's events.
    pub organization: Option<OrganizationId>,
    pub description: String,
    pub state: EndpointState,
    pub secrets: Secrets,
    /// `None`: the platform's schedule.
    pub schedule: Option<RetrySchedule>,
    /// Since when every attempt has failed; `None` while it is well.
    pub failing_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Whether an endpoint is sent to, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    Enabled,
    Disabled(DisabledReason),
}

/// Who or what disabled an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// A caller of the API.
    ByHand,
    /// The receiver answered 410 Gone.
    Gone,
    /// Nothing but failures for as long as the health rule allows.
    Failing,
}

impl DisabledReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::ByHand, Self::Gone, Self::Failing]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// For how long an endpoint may do nothing but fail before it is disabled: five days.
pub const FAILING_FOR_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

/// The secrets that sign for an endpoint.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub current: SigningSecret,
    /// The last change: what was signed earlier cannot be signed again.
    pub current_since: DateTime<Utc>,
    /// During a rotation's overlap.
    pub previous: Option<PreviousSecret>,
}

/// A secret that was replaced and is valid until the overlap ends.
#[derive(Debug, Clone)]
pub struct PreviousSecret {
    pub secret: SigningSecret,
    pub valid_until: DateTime<Utc>,
}

impl Secrets {
    /// The previous secret, while the overlap lasts.
    pub fn previous_at(&self, now: DateTime<Utc>) -> Option<&SigningSecret> {
        self.previous
            .as_ref()
            .filter(|previous| now < previous.valid_until)
            .map(|previous| &previous.secret)
    }

    /// The one secret of `WorkOS-Signature`: the previous one until the overlap ends, so that receivers can
    /// be given the new one in peace.
    pub fn for_contract(&self, now: DateTime<Utc>) -> &SigningSecret {
        self.previous_at(now).unwrap_or(&self.current)
    }

    /// Replaces the current secret; a rotation that is under way loses its oldest secret.
    pub fn rotate(self, new: SigningSecret, now: DateTime<Utc>, overlap: Duration) -> Self {
        let previous = (!overlap.is_zero()).then(|| PreviousSecret {
            secret: self.current,
            valid_until: now + overlap,
        });
        Self {
            current: new,
            current_since: now,
            previous,
        }
    }

    /// Ends a rotation: the current secret signs alone. What was signed with both is past from now on.
    pub fn complete(self, now: DateTime<Utc>) -> Self {
        Self {
            current_since: if self.previous.is_some() {
                now
            } else {
                self.current_since
            },
            current: self.current,
            previous: None,
        }
    }
}

impl Endpoint {
    pub fn is_enabled(&self) -> bool {
        self.state == EndpointState::Enabled && self.deleted_at.is_none()
    }

    /// Whether an event of this type and organization is wanted here.
    pub fn wants(&self, event_type: &EventType, organization: Option<OrganizationId>) -> bool {
        let bound_elsewhere = self.organization.is_some() && self.organization != organization;
        let matched = self.patterns.is_empty()
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(event_type));
        matched && !bound_elsewhere
    }

    /// Whether it is still what was judged when `judged` was called, so that it may be disabled for `reason`.
    pub fn still_deserves(&self, judged: &Self, reason: DisabledReason) -> bool {
        let same = self.is_enabled() && self.url == judged.url;
        match reason {
            // Whoever changed it since, or enabled it again, wants it to be tried.
            DisabledReason::Gone => same && self.updated_at == judged.updated_at,
            DisabledReason::Failing | DisabledReason::ByHand => {
                same && self.failing_since == judged.failing_since
            }
        }
    }
}

/// An endpoint that does not exist yet; its secret is drawn by whoever creates it.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub url: String,
    pub patterns: Vec<EventPattern>,
    pub organization: Option<OrganizationId>,
    pub description: String,
    pub state: EndpointState,
    pub schedule: Option<RetrySchedule>,
    /// Brought by the caller, or drawn.
    pub secret: Option<SigningSecret>,
}

/// What is to change: `None` leaves a member as it is.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub patterns: Option<Vec<EventPattern>>,
    pub description: Option<String>,
    pub state: Option<EndpointState>,
    /// `Some(None)`: back to the platform's schedule.
    pub schedule: Option<Option<RetrySchedule>>,
}

impl EndpointChange {
    /// Applies the change; an endpoint that is enabled again or has another URL begins in good health.
    pub fn apply(self, endpoint: &mut Endpoint, now: DateTime<Utc>) {
        if let Some(url) = self.url
            && url != endpoint.url
        {
            endpoint.url = url;
            endpoint.failing_since = None;
        }
        if let Some(patterns) = self.patterns {
            endpoint.patterns = patterns;
        }
        if let Some(description) = self.description {
            endpoint.description = description;
        }
        if let Some(schedule) = self.schedule {
            endpoint.schedule = schedule;
        }
        if let Some(state) = self.state
            && state != endpoint.state
        {
            endpoint.state = state;
            endpoint.failing_since = None;
        }
        endpoint.updated_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_millis;

    fn secrets() -> Secrets {
        Secrets {
            current: SigningSecret::from_bytes([1; 32]),
            current_since: from_millis(0),
            previous: None,
        }
    }

    #[test]
    fn during_an_overlap_the_contract_header_keeps_the_previous_secret() {
        let (old, new) = (
            SigningSecret::from_bytes([1; 32]),
            SigningSecret::from_bytes([2; 32]),
        );

        let rotated = secrets().rotate(new.clone(), from_millis(1_000), Duration::from_secs(10));

        assert_eq!(
            rotated.for_contract(from_millis(10_999)).expose(),
            old.expose()
        );
        assert_eq!(
            rotated.for_contract(from_millis(11_000)).expose(),
            new.expose()
        );
        assert!(rotated.previous_at(from_millis(11_000)).is_none());
    }

    #[test]
    fn a_second_rotation_drops_the_oldest_secret() {
        let overlap = Duration::from_secs(10);
        let [second, third] = [[2; 32], [3; 32]].map(SigningSecret::from_bytes);

        let rotated = secrets()
            .rotate(second.clone(), from_millis(0), overlap)
            .rotate(third, from_millis(1), overlap);

        let previous = rotated
            .previous_at(from_millis(2))
            .map(SigningSecret::expose);
        assert_eq!(previous, Some(second.expose()));
    }

    #[test]
    fn a_rotation_without_overlap_leaves_one_secret() {
        let new = SigningSecret::from_bytes([2; 32]);

        assert!(
            secrets()
                .rotate(new, from_millis(0), Duration::ZERO)
                .previous
                .is_none()
        );
    }

    #[test]
    fn what_an_old_configuration_answered_does_not_disable_the_new_one() {
        let judged = Endpoint {
            environment: EnvironmentId::at(1, 1),
            id: EndpointId::at(1, 1),
            url: "https://example.com/".to_owned(),
            patterns: Vec::new(),
            organization: None,
            description: String::new(),
            state: EndpointState::Enabled,
            secrets: secrets(),
            schedule: None,
            failing_since: None,
            created_at: from_millis(0),
            updated_at: from_millis(0),
            deleted_at: None,
        };
        let moved = Endpoint {
            url: "https://example.com/new".to_owned(),
            ..judged.clone()
        };
        let changed = Endpoint {
            updated_at: from_millis(1),
            ..judged.clone()
        };
        let well = Endpoint {
            failing_since: Some(from_millis(7)),
            ..judged.clone()
        };

        let verdicts = |reason| {
            [&judged, &moved, &changed, &well].map(|now| now.still_deserves(&judged, reason))
        };
        assert_eq!(verdicts(DisabledReason::Gone), [true, false, false, true]);
        assert_eq!(
            verdicts(DisabledReason::Failing),
            [true, false, true, false]
        );
    }
}
