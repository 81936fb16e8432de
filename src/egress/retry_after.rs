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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_receiver_wishes_is_understood_within_bounds_or_not_at_all(
            wish in prop::collection::vec(any::<u8>(), 0..60),
            digits in "[0-9]{1,40}",
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(wish) = HeaderValue::from_bytes(&wish) {
                headers.insert(header::RETRY_AFTER, wish);
            }
            prop_assert!(parse(&headers).is_none_or(|delay| delay <= RETRY_AFTER_MAX));

            let seconds = HeaderValue::from_str(&digits).expect("digits");
            headers.insert(header::RETRY_AFTER, seconds);
            let wished = digits.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs);
            prop_assert_eq!(parse(&headers), Some(wished.min(RETRY_AFTER_MAX)));
        }
    }
}
