//! Why an endpoint is slow: what is owed to it, what its last attempts came to, and one word for it all.
//!
//! Invariant: the word follows from the figures that are shown beside it. Does not decide anything about deliveries.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::breaker::BreakerState;
use super::endpoint::Endpoint;

/// Owed deliveries that are counted; beyond, it is only known that there are more.
pub const PENDING_COUNTED_MAX: i64 = 10_000;
/// Attempts that count as recent.
pub const RECENT_ATTEMPTS_MAX: i64 = 100;
/// From when on most answers are slow.
const SLOW_AFTER: Duration = Duration::from_secs(5);
/// From when on something that is due and not claimed counts as left behind.
const BEHIND_AFTER: TimeDelta = TimeDelta::seconds(10);

/// What is owed to an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// At most [`PENDING_COUNTED_MAX`].
    pub count: u64,
    pub has_more: bool,
    /// In the hands of a server: being sent, or about to be.
    pub claimed: u64,
    /// Of those that are in nobody's hands, the one that is due first.
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// What the last attempts came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    pub since: Option<DateTime<Utc>>,
    pub accepted: u64,
    pub refused: u64,
    pub timed_out: u64,
    pub unreachable: u64,
    pub forbidden: u64,
    pub median: Option<Duration>,
    pub longest: Option<Duration>,
}

impl Recent {
    pub const fn count(&self) -> u64 {
        self.accepted + self.refused + self.timed_out + self.unreachable + self.forbidden
    }
}

/// One word for how an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Disabled,
    /// Its breaker is open: it is left alone until the next probe.
    Paused,
    /// It has answered again, and is sent more and more.
    Recovering,
    /// Most of its last attempts failed.
    Failing,
    /// Most of its answers take long.
    Slow,
    /// Something is due and waits for its turn.
    Behind,
    Well,
}

impl Condition {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Paused => "paused",
            Self::Recovering => "recovering",
            Self::Failing => "failing",
            Self::Slow => "slow",
            Self::Behind => "behind",
            Self::Well => "well",
        }
    }
}

/// How an endpoint does.
#[derive(Debug, Clone)]
pub struct EndpointHealth {
    pub endpoint: Endpoint,
    pub breaker: BreakerState,
    pub pending: Pending,
    pub recent: Recent,
}

impl EndpointHealth {
    /// The first that holds.
    pub fn condition(&self, now: DateTime<Utc>) -> Condition {
        let failed = self.recent.count() - self.recent.accepted;
        let is_behind = |due_at: DateTime<Utc>| now - due_at >= BEHIND_AFTER;
        if !self.endpoint.is_enabled() {
            return Condition::Disabled;
        }
        match self.breaker {
            BreakerState::Open { .. } => Condition::Paused,
            BreakerState::HalfOpen { .. } => Condition::Recovering,
            BreakerState::Closed if failed > self.recent.accepted => Condition::Failing,
            BreakerState::Closed if self.recent.median > Some(SLOW_AFTER) => Condition::Slow,
            BreakerState::Closed if self.pending.oldest_due_at.is_some_and(is_behind) => {
                Condition::Behind
            }
            BreakerState::Closed => Condition::Well,
        }
    }
}
