//! What a receiver may ask for, and how.

use std::time::Duration;

use crate::egress::{HeaderMap, HeaderValue, retry_after};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DAY: u64 = 24 * 60 * 60;

#[test]
fn seconds_are_seconds() {
    assert_eq!(parsed("120", None), Some(Duration::from_secs(120)));
    assert_eq!(parsed("0", None), Some(Duration::ZERO));
}

#[test]
fn a_date_is_read_against_the_date_of_the_answer() {
    let later = "Sun, 06 Nov 1994 08:51:37 GMT";

    assert_eq!(parsed(later, Some(DATE)), Some(Duration::from_secs(120)));
    assert_eq!(parsed(DATE, Some(later)), Some(Duration::ZERO));
    assert_eq!(parsed(later, None), None);
}

#[test]
fn no_wish_goes_beyond_a_month() {
    for value in [
        "18446744073709551615",
        "99999999999999999999999999",
        "2592001",
    ] {
        assert_eq!(
            parsed(value, None),
            Some(Duration::from_secs(30 * DAY)),
            "{value}"
        );
    }
    assert_eq!(
        parsed("Fri, 31 Dec 9999 23:59:59 GMT", Some(DATE)),
        Some(Duration::from_secs(30 * DAY))
    );
}

#[test]
fn nonsense_is_no_wish() {
    for value in [
        "",
        "-1",
        "1.5",
        "soon",
        "12 monkeys",
        "\u{fc}",
        "Sun, 99 Nov 1994 08:49:37 GMT",
    ] {
        assert_eq!(parsed(value, Some(DATE)), None, "{value}");
    }
}

fn parsed(retry_after: &str, date: Option<&str>) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(
        "retry-after",
        HeaderValue::from_bytes(retry_after.as_bytes()).unwrap(),
    );
    if let Some(date) = date {
        headers.insert("date", HeaderValue::from_str(date).unwrap());
    }
    retry_after::parse(&headers)
}
