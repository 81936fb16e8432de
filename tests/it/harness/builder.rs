//! How a test describes the platform that it needs.

use std::sync::Arc;
use std::time::Duration;

use tidings::config::Config;
use tidings::config::load::load_from;
use tidings::domain::retry::RetrySchedule;
use tidings::domain::time::Clock;

use super::{Database, TestPlatform};

/// Says what differs from the usual: a manual clock, no dispatcher, loopback allowed.
pub(crate) struct Builder {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) dispatching: bool,
    pub(super) database: Option<Arc<Database>>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut config = load_from(None, [], &[]).unwrap().config;
        config.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.database.connections_max = 10;
        // the tests' own server does not wait for the disk
        config.database.unsafe_durability = true;
        Self {
            config,
            // the present, because receivers compare a signature's time with their own clock
            clock: Clock::manual(Clock::System.now()),
            dispatching: false,
            database: None,
        }
    }

    pub(crate) fn retry_delays<const N: usize>(mut self, seconds: [u64; N]) -> Self {
        let delays = seconds.map(Duration::from_secs).to_vec();
        self.config.delivery.retry_schedule = RetrySchedule::new(delays).unwrap();
        self
    }

    pub(crate) fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Runs the real dispatcher, with its hand-off, by the machine's clock.
    pub(crate) fn dispatching(mut self) -> Self {
        self.dispatching = true;
        self.clock = Clock::System;
        self
    }

    /// Goes by the machine's clock.
    pub(crate) fn in_real_time(mut self) -> Self {
        self.clock = Clock::System;
        self
    }

    /// Another server on the same database, which goes by the same clock.
    pub(crate) fn beside(mut self, other: &TestPlatform) -> Self {
        self.clock = other.clock.clone();
        self.database = Some(other.database.clone());
        self
    }

    pub(crate) async fn start(self) -> TestPlatform {
        TestPlatform::start(self).await
    }
}
