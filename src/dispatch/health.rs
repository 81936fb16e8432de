//! Health: what attempts say about their endpoints.
//!
//! Invariant: an endpoint is judged by what it was when the attempt was made; if it is something else by now,
//! nothing changes. The event that says that it is disabled goes to whoever is still enabled, so endpoints that fail
//! on it cannot disable each other without an end. Noting never keeps settling waiting: news that finds no room comes
//! again with the next attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::courier::Courier;
use crate::domain::breaker::BreakerState;
use crate::domain::delivery::Health;
use crate::domain::endpoint::{DisabledReason, Endpoint, FAILING_FOR_MAX};
use crate::store::StoreError;
use crate::store::handoff::EndpointKey;

/// News that may wait.
const WAITING_MAX: usize = 1_024;
/// How long stopping waits for news to be noted.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Something about an endpoint that its row does not say yet.
#[derive(Debug)]
pub(super) struct News {
    /// As it was when the attempt was made.
    endpoint: Arc<Endpoint>,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    FailingSince(Option<DateTime<Utc>>),
    Disable(DisabledReason),
    /// As its breaker stands when this is written.
    Breaker,
}

impl News {
    /// The row of this endpoint's breaker says something else, or nothing.
    pub(super) const fn of_breaker(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            change: Change::Breaker,
        }
    }
}

/// What a batch says about its endpoints: of each, what weighs most.
pub(super) fn news_of(seen: Vec<(Health, Arc<Endpoint>)>, now: DateTime<Utc>) -> Vec<News> {
    let mut folded: BTreeMap<_, (Health, Arc<Endpoint>)> = BTreeMap::new();
    for (health, endpoint) in seen {
        let key = (endpoint.environment, endpoint.id);
        match folded.get(&key) {
            Some((before, _)) if weight(*before) > weight(health) => {}
            _ => {
                folded.insert(key, (health, endpoint));
            }
        }
    }
    let news = |(health, endpoint): (Health, Arc<Endpoint>)| {
        change(health, endpoint.failing_since, now).map(|change| News { endpoint, change })
    };
    folded.into_values().filter_map(news).collect()
}

/// One "never again" outweighs all, and one success any number of failures.
const fn weight(health: Health) -> u8 {
    match health {
        Health::Failing => 0,
        Health::Well => 1,
        Health::Gone => 2,
    }
}

/// What has to be written when an endpoint that fails `since` then shows this health.
fn change(health: Health, since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Change> {
    match (health, since) {
        (Health::Gone, _) => Some(Change::Disable(DisabledReason::Gone)),
        (Health::Well, None) => None,
        (Health::Well, Some(_)) => Some(Change::FailingSince(None)),
        (Health::Failing, None) => Some(Change::FailingSince(Some(now))),
        (Health::Failing, Some(since)) => {
            has_failed_for_too_long(since, now).then_some(Change::Disable(DisabledReason::Failing))
        }
    }
}

fn has_failed_for_too_long(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - since)
        .to_std()
        .is_ok_and(|failing_for| failing_for >= FAILING_FOR_MAX)
}

/// A task that notes news.
pub(super) struct Noting {
    news: mpsc::Sender<News>,
    task: JoinHandle<()>,
}

impl Noting {
    #[expect(
        clippy::disallowed_methods,
        reason = "settling owns this task and waits for it in `finish`"
    )]
    pub(super) fn start(courier: Arc<Courier>) -> Self {
        let (news, mut waiting) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            while let Some(one) = waiting.recv().await {
                note(&courier, &one).await;
            }
        });
        Self { news, task }
    }

    pub(super) fn note(&self, news: News) {
        if let Err(
            mpsc::error::TrySendError::Closed(news) | mpsc::error::TrySendError::Full(news),
        ) = self.news.try_send(news)
        {
            tracing::warn!(endpoint.id = %news.endpoint.id, "health of an endpoint not noted; the next attempt says it again");
        }
    }

    /// Notes what waits, within a bounded time.
    pub(super) async fn finish(self) {
        let Self { news, mut task } = self;
        drop(news);
        match tokio::time::timeout(FINISH_WITHIN, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "noting health ended badly"),
            Err(_elapsed) => task.abort(),
        }
    }
}

/// Writes one piece of news.
pub(super) async fn note(courier: &Courier, news: &News) {
    let endpoint = &*news.endpoint;
    let noted = match news.change {
        Change::FailingSince(since) => {
            let ledger = &courier.world.ledger;
            ledger.set_failing_since(endpoint, since).await
        }
        Change::Disable(reason) => disable(courier, endpoint, reason).await,
        Change::Breaker => write_breaker(courier, (endpoint.environment, endpoint.id)).await,
    };
    if let Err(error) = noted {
        tracing::warn!(endpoint.id = %endpoint.id, error = %error, "health of an endpoint not noted");
    }
}

async fn write_breaker(courier: &Courier, key: EndpointKey) -> Result<(), StoreError> {
    let state = courier.breakers.state(key);
    courier.world.ledger.set_breaker(key, state).await?;
    courier.breakers.written(key, state);
    if let BreakerState::Open { since, probe_at } = state {
        tracing::info!(endpoint.id = %key.1, %since, %probe_at, "endpoint fails; it is left alone for a while");
    }
    Ok(())
}

async fn disable(
    courier: &Courier,
    endpoint: &Endpoint,
    reason: DisabledReason,
) -> Result<(), StoreError> {
    if courier.world.ledger.disable(endpoint, reason).await? {
        courier.handoff.wake();
        tracing::warn!(endpoint.id = %endpoint.id, reason = reason.as_str(), "endpoint disabled");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::{EndpointState, Secrets};
    use crate::domain::id::{EndpointId, EnvironmentId};
    use crate::domain::signature::SigningSecret;
    use crate::domain::time::from_millis;

    fn endpoint() -> Endpoint {
        Endpoint {
            environment: EnvironmentId::at(1, 1),
            id: EndpointId::at(1, 1),
            url: "https://example.com/".to_owned(),
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

    fn changes(since: Option<DateTime<Utc>>, healths: &[Health]) -> Vec<Change> {
        let endpoint = Arc::new(Endpoint {
            failing_since: since,
            ..endpoint()
        });
        let seen = healths
            .iter()
            .map(|health| (*health, endpoint.clone()))
            .collect();
        let news = news_of(seen, from_millis(1_000));
        news.into_iter().map(|news| news.change).collect()
    }

    #[test]
    fn of_a_batch_gone_counts_most_and_then_well_in_whatever_order() {
        use Health::{Failing, Gone, Well};
        let since = Some(from_millis(500));
        let gone = [Change::Disable(DisabledReason::Gone)];

        for batch in [
            [Gone, Well, Failing],
            [Failing, Gone, Well],
            [Well, Failing, Gone],
        ] {
            assert_eq!(changes(since, &batch), gone);
        }
        for batch in [[Well, Failing], [Failing, Well]] {
            assert_eq!(changes(since, &batch), [Change::FailingSince(None)]);
            assert_eq!(changes(None, &batch), []);
        }
        assert_eq!(changes(since, &[Failing]), []);
        assert_eq!(
            changes(None, &[Failing, Failing]),
            [Change::FailingSince(Some(from_millis(1_000)))]
        );
    }
}
