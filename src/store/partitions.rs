//! Partitions: weeks of events, deliveries and attempts, made ahead and dropped together.
//!
//! Invariant: the three tables always have the same ranges, so whatever refers to an event goes with it. What no
//! week holds goes to the DEFAULT partition; a week that DEFAULT already holds rows of cannot be made, and is left.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, Utc};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::conn::Conn;
use super::error::StoreError;
use crate::domain::id::EventId;
use crate::domain::time::millis;

/// The partitioned tables, in the order in which a settlement locks them: the other order would deadlock.
pub(super) const TABLES: [&str; 3] = ["attempts", "deliveries", "events"];
/// Columns of which the planner must keep no samples, because erasure has to reach every copy. Partitions do not
/// inherit it.
const UNSAMPLED: [(&str, &str); 5] = [
    ("attempts", "answer_headers"),
    ("attempts", "answer_body"),
    ("deliveries", "last_answer_headers"),
    ("deliveries", "last_answer_body"),
    ("events", "body"),
];
/// A new or a dropped partition needs its parent for itself, and whoever comes later waits behind it: so it waits
/// no longer than a reader of the feed would notice.
pub(super) const LOCK_FOR_A_MOMENT: &str = "SET LOCAL lock_timeout = '50ms'";
/// How often a partition is tried in one round, and how long others may go on in between.
const TRIES: u32 = 5;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
/// How many weeks are there before they are needed.
const WEEKS_AHEAD: i64 = 4;

/// One week, from Monday 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week(DateTime<Utc>);

impl Week {
    pub fn of(time: DateTime<Utc>) -> Self {
        let days = i64::from(time.weekday().num_days_from_monday());
        Self(
            (time.date_naive() - Duration::days(days))
                .and_time(NaiveTime::MIN)
                .and_utc(),
        )
    }

    /// Reads what `name` writes.
    fn parse(name: &str) -> Option<Self> {
        let (year, week) = name.split_once('w')?;
        let monday = NaiveDate::from_isoywd_opt(
            year.parse().ok()?,
            week.parse().ok()?,
            chrono::Weekday::Mon,
        )?;
        Some(Self(monday.and_time(NaiveTime::MIN).and_utc()))
    }

    /// The week after this one; nothing in it is older than this one's end.
    pub fn next(self) -> Self {
        Self(self.0 + Duration::weeks(1))
    }

    /// The end of the name of the week's partitions: `2026w48`.
    pub(super) fn name(self) -> String {
        let week = self.0.iso_week();
        format!("{}w{:02}", week.year(), week.week())
    }

    /// The smallest id that is not before the week.
    pub(super) fn first_id(self) -> EventId {
        EventId::at(millis(self.0), 0)
    }

    /// The same as the text of a `uuid`.
    fn bound(self) -> String {
        hex::encode(self.first_id().to_bytes())
    }

    /// Whether all of the week is before `time`.
    fn is_before(self, time: DateTime<Utc>) -> bool {
        self.next().0 <= time
    }
}

/// Makes the partitions of this week and the next four; answers the names of those that could not be made.
pub async fn create_ahead(conn: &mut Conn, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    let mut refused = Vec::new();
    let mut week = Week::of(now);
    for _ in 0..=WEEKS_AHEAD {
        if !exists(conn, week).await? && !create_patiently(conn, week).await {
            refused.push(week.name());
        }
        week = week.next();
    }
    Ok(refused)
}

/// Tries a few times, a moment each, with pauses in which everybody else goes on.
async fn create_patiently(conn: &mut Conn, week: Week) -> bool {
    for _ in 0..TRIES {
        if create(conn, week).await.is_ok() {
            return true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// The weeks whose partitions are there and that end before `time`, oldest first.
pub async fn ended_before(conn: &mut Conn, time: DateTime<Utc>) -> Result<Vec<Week>, StoreError> {
    let weeks = made(conn).await?.into_iter();
    Ok(weeks.filter(|week| week.is_before(time)).collect())
}

/// When the last week ends whose partitions are there.
pub async fn made_until(conn: &mut Conn) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(made(conn).await?.pop().map(|last| last.next().0))
}

/// The weeks whose partitions are there, oldest first.
async fn made(conn: &mut Conn) -> Result<Vec<Week>, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Name {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let names: Vec<Name> = diesel::sql_query(
        "SELECT relname::text AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
         WHERE inhparent = 'events'::regclass ORDER BY relname",
    )
    .load(conn)
    .await?;
    let weeks = names
        .iter()
        .filter_map(|name| Week::parse(name.name.strip_prefix("events_")?));
    Ok(weeks.collect())
}

/// The tables whose DEFAULT partition holds rows; none does unless a clock was wrong or a week was not made.
pub async fn with_strays(conn: &mut Conn) -> Result<Vec<&'static str>, StoreError> {
    let mut found = Vec::new();
    for table in TABLES {
        let strays = format!("SELECT EXISTS (SELECT FROM {table}_default) AS present");
        let strays: Present = diesel::sql_query(strays).get_result(conn).await?;
        if strays.present {
            found.push(table);
        }
    }
    Ok(found)
}

#[derive(diesel::QueryableByName)]
struct Present {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    present: bool,
}

async fn exists(conn: &mut Conn, week: Week) -> Result<bool, StoreError> {
    let found: Present = diesel::sql_query("SELECT to_regclass($1) IS NOT NULL AS present")
        .bind::<diesel::sql_types::Text, _>(format!("events_{}", week.name()))
        .get_result(conn)
        .await?;
    Ok(found.present)
}

/// Makes one week's partitions, all or none. A short lock time: it waits for no one who holds the tables.
async fn create(conn: &mut Conn, week: Week) -> Result<(), StoreError> {
    conn.transaction(async |conn| {
        conn.batch_execute(LOCK_FOR_A_MOMENT).await?;
        for table in TABLES {
            let (name, from, to) = (week.name(), week.bound(), week.next().bound());
            conn.batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS {table}_{name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')"
            ))
            .await?;
        }
        for (table, column) in UNSAMPLED {
            let name = week.name();
            conn.batch_execute(&format!(
                "ALTER TABLE {table}_{name} ALTER COLUMN {column} SET STATISTICS 0"
            ))
            .await?;
        }
        Ok::<_, StoreError>(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_text;

    fn week(text: &str) -> Week {
        Week::of(from_text(text).expect("a time"))
    }

    #[test]
    fn a_week_begins_on_monday() {
        assert_eq!(week("2026-11-22T23:59:59.999Z"), week("2026-11-16"));
        assert_eq!(week("2026-11-23"), week("2026-11-22").next());
        assert_eq!(week("2026-11-22").name(), "2026w47");
        assert_eq!(week("2027-01-01").name(), "2026w53");
        assert_eq!(Week::parse("2026w53"), Some(week("2027-01-01")));
        assert_eq!(Week::parse("default"), None);
    }

    #[test]
    fn bounds_are_the_ids_of_the_first_millisecond() {
        let monday = week("2026-11-16");

        let first = EventId::at(millis(monday.0), 0);
        assert_eq!(monday.bound(), hex::encode(first.to_bytes()));
        assert!(monday.bound() < monday.next().bound());
    }
}
