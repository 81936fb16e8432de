//! Laws of every parser that reads what somebody else wrote. `parsers` tries them by chance, `fuzz/` by coverage.

use tidings::domain::access::{ApiKeyText, Permission};
use tidings::domain::audit::{EntryLine, ExpiredLine, ExportEnd, ExportHeader, LeafSet, Trail};
use tidings::domain::checkpoint::{Checkpoint, VerifyingKey};
use tidings::domain::event::{EventPattern, EventType};
use tidings::domain::id::{DeliveryId, EndpointId, EventId, OrganizationId};
use tidings::domain::idempotency::IdempotencyKey;
use tidings::domain::json::{JsonLimits, compact};
use tidings::domain::merkle::Hash;
use tidings::domain::page::PageSize;
use tidings::domain::signature::SigningSecret;
use tidings::domain::time::{from_text, to_millis_precision, to_text};

/// One of each, as it is right.
pub(crate) const RIGHT: [&str; 22] = [
    "event_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "we_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "dlv_7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "org_00000000000000000000000000",
    "2026-01-31T23:59:59.999Z",
    "2024-02-29T00:00:00+14:00",
    "2020-05-04",
    "invoice.*",
    "*",
    "invoice.paid:v2-a_b",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "sk_0123456789abcdef0123456789abcdef",
    "events:write",
    "environment",
    "0-3,5,9-12",
    "100",
    "example.com/log+5a5c1f2e+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "example.com/log\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u{2014} example.com/log Zm9vYmFy\n",
    r#"{"object":"audit_log_event","index":3,"proof":[]}"#,
    r#"{"a":[1,2.50,{"b":"\u0000\ud83d\ude00"}],"c":1e400}"#,
    "postgres://u:p@one:5432,two:5433/tidings?target_session_attrs=read-write",
];

/// What is right, with some of its characters taken out, repeated, or put in from elsewhere.
pub(crate) fn damaged(right: &str, damage: &[(usize, u8, char)]) -> String {
    let mut chars: Vec<char> = right.chars().collect();
    for &(place, how, other) in damage {
        if chars.is_empty() {
            break;
        }
        let place = place % chars.len();
        match how % 4 {
            0 => drop(chars.remove(place)),
            1 => chars.insert(place, other),
            2 => chars.insert(place, chars[place]),
            _ => chars[place] = other,
        }
    }
    chars.into_iter().collect()
}

/// What is accepted is written as it was read: it has one spelling.
macro_rules! has_one_spelling {
    ($text:expr, $($kind:ty),+) => {$(
        if let Ok(read) = $text.parse::<$kind>() {
            assert_eq!(read.to_string(), $text, "{}", stringify!($kind));
        }
    )+};
}

/// What is accepted reads back from how it is written.
macro_rules! reads_back {
    ($text:expr, $($kind:ty),+) => {$(
        if let Ok(read) = $text.parse::<$kind>() {
            let again = read.to_string().parse::<$kind>();
            assert_eq!(again.ok(), Some(read), "{}", stringify!($kind));
        }
    )+};
}

/// # Panics
/// When a parser accepts a text and then writes it so that it does not read back.
pub(crate) fn what_is_accepted_reads_back(text: &str) {
    has_one_spelling!(text, EventId, EndpointId, DeliveryId, OrganizationId);
    reads_back!(text, Trail, LeafSet, Hash, VerifyingKey);
    if let Some(time) = from_text(text) {
        assert_eq!(from_text(&to_text(time)), Some(to_millis_precision(time)));
    }
    if let Ok(event_type) = EventType::parse("event", text) {
        assert_eq!(event_type.as_str(), text);
    }
    if let Ok(pattern) = EventPattern::parse("events", text) {
        assert_eq!(pattern.to_string(), text);
    }
    if let Ok(secret) = text.parse::<SigningSecret>() {
        assert_eq!(secret.expose(), text);
    }
    if let Ok(key) = ApiKeyText::parse(text) {
        assert_eq!(key.expose(), text);
    }
    if let Ok(permission) = text.parse::<Permission>() {
        assert_eq!(permission.as_str(), text);
    }
    if let Ok(size) = PageSize::parse(Some(text)) {
        assert!((1..=100).contains(&size.get()));
    }
    let mut once = String::new();
    if compact(text, JsonLimits::default(), &mut once).is_ok() {
        let mut twice = String::new();
        compact(&once, JsonLimits::default(), &mut twice).unwrap();
        assert_eq!(twice, once);
    }
}

/// # Panics
/// When a parser does.
pub(crate) fn no_parser_panics(text: &str) {
    let _line = EntryLine::parse(text);
    let _line = ExpiredLine::parse(text);
    let _header = ExportHeader::parse(text);
    let _end = ExportEnd::parse(text);
    let _note = Checkpoint::parse_and_verify(text, &[]);
    let _key = IdempotencyKey::parse("POST", "/events", text, text.as_bytes());
}
