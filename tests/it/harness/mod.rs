//! The harness: a real database, a real platform and real receivers for every test.
//!
//! Nothing is mocked and nothing sleeps: time moves by `platform.clock.advance(..)`, work by
//! `platform.dispatch_due()`, and what happens by itself is waited for with [`eventually`].

mod builder;
mod client;
mod database;
mod platform;
mod receiver;

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use builder::Builder;
pub(crate) use client::{Client, Reply};
pub(crate) use database::Database;
pub(crate) use platform::TestPlatform;
pub(crate) use receiver::{Answer, Receiver, Request};

/// How long anything may take that should happen by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until `look` sees what it wants; the only place of the tests that waits.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // before the first tick: a timer's least is a millisecond, which whoever finds it done at once need not pay
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {what}"
        );
        ticks.tick().await;
    }
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn minutes(count: u64) -> Duration {
    seconds(60 * count)
}

pub(crate) fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

/// A fresh number in `[0, bound)`, for loads that should not be alike.
pub(crate) fn chance(bound: usize) -> usize {
    rand::random_range(0..bound)
}
