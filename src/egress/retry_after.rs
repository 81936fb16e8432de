//! Retry-After: how long a receiver asks to be left alone.
//!
//! Invariant: no clock: a date is read against the answer's own `Date`, so a receiver whose clock is wrong is wrong
//! in both and the difference is right. Without `Date` a date says nothing. Does not decide whether the wish is
//! granted; that is `domain::retry`.
//!
//! Source: RFC 9110, sections 10.2.3 and 5.6.7.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use reqwest::header::{self, HeaderMap, HeaderName};

/// No wish is heard beyond this; it keeps what is stored in a sane range.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The delay that `headers` ask for; `None` when they ask for none or cannot be understood.
pub(super) fn parse(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?;
    let delay = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // more digits than a u64 holds is still a wish for a very long time
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = date(value)?;
        let answered = date(text(headers, &header::DATE)?)?;
        (until - answered).to_std().unwrap_or(Duration::ZERO)
    };
    Some(delay.min(RETRY_AFTER_MAX))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(text).ok()
}
