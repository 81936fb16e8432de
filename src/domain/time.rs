//! Time: where "now" comes from, and its one text form.
//!
//! Invariant: whoever decides is *handed* the time; one `now` for each unit of work. Schedules and leases run
//! on the database's clock; [`Clock::for_database`] is the one override, used by tests that move time by hand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};

/// Where "now" comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Stands still until it is moved; Unix milliseconds.
    Manual(Arc<AtomicI64>),
    /// Says what it is told; the database has a clock of its own.
    Told(Teller),
}

/// What tells a clock the time.
#[derive(Clone)]
pub struct Teller(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.timestamp_millis())))
    }

    /// A clock that says what `teller` says.
    pub fn told(teller: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self::Told(Teller(Arc::new(teller)))
    }

    /// The time by this clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Clock that everybody else asks"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Manual(millis) => {
                DateTime::from_timestamp_millis(millis.load(Ordering::SeqCst)).unwrap_or_default()
            }
            Self::Told(Teller(teller)) => teller(),
        }
    }

    /// The time that a statement takes for now, or `None` for the database's own clock.
    pub fn for_database(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::System | Self::Told(_) => None,
            Self::Manual(_) => Some(self.now()),
        }
    }

    /// Moves a manual clock on; others cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(
                i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
        }
    }
}

/// Unix milliseconds; times before 1970 count as 1970.
pub fn millis(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or(0)
}

/// The time of Unix milliseconds; what no calendar holds counts as the latest time.
pub fn from_millis(millis: u64) -> DateTime<Utc> {
    i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The same time without what is finer than a millisecond: what the text form keeps of it.
pub fn to_millis_precision(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// The one text form of a time on the wire: `2026-01-31T23:59:59.999Z`.
pub fn to_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads a time: RFC 3339 with any offset, or a date alone (midnight UTC).
///
/// Shape: in the years 0 to 9999, those whose text [`to_text`] writes so that it reads back.
pub fn from_text(text: &str) -> Option<DateTime<Utc>> {
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(_no_time) => {
            let date: chrono::NaiveDate = text.parse().ok()?;
            date.and_time(chrono::NaiveTime::MIN).and_utc()
        }
    };
    (0..=9999).contains(&time.year()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_text_form_and_reads_back() {
        let time = from_millis(1_624_647_993_155);

        assert_eq!(to_text(time), "2021-06-25T19:06:33.155Z");
        assert_eq!(from_text("2021-06-25T19:06:33.155Z"), Some(time));
        assert_eq!(from_text("2021-06-25T21:06:33.155+02:00"), Some(time));
        assert_eq!(
            from_text("2020-05-04").map(to_text).as_deref(),
            Some("2020-05-04T00:00:00.000Z")
        );
        assert_eq!(from_text("yesterday"), None);
        assert_eq!(from_text(""), None);
    }

    #[test]
    fn a_time_outside_of_four_digit_years_is_none() {
        let edges = ["0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"];
        for edge in edges {
            assert_eq!(from_text(edge).map(to_text).as_deref(), Some(edge));
        }
        let beyond = [
            "+10000-01-01",
            "-0001-12-31",
            "-5000-01-01",
            "0000-01-01T00:00:00.000+00:01",
            "9999-12-31T23:59:59.999-00:01",
        ];
        for text in beyond {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(from_millis(1_000));
        clock.advance(Duration::from_secs(2));

        assert_eq!(millis(clock.now()), 3_000);
        assert_eq!(clock.for_database(), Some(clock.now()));
        assert_eq!(Clock::System.for_database(), None);
    }
}
