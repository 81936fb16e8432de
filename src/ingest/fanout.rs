//! The fan-out: which endpoints get an event.
//!
//! Invariant: a table is used only under the environment's lock and only when its version is the lock's; so an
//! event that commits after an endpoint's change sees the change.

use std::collections::HashMap;

use crate::domain::event::{Audience, EventType, NewEvent};
use crate::domain::id::{EndpointId, EnvironmentId};
use crate::store::endpoints::{self, Subscription};
use crate::store::events::EnvironmentLock;
use crate::store::{Conn, StoreError};

/// How many event types are remembered; then all are forgotten, and matched again.
const TYPES_MAX: usize = 2_000;

/// The enabled endpoints of one environment, as of one version.
pub(super) struct Fanout {
    version: i64,
    subscriptions: Vec<Subscription>,
    /// For each event type seen, which subscriptions match it.
    by_type: HashMap<EventType, Vec<usize>>,
}

impl Fanout {
    /// Reads the table that is current under `lock`.
    pub(super) async fn load(conn: &Conn, lock: &EnvironmentLock) -> Result<Self, StoreError> {
        let subscriptions = endpoints::subscriptions(conn, lock.environment).await?;
        Ok(Self {
            version: lock.endpoints_version,
            subscriptions,
            by_type: HashMap::new(),
        })
    }

    /// Whether the table may be used under `lock`.
    pub(super) fn is_current(&self, lock: &EnvironmentLock) -> bool {
        self.version == lock.endpoints_version
    }

    /// Calls `found` with each endpoint that gets the event.
    pub(super) fn targets(&mut self, event: &NewEvent, mut found: impl FnMut(EndpointId)) {
        if let Audience::Only(endpoint) = event.audience {
            found(endpoint);
            return;
        }
        if !self.by_type.contains_key(&event.event_type) {
            self.remember(&event.event_type);
        }
        let matching = self
            .by_type
            .get(&event.event_type)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for subscription in matching
            .iter()
            .filter_map(|&index| self.subscriptions.get(index))
        {
            if subscription.organization.is_none()
                || subscription.organization == event.organization
            {
                found(subscription.endpoint);
            }
        }
    }

    fn remember(&mut self, event_type: &EventType) {
        if self.by_type.len() >= TYPES_MAX {
            self.by_type.clear();
        }
        let wants = |subscription: &Subscription| {
            subscription.patterns.is_empty()
                || subscription
                    .patterns
                    .iter()
                    .any(|pattern| pattern.matches(event_type))
        };
        let matching = self
            .subscriptions
            .iter()
            .enumerate()
            .filter(|(_, subscription)| wants(subscription))
            .map(|(index, _)| index);
        let matching = matching.collect();
        self.by_type.insert(event_type.clone(), matching);
    }
}

/// Fan-out tables by environment.
pub(super) type Fanouts = HashMap<EnvironmentId, Fanout>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventPattern;
    use crate::domain::id::OrganizationId;

    fn new_event(event_type: &str, organization: Option<OrganizationId>) -> NewEvent {
        NewEvent {
            event_type: EventType::parse("event", event_type).expect("a type"),
            data: "{}".into(),
            context: "{}".into(),
            organization,
            audience: Audience::Subscribers,
        }
    }

    fn subscription(
        number: u128,
        pattern: Option<&str>,
        organization: Option<OrganizationId>,
    ) -> Subscription {
        let pattern = pattern.map(|text| EventPattern::parse("events", text).expect("a pattern"));
        Subscription {
            endpoint: EndpointId::at(1, number),
            patterns: pattern.into_iter().collect(),
            organization,
        }
    }

    fn targets(fanout: &mut Fanout, event: &NewEvent) -> Vec<EndpointId> {
        let mut found = Vec::new();
        fanout.targets(event, |endpoint| found.push(endpoint));
        found
    }

    #[test]
    fn an_event_goes_to_matching_endpoints_of_its_organization_and_of_none() {
        let (one, other) = (OrganizationId::at(1, 1), OrganizationId::at(1, 2));
        let subscriptions = vec![
            subscription(1, Some("invoice.*"), None),
            subscription(2, Some("invoice.paid"), Some(one)),
            subscription(3, None, Some(other)),
            subscription(4, Some("user.created"), None),
        ];
        let mut fanout = Fanout {
            version: 1,
            subscriptions,
            by_type: HashMap::new(),
        };
        let endpoint = |number| EndpointId::at(1, number);

        for _again in 0..2 {
            assert_eq!(
                targets(&mut fanout, &new_event("invoice.paid", Some(one))),
                [endpoint(1), endpoint(2)]
            );
            assert_eq!(
                targets(&mut fanout, &new_event("invoice.paid", None)),
                [endpoint(1)]
            );
            assert_eq!(
                targets(&mut fanout, &new_event("user.created", Some(other))),
                [endpoint(3), endpoint(4)]
            );
        }
    }

    #[test]
    fn an_event_for_one_endpoint_goes_to_it_alone() {
        let subscriptions = vec![subscription(1, None, None)];
        let mut fanout = Fanout {
            version: 1,
            subscriptions,
            by_type: HashMap::new(),
        };
        let event = NewEvent {
            audience: Audience::Only(EndpointId::at(1, 9)),
            ..new_event("a", None)
        };

        assert_eq!(targets(&mut fanout, &event), [EndpointId::at(1, 9)]);
    }
}
