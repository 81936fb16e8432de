//! Replays: old events sent to one endpoint again, or for the first time, as a job that keeps to a rate.
//!
//! Invariant: what a replay is about is settled when it is asked for, so every replay ends. An event is looked at
//! once. Which deliveries are made, and when the next may be, is decided here; nothing is stored or sent.

use chrono::{DateTime, TimeDelta, Utc};

use super::id::{DeliveryId, EndpointId, EventId, ReplayId};
use super::limits::REPLAY_RATE_MAX;
use super::time::millis;

/// Deliveries that one transaction makes, at most: few, because nothing is recorded meanwhile.
const BITE_MAX: u32 = 200;

/// Which events of the range are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayScope {
    /// Those that were sent to the endpoint and never reached it: exhausted, or expired while they were held.
    Failed,
    /// Those that the endpoint wants as it is now and has not got, sent to it before or not.
    Missing,
    /// Those that the endpoint wants as it is now, though it has got them.
    All,
}

impl ReplayScope {
    pub const ALL: [Self; 3] = [Self::Failed, Self::Missing, Self::All];

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::All => "all",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// Whether an event that stands so with the endpoint is sent; what is pending is on its way already.
    pub const fn sends(self, standing: &Standing) -> bool {
        let lacks = !standing.is_delivered;
        let may = standing.is_kept && !standing.is_pending;
        match self {
            Self::Failed => may && lacks && standing.failed.is_some(),
            Self::Missing => may && lacks,
            Self::All => may,
        }
    }
}

/// Where an event stands with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The event is still there.
    pub is_kept: bool,
    pub is_pending: bool,
    pub is_delivered: bool,
    /// The last delivery of it that failed before the replay was asked for.
    pub failed: Option<DeliveryId>,
    /// The last delivery of it that ended.
    pub last: Option<DeliveryId>,
}

impl Standing {
    /// Of an event that was never sent to the endpoint.
    pub const NEW: Self = Self {
        is_kept: true,
        is_pending: false,
        is_delivered: false,
        failed: None,
        last: None,
    };
}

/// Where a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// Asked for, and not begun.
    Pending,
    Running,
    /// Every delivery is made; what becomes of each is the delivery's own affair.
    Completed,
    /// Somebody stopped it; what it had made stays.
    Cancelled,
    /// It could not go on.
    Failed(ReplayFailure),
}

impl ReplayState {
    /// Both words that are kept, and the reason.
    pub const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Pending => ("pending", None),
            Self::Running => ("running", None),
            Self::Completed => ("completed", None),
            Self::Cancelled => ("cancelled", None),
            Self::Failed(failure) => ("failed", Some(failure.as_str())),
        }
    }

    pub fn parse(word: &str, failure: Option<&str>) -> Option<Self> {
        match (word, failure) {
            ("pending", None) => Some(Self::Pending),
            ("running", None) => Some(Self::Running),
            ("completed", None) => Some(Self::Completed),
            ("cancelled", None) => Some(Self::Cancelled),
            ("failed", Some(failure)) => ReplayFailure::parse(failure).map(Self::Failed),
            _ => None,
        }
    }

    /// Whether deliveries may still be made.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// Why a replay could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFailure {
    EndpointDeleted,
    EndpointDisabled,
}

impl ReplayFailure {
    pub const ALL: [Self; 2] = [Self::EndpointDeleted, Self::EndpointDisabled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|failure| failure.as_str() == word)
    }
}

/// Which events are meant: published from one time to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRange {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl ReplayRange {
    /// The first id that an event of the range can have, and the first after it; the same times bound the ids of
    /// their deliveries.
    pub fn event_ids(&self) -> (EventId, EventId) {
        let whole = self
            .start
            .timestamp_subsec_nanos()
            .is_multiple_of(1_000_000);
        let start = millis(self.start) + u64::from(!whole);
        let end = millis(self.end).saturating_add(1);
        (EventId::at(start, 0), EventId::at(end, 0))
    }
}

/// Which replays are meant, before anything is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRequest {
    pub endpoint: EndpointId,
    pub scope: ReplayScope,
    pub start: DateTime<Utc>,
    /// `None`, or a time to come: until now.
    pub end: Option<DateTime<Utc>>,
    /// Deliveries a second.
    pub rate: u32,
}

/// How many deliveries a replay would make now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayCount {
    pub count: u64,
    /// There are more, perhaps: counting them takes longer than a caller waits.
    pub at_least: bool,
}

/// What a replay would be.
#[derive(Debug, Clone, Copy)]
pub struct ReplayPreview {
    pub endpoint: EndpointId,
    pub scope: ReplayScope,
    pub range: ReplayRange,
    pub rate: u32,
    pub total: ReplayCount,
}

/// A replay as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    pub id: ReplayId,
    pub endpoint: EndpointId,
    pub scope: ReplayScope,
    pub range: ReplayRange,
    pub rate: u32,
    pub state: ReplayState,
    /// When it was asked for.
    pub total: ReplayCount,
    pub made: u64,
    /// The events until this time are done.
    pub done_through: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Replay {
    /// How much of the range is behind it, in thousandths.
    ///
    /// Shape: by the count while that is the whole one, else by time.
    pub fn per_mille(&self) -> u64 {
        if self.state == ReplayState::Completed {
            return 1_000;
        }
        let share = |part: u64, whole: u64| (part.saturating_mul(1_000) / whole.max(1)).min(999);
        if !self.total.at_least {
            return share(self.made, self.total.count);
        }
        let start = millis(self.range.start);
        let done = self
            .done_through
            .map_or(0, |time| millis(time).saturating_sub(start));
        share(done, millis(self.range.end).saturating_sub(start))
    }
}

/// How many deliveries a replay makes at once: half a second's worth.
pub fn bite(rate: u32) -> u32 {
    (rate.min(REPLAY_RATE_MAX) / 2).clamp(1, BITE_MAX)
}

/// How long a replay rests after it has made some, so that it keeps to its rate.
pub fn rest(rate: u32, made: u32) -> TimeDelta {
    let micros = u64::from(made) * 1_000_000 / u64::from(rate.max(1));
    TimeDelta::microseconds(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::from_millis;

    const NEW: Standing = Standing::NEW;

    fn failed() -> Standing {
        let delivery = Some(DeliveryId::at(1, 1));
        Standing {
            failed: delivery,
            last: delivery,
            ..NEW
        }
    }

    /// Whether `failed`, `missing` and `all` send it.
    fn sent(standing: Standing) -> [bool; 3] {
        ReplayScope::ALL.map(|scope| scope.sends(&standing))
    }

    #[test]
    fn each_scope_sends_what_it_is_named_after() {
        let delivered = |standing| Standing {
            is_delivered: true,
            ..standing
        };

        assert_eq!(sent(NEW), [false, true, true]);
        assert_eq!(sent(failed()), [true, true, true]);
        assert_eq!(sent(delivered(NEW)), [false, false, true]);
        assert_eq!(sent(delivered(failed())), [false, false, true]);
    }

    #[test]
    fn what_is_on_its_way_or_gone_is_never_sent() {
        for standing in [NEW, failed()] {
            let pending = Standing {
                is_pending: true,
                ..standing
            };
            let gone = Standing {
                is_kept: false,
                ..standing
            };
            assert_eq!([sent(pending), sent(gone)], [[false; 3]; 2]);
        }
    }

    #[test]
    fn every_state_reads_back() {
        let failures = ReplayFailure::ALL.map(ReplayState::Failed);
        let states = [
            ReplayState::Pending,
            ReplayState::Running,
            ReplayState::Completed,
            ReplayState::Cancelled,
        ];
        for state in states.into_iter().chain(failures) {
            let (word, failure) = state.words();
            assert_eq!(ReplayState::parse(word, failure), Some(state));
        }
        assert_eq!(ReplayState::parse("failed", None), None);
        assert_eq!(
            ReplayState::parse("running", Some("endpoint_deleted")),
            None
        );
    }

    #[test]
    fn a_range_holds_both_of_its_ends() {
        let range = ReplayRange {
            start: from_millis(1_000),
            end: from_millis(2_000),
        };
        let (first, after) = range.event_ids();

        assert!(first <= EventId::at(1_000, 0) && EventId::at(999, u128::MAX) < first);
        assert!(EventId::at(2_000, u128::MAX) < after && after <= EventId::at(2_001, 0));
    }

    proptest! {
        #[test]
        fn no_rate_is_exceeded_over_a_long_run(rate in 1_u32..=REPLAY_RATE_MAX) {
            let bite = bite(rate);
            let seconds = rest(rate, bite).as_seconds_f64();

            prop_assert!((1..=BITE_MAX).contains(&bite));
            // No more than a microsecond in each bite is lost to rounding.
            prop_assert!(f64::from(bite) / (seconds + 0.000_001) <= f64::from(rate));
        }
    }
}
