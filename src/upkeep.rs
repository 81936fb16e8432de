//! Upkeep: what has to happen from time to time, on one server at a time.
//!
//! Invariant: every step is safe to run twice and to break off; the leader lock only spares the work. Steps take
//! small bites, so that nobody waits for them. Does not touch what is due: that is dispatch.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use watch::Watch;

use crate::domain::delivery::CancelReason;
use crate::domain::id::{EnvironmentId, EventId};
use crate::domain::retry::RETRY_AFTER_FACTOR_MAX;
use crate::domain::time::{Clock, millis};
use crate::store::leader::{self, Duty};
use crate::store::outbox::Cancelled;
use crate::store::{
    self, Conn, Store, StoreError, audit_entries, audit_exports, environments, idempotency,
    installation, outbox, partitions, retention,
};

pub mod audit_retention;
pub mod checkpoints;
pub mod exports;
mod put_off;
pub mod redactions;
pub mod replays;
pub mod watch;

/// How often upkeep looks.
const ROUND: Duration = Duration::from_secs(60);
/// How often a server looks for jobs that another one has left unfinished; its own wake it at once. Seldom, because an
/// idle platform should cost nothing.
const JOBS_EVERY: Duration = Duration::from_secs(2);
/// How often it looks at partitions.
const PARTITIONS_EVERY: Duration = Duration::from_secs(3600);
/// What the clocks of this machine and of the database may differ by.
const CLOCK_SKEW_MAX: TimeDelta = TimeDelta::seconds(5);
/// Rows that one statement deletes or moves.
const BITE: i64 = 1_000;
/// Statements of one step in one round.
const BITES_MAX: usize = 200;
/// How long replays are shown that have ended.
const REPLAYS_FOR: TimeDelta = TimeDelta::days(90);
/// How long the file of an export is kept.
const EXPORTS_FOR: TimeDelta = TimeDelta::days(7);
/// Exports that one statement expires.
const EXPORTS_BITE: i64 = 10;

/// How much longer than its schedule can take a delivery may be put off by its endpoint's breaker, by a narrow lane
/// or by servers that are away.
const POSTPONED_FOR: TimeDelta = TimeDelta::days(1);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct UpkeepSettings {
    pub events_for: Duration,
    pub idempotency_keys_for: Duration,
    /// How long deliveries are held for a disabled endpoint.
    pub held_deliveries_for: Duration,
}

/// Keeps the database in order until `stop`.
pub async fn run(store: Store, clock: Clock, settings: UpkeepSettings, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leader: Option<Conn> = None;
    let mut partitions_at: Option<Instant> = None;
    let mut watch = Watch::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        report("the clock", compare_clocks(&store, &clock).await);
        match leader::lead(&store, Duty::Upkeep, leader.take()).await {
            Ok(Some(conn)) => leader = Some(conn),
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(error = %error, "upkeep is put off");
                continue;
            }
        }
        let partitions_due = partitions_at.is_none_or(|at| at.elapsed() >= PARTITIONS_EVERY);
        let round = async {
            if partitions_due {
                report("partitions", create_partitions(&store, &clock).await);
                report(
                    "default partitions",
                    watch::default_partitions(&store).await,
                );
                report("retention", drop_partitions(&store, &clock, settings).await);
                let entries = audit_retention::expire_entries(&store, &clock).await;
                report("audit retention", entries);
            }
            report("watch", watch.look(&store, &clock).await);
            report("sweep", sweep(&store, &clock, settings).await);
            report("exports", expire_exports(&store, &clock).await);
            report("searches", merge_searches(&store).await);
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = round => {}
        }
        if partitions_due {
            partitions_at = Some(Instant::now());
        }
    }
}

/// Warns when this machine's clock is not the database's: leases and schedules go by the database, signatures by the
/// machine that signs, and receivers refuse signatures that are minutes old.
async fn compare_clocks(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    if clock.for_database().is_some() {
        return Ok(());
    }
    let mut conn = store.conn().await?;
    let before = clock.now();
    let there = installation::time(&mut conn, None).await?;
    let skew = skew(before, there, clock.now());
    if skew > CLOCK_SKEW_MAX {
        let skew_ms = skew.num_milliseconds();
        tracing::warn!(skew_ms, "this machine's clock and the database's differ");
    }
    Ok(())
}

/// How far `there` is from the time between `before` and `after`, in either direction.
fn skew(before: DateTime<Utc>, there: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    TimeDelta::zero().max(before - there).max(there - after)
}

/// One step that fails does not keep the others from being done.
fn report(step: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::warn!(step, error = %error, "upkeep was not finished; it will be tried again");
    }
}

/// Makes the weeks ahead. What cannot be made now is made in a later round: its rows have the default partition.
pub async fn create_partitions(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let now = installation::time(&mut conn, clock.for_database()).await?;
    for week in partitions::create_ahead(&mut conn, now).await? {
        tracing::warn!(
            week,
            "partitions not made; their rows go to the default partition"
        );
    }
    Ok(())
}

/// Drops the weeks that retention has passed.
pub async fn drop_partitions(
    store: &Store,
    clock: &Clock,
    settings: UpkeepSettings,
) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let now = installation::time(&mut conn, clock.for_database()).await?;
    for week in partitions::ended_before(&mut conn, now - settings.events_for).await? {
        for environment in environments::all(&mut conn).await? {
            retention::mark_dropped(&mut conn, environment.id, week.next()).await?;
        }
        retention::drop_week(&mut conn, week).await?;
        tracing::info!(?week, "events dropped by retention");
    }
    Ok(())
}

/// Deletes idempotency keys and old replays, and cancels deliveries that will not be sent.
pub async fn sweep(
    store: &Store,
    clock: &Clock,
    settings: UpkeepSettings,
) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let now = installation::time(&mut conn, clock.for_database()).await?;
    for environment in environments::all(&mut conn).await? {
        let before = now - settings.idempotency_keys_for;
        for _ in 0..BITES_MAX {
            if idempotency::delete_before(&mut conn, environment.id, before, BITE).await? == 0 {
                break;
            }
        }
        let before = now - REPLAYS_FOR;
        store::replays::delete_before(&mut conn, environment.id, before, BITE).await?;
    }
    for (environment, endpoint) in retention::deleted_but_owed(&mut conn).await? {
        let which = Cancelled {
            endpoint: Some(endpoint),
            ..Cancelled::default()
        };
        cancel_all(&mut conn, environment, which, CancelReason::EndpointDeleted).await?;
    }
    let before = Some(now - settings.held_deliveries_for);
    for (environment, endpoint) in retention::disabled_but_owed(&mut conn).await? {
        let which = Cancelled {
            endpoint: Some(endpoint),
            created_before: before,
            event_before: None,
        };
        cancel_all(&mut conn, environment, which, CancelReason::EventExpired).await?;
    }
    for environment in environments::all(&mut conn).await? {
        let longest = retention::longest_schedule(&mut conn, environment.id).await?;
        let own = longest.map_or(Duration::ZERO, |delays| delays * RETRY_AFTER_FACTOR_MAX);
        let before = now - own.max(settings.held_deliveries_for) - POSTPONED_FOR;
        let which = Cancelled {
            endpoint: None,
            created_before: Some(before),
            event_before: Some(EventId::at(millis(before), 0)),
        };
        cancel_all(&mut conn, environment.id, which, CancelReason::EventExpired).await?;
    }
    Ok(())
}

/// Expires exports that ended long enough ago; their files are deleted by whoever makes exports.
pub async fn expire_exports(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let before = installation::time(&mut conn, clock.for_database()).await? - EXPORTS_FOR;
    for environment in environments::all(&mut conn).await? {
        for _ in 0..BITES_MAX {
            let expired = conn
                .transaction(async |conn| {
                    audit_exports::expire(conn, environment.id, before, EXPORTS_BITE).await
                })
                .await?;
            if expired == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Merges new audit log events into the indexes for searches, so that no transaction that records some has to.
pub async fn merge_searches(store: &Store) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let pages = audit_entries::merge_searches(&mut conn).await?;
    tracing::debug!(pages, "new audit log events merged into their indexes");
    Ok(())
}

/// Cancels in small bites, up to a bound; the next round goes on.
async fn cancel_all(
    conn: &mut Conn,
    environment: EnvironmentId,
    which: Cancelled,
    reason: CancelReason,
) -> Result<(), StoreError> {
    for _ in 0..BITES_MAX {
        if outbox::cancel(conn, environment, which, reason, BITE).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_both_directions_and_a_slow_answer_is_no_skew() {
        let at = |seconds: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);

        assert_eq!(skew(at(10), at(16), at(18)), TimeDelta::zero());
        assert_eq!(skew(at(10), at(3), at(10)), TimeDelta::seconds(7));
        assert_eq!(skew(at(10), at(18), at(11)), TimeDelta::seconds(7));
    }
}
