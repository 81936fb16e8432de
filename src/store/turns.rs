//! Turns: of all transactions of a process, one at a time waits for an environment's lock or holds it.
//!
//! Invariant: a server that freezes keeps an environment's lock from the others once, until Postgres ends its idle
//! transaction. Without turns each of its transactions that waited in line would be given the lock in its time, and
//! keep it as long. Order and safety rest on the lock alone: a turn that does not come is not waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Line, OwnedMutexGuard};

use crate::domain::id::EnvironmentId;

/// How long a turn is waited for: somebody in front may wait for a connection that answers no more.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Who is next, by environment. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Turns {
    lines: Arc<Mutex<HashMap<EnvironmentId, Arc<Line<()>>>>>,
}

/// The turn to take an environment's lock; ends when dropped, which is after the transaction has ended.
#[must_use = "a turn ends when it is dropped"]
pub struct Turn {
    environment: EnvironmentId,
    turns: Turns,
    front: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    fn lines(&self) -> MutexGuard<'_, HashMap<EnvironmentId, Arc<Line<()>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of an environment, a bounded time.
    pub(super) async fn of(&self, environment: EnvironmentId) -> Turn {
        let mut turn = Turn {
            environment,
            turns: self.clone(),
            front: None,
        };
        let line = self.lines().entry(environment).or_default().clone();
        let front = tokio::time::timeout(WAIT_MAX, line.lock_owned()).await;
        turn.front = front.ok();
        turn
    }
}

impl Turn {
    pub const fn environment(&self) -> EnvironmentId {
        self.environment
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.front = None;
        let mut lines = self.turns.lines();
        // Whoever waits has a hold of the line, and took it under this mutex.
        let line = lines.get(&self.environment);
        if line.is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.environment);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join;
    use tokio::time::Instant;

    use super::*;

    const HERE: EnvironmentId = EnvironmentId::at(1, 1);
    const THERE: EnvironmentId = EnvironmentId::at(1, 2);

    #[tokio::test]
    async fn one_at_a_time_has_the_turn_of_an_environment() {
        let turns = Turns::default();
        let first = turns.of(HERE).await;
        let mut second = Box::pin(turns.of(HERE));

        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(turns.of(THERE).await.environment(), THERE);
        drop(first);
        assert_eq!(second.await.environment(), HERE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_is_not_waited_for() {
        let turns = Turns::default();
        let (began, _stuck) = (Instant::now(), turns.of(HERE).await);

        let (second, third) = join(turns.of(HERE), turns.of(HERE)).await;

        assert_eq!(began.elapsed(), WAIT_MAX);
        assert!(second.front.is_none() && third.front.is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_turns_that_have_ended() {
        let turns = Turns::default();
        let first = turns.of(HERE).await;
        let mut given_up = Box::pin(turns.of(HERE));
        assert!(given_up.as_mut().now_or_never().is_none());

        drop(first);
        drop(given_up);

        assert!(turns.lines().is_empty());
    }
}
