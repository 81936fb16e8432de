//! Gathering: when it pays to wait a moment for a fuller batch.
//!
//! Invariant: where there is little load nobody waits. Callers that were answered together tend to come again
//! together, a moment later; a batch that begins before they are back leaves them to the next one, and makes two
//! commits of what could be one. When they do not come back the wait was for nothing, and is left out for a while.
//! A batch with much to write is followed by no wait either: its commit is the smaller part of what it takes, and
//! those who are not back yet can prepare while the next one is written.

use std::time::Duration;

/// Requests in a batch from which on the next one is worth a wait.
const WORTH_FROM: usize = 4;
/// Rows of a batch up to which its commit is what it costs.
const WORTH_TO_ROWS: usize = 128;
/// How long a batch waits at most; timers have steps of a millisecond.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(1);
/// After waits for nothing, so many batches go without: twice as many each time, up to two to the power of this.
const DOUBLINGS_MAX: u32 = 6;

/// What was learned from the waits of one queue.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Batches that go without.
    skipped: u32,
    /// Waits for nothing, one after the other.
    in_vain: u32,
}

impl Gathering {
    /// How many requests to wait for, after a batch that answered `answered`, wrote about `rows`, and while
    /// `waiting` have come already.
    ///
    /// Shape: most of those that were answered; waiting for the last of them would cost more than it saves.
    pub(super) fn wanted(&mut self, answered: usize, rows: usize, waiting: usize) -> Option<usize> {
        if answered < WORTH_FROM || rows > WORTH_TO_ROWS {
            return None;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        Some(waiting + answered - answered / 4)
    }

    /// Learns whether they came in time.
    pub(super) fn ended(&mut self, came: bool) {
        self.in_vain = match came {
            true => 0,
            false => (self.in_vain + 1).min(DOUBLINGS_MAX),
        };
        self.skipped = (1 << self.in_vain) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_is_followed_by_no_wait() {
        assert_eq!(Gathering::default().wanted(3, 3, 50), None);
    }

    #[test]
    fn a_batch_with_much_to_write_is_followed_by_no_wait() {
        assert_eq!(Gathering::default().wanted(16, 129, 0), None);
    }

    #[test]
    fn a_batch_waits_for_most_of_those_that_were_answered() {
        let mut gathering = Gathering::default();

        assert_eq!(gathering.wanted(8, 8, 8), Some(14));
        gathering.ended(true);
        assert_eq!(gathering.wanted(16, 16, 0), Some(12));
    }

    #[test]
    fn waits_for_nothing_become_rare_until_one_pays() {
        let mut gathering = Gathering::default();
        let waits = |gathering: &mut Gathering| {
            let batches = (0..200).filter(|_| {
                let waits = gathering.wanted(8, 8, 0).is_some();
                if waits {
                    gathering.ended(false);
                }
                waits
            });
            batches.count()
        };
        assert!(waits(&mut gathering) <= 9);

        while gathering.wanted(8, 8, 0).is_none() {}
        gathering.ended(true);

        assert!(gathering.wanted(8, 8, 0).is_some());
    }
}
