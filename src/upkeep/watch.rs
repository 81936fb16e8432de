//! Watching what will hurt later: held snapshots, dead rows, weeks without partitions, rows that no week holds.
//!
//! Invariant: a warning is written when something begins to hurt and not again before it has ended, so that a log
//! can be read. What to do about each is in `docs/OPERATIONS.md`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::{Clock, to_text};
use crate::store::strain::{self, Strain};
use crate::store::{Store, StoreError, installation, partitions};

/// How long a snapshot may be held: what dies meanwhile is passed by every claim.
const SNAPSHOT_HELD_S_MAX: i64 = 15 * 60;
/// How many dead rows vacuum may be behind with in the outbox.
const DEAD_ROWS_MAX: i64 = 200_000;
/// How far ahead weeks have to be made: a week is left for whoever has to see to it.
const AHEAD: TimeDelta = TimeDelta::days(7);

/// What was found last time.
#[derive(Debug, Default)]
pub struct Watch {
    snapshot: bool,
    dead_rows: bool,
    partitions: bool,
}

impl Watch {
    /// Looks, and warns of what has begun since the last look.
    pub async fn look(&mut self, store: &Store, clock: &Clock) -> Result<(), StoreError> {
        let mut conn = store.conn().await?;
        let strain = strain::look(&mut conn).await?;
        let now = installation::time(&mut conn, clock.for_database()).await?;
        for message in self.news(&strain, now) {
            tracing::warn!(
                snapshot_held_s = strain.snapshot_held_s,
                outbox_dead_rows = strain.outbox_dead_rows,
                partitions_until = strain.partitions_until.map(to_text),
                "{message}"
            );
        }
        Ok(())
    }

    fn news(&mut self, strain: &Strain, now: DateTime<Utc>) -> Vec<&'static str> {
        let far_enough = |until: DateTime<Utc>| until - now >= AHEAD;
        let found = [
            (
                &mut self.snapshot,
                strain.snapshot_held_s > SNAPSHOT_HELD_S_MAX,
                "a transaction has been open for long, and vacuum cannot remove what died since",
            ),
            (
                &mut self.dead_rows,
                strain.outbox_dead_rows > DEAD_ROWS_MAX,
                "vacuum is behind with the outbox",
            ),
            (
                &mut self.partitions,
                !strain.partitions_until.is_some_and(far_enough),
                "the weeks ahead have no partitions",
            ),
        ];
        let begun = found.into_iter().filter_map(|(known, hurts, message)| {
            let before = std::mem::replace(known, hurts);
            (hurts && !before).then_some(message)
        });
        begun.collect()
    }
}

/// Warns of rows that no week holds: they were written by a wrong clock, or before their week was made.
pub(super) async fn default_partitions(store: &Store) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    for table in partitions::with_strays(&mut conn).await? {
        tracing::warn!(
            table,
            "the default partition holds rows; retention does not drop it"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_millis;

    #[test]
    fn a_warning_comes_once_when_something_begins_and_again_only_after_it_has_ended() {
        let now = from_millis(0);
        let fine = Strain {
            snapshot_held_s: SNAPSHOT_HELD_S_MAX,
            outbox_dead_rows: DEAD_ROWS_MAX,
            partitions_until: Some(now + AHEAD),
        };
        let held = Strain {
            snapshot_held_s: SNAPSHOT_HELD_S_MAX + 1,
            ..fine
        };
        let all = Strain {
            outbox_dead_rows: DEAD_ROWS_MAX + 1,
            partitions_until: Some(now + AHEAD - TimeDelta::seconds(1)),
            ..held
        };
        let nothing_made = Strain {
            partitions_until: None,
            ..fine
        };
        let mut watch = Watch::default();

        let steps = [&fine, &held, &held, &all, &all, &fine, &held, &nothing_made];
        let counts = steps.map(|strain| watch.news(strain, now).len());

        assert_eq!(counts, [0, 1, 0, 2, 0, 0, 1, 1]);
    }
}
