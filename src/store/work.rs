//! Work: what connections are used for, and how long each kind may take.
//!
//! Invariant: each kind has connections of its own, so that slow reads of one caller, or a table that upkeep waits
//! for, hold none that recording and delivering need. Every wait ends: on the server by its limits, and where the
//! server does not answer at all, here, a moment later.

use std::time::Duration;

/// Who uses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Recording and delivering, and what every request needs first.
    Record,
    /// Everything else that callers ask for.
    Request,
    /// What happens from time to time.
    Upkeep,
}

/// How much later than the server the client gives up.
const LATER: Duration = Duration::from_secs(2);

impl Work {
    /// How many of a process's `connections_max` are this kind's; each kind has one at least.
    pub(super) const fn share(self, connections_max: u32) -> u32 {
        let upkeep = bounded(connections_max / 5, 4);
        let request = bounded(connections_max / 3, u32::MAX);
        match self {
            Self::Upkeep => upkeep,
            Self::Request => request,
            Self::Record => bounded(connections_max.saturating_sub(upkeep + request), u32::MAX),
        }
    }

    /// How long one statement may run.
    const fn statement(self) -> Duration {
        Duration::from_secs(match self {
            Self::Record | Self::Request => 10,
            Self::Upkeep => 60,
        })
    }

    /// How long one statement may wait for a lock: longer than a frozen holder keeps it.
    const fn lock(self) -> Duration {
        Duration::from_secs(match self {
            Self::Record | Self::Request => 7,
            Self::Upkeep => 10,
        })
    }

    /// How long a statement may take until its last row is here.
    pub(super) const fn answer_within(self) -> Duration {
        self.statement().saturating_add(LATER)
    }

    /// What every session is told. A frozen holder of a lock loses it after five seconds, a host that has vanished
    /// after ten. The order of the feed stands on READ COMMITTED: a statement after the lock must see what the
    /// lock's last holder wrote, whatever the server's default is. Every look-up has its index; a table that is read
    /// whole because it was small when a statement was first planned would still be read whole when it is large. No statement is worth
    /// processes of its own.
    pub(super) fn session(self) -> String {
        format!(
            "SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = '{}s'; \
             SET lock_timeout = '{}s'; SET default_transaction_isolation = 'read committed'; \
             SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
             SET tcp_keepalives_count = 3; SET tcp_user_timeout = '10s'; \
             SET TIME ZONE 'UTC'; SET jit = off; SET enable_seqscan = off; \
             SET max_parallel_workers_per_gather = 0",
            self.statement().as_secs(),
            self.lock().as_secs()
        )
    }
}

/// At least one, at most `max`.
const fn bounded(count: u32, max: u32) -> u32 {
    match count {
        0 => 1,
        _ if count > max => max,
        _ => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_and_none_is_without() {
        for (max, shares) in [
            (1, [1, 1, 1]),
            (5, [3, 1, 1]),
            (20, [10, 6, 4]),
            (60, [36, 20, 4]),
        ] {
            let [record, request, upkeep] = shares;
            assert_eq!(Work::Record.share(max), record, "{max}");
            assert_eq!(Work::Request.share(max), request, "{max}");
            assert_eq!(Work::Upkeep.share(max), upkeep, "{max}");
        }
    }

    #[test]
    fn a_lock_is_waited_for_longer_than_a_frozen_holder_keeps_it() {
        for work in [Work::Record, Work::Request, Work::Upkeep] {
            assert!(work.lock() > Duration::from_secs(5));
            assert!(work.statement() > work.lock());
            assert!(work.answer_within() > work.statement());
        }
    }
}
