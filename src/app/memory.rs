//! Memory: what was read a moment ago, so that it is not read for every event.
//!
//! Invariant: what is answered was read less than a second ago, or after the last change that this process made,
//! or can never change. Bounded: when it is full, all is forgotten and read again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How old an answer may be that can change.
const FRESH_FOR: Duration = Duration::from_millis(900);
/// How many answers are remembered.
const ENTRIES_MAX: usize = 5_000;

/// Answers by what was asked. An answer is cheap to clone.
pub(super) struct Memory<K, V>(Mutex<Inner<K, V>>);

struct Inner<K, V> {
    /// With the end of an answer's life; `None`: it can never change.
    entries: HashMap<K, (V, Option<Instant>)>,
    /// Counts the changes of this process: a read that began before a change must not be remembered after it.
    changes: u64,
}

/// When a read began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    at: Instant,
    changes: u64,
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Shortly,
    Forever,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            entries: HashMap::new(),
            changes: 0,
        }))
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    fn inner(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before what will be remembered is read.
    pub(super) fn begin(&self) -> Begun {
        Begun {
            at: Instant::now(),
            changes: self.inner().changes,
        }
    }

    pub(super) fn recall(&self, key: &K) -> Option<V> {
        let inner = self.inner();
        let (value, until) = inner.entries.get(key)?;
        let holds = until.is_none_or(|until| Instant::now() < until);
        holds.then(|| value.clone())
    }

    pub(super) fn remember(&self, begun: Begun, key: K, value: V, holds: Holds) {
        let mut inner = self.inner();
        if inner.changes != begun.changes {
            return;
        }
        if inner.entries.len() >= ENTRIES_MAX {
            inner.entries.clear();
        }
        let until = (holds == Holds::Shortly).then(|| begun.at + FRESH_FOR);
        inner.entries.insert(key, (value, until));
    }

    /// Forgets what this process has changed; to be called after the commit.
    pub(super) fn forget(&self, key: &K) {
        let mut inner = self.inner();
        inner.changes += 1;
        inner.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_for_less_than_a_second_unless_it_holds_forever() {
        let memory = Memory::default();
        memory.remember(memory.begin(), "changes", 1, Holds::Shortly);
        memory.remember(memory.begin(), "stays", 2, Holds::Forever);

        assert_eq!(memory.recall(&"changes"), Some(1));
        tokio::time::advance(FRESH_FOR).await;

        assert_eq!(memory.recall(&"changes"), None);
        assert_eq!(memory.recall(&"stays"), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let memory = Memory::default();
        let begun = memory.begin();

        memory.forget(&"a");
        memory.remember(begun, "a", 1, Holds::Shortly);

        assert_eq!(memory.recall(&"a"), None);
    }
}
