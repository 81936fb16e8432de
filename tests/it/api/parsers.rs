//! Every parser that reads what somebody else wrote: it never panics, and what it accepts it writes as it was read.
//!
//! Texts are made by chance, and by damaging what is right in a few places: nearly right is what finds most.
//! `PROPTEST_CASES=1000000` makes it a night of it. The parsers of JSON, queries, signatures, notes and `Retry-After`
//! have laws of their own beside their code.

use std::io::Write as _;

use proptest::prelude::*;
use tidings::config::load::load_from;
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

const DEFAULTS: &str = include_str!("../../../src/config/default.toml");
/// One of each, as it is right.
const RIGHT: [&str; 22] = [
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
fn damaged(right: &str, damage: &[(usize, u8, char)]) -> String {
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

fn any_text() -> impl Strategy<Value = String> {
    let damage = proptest::collection::vec((any::<usize>(), any::<u8>(), any::<char>()), 0..4);
    let near = (0..RIGHT.len(), damage).prop_map(|(which, damage)| damaged(RIGHT[which], &damage));
    prop_oneof![6 => near, 1 => any::<String>(), 1 => "[ -~]{0,60}"]
}

/// What is written as it was read, if it is accepted.
macro_rules! reads_back {
    ($text:expr, $($kind:ty),+) => {$(
        if let Ok(read) = $text.parse::<$kind>() {
            let again = read.to_string().parse::<$kind>();
            prop_assert_eq!(again.ok(), Some(read), "{}", stringify!($kind));
        }
    )+};
}

proptest! {
    #[test]
    fn whatever_a_parser_accepts_it_writes_so_that_it_reads_back(text in any_text()) {
        reads_back!(text, EventId, EndpointId, DeliveryId, OrganizationId, Trail, LeafSet, Hash, VerifyingKey);
        if let Some(time) = from_text(&text) {
            prop_assert_eq!(from_text(&to_text(time)), Some(to_millis_precision(time)));
        }
        if let Ok(event_type) = EventType::parse("event", &text) {
            prop_assert_eq!(event_type.as_str(), &text);
        }
        if let Ok(pattern) = EventPattern::parse("events", &text) {
            prop_assert_eq!(pattern.to_string(), text.clone());
        }
        if let Ok(secret) = text.parse::<SigningSecret>() {
            prop_assert_eq!(secret.expose(), &text);
        }
        if let Ok(key) = ApiKeyText::parse(&text) {
            prop_assert_eq!(key.expose(), &text);
        }
        if let Ok(permission) = text.parse::<Permission>() {
            prop_assert_eq!(permission.as_str(), &text);
        }
        if let Ok(size) = PageSize::parse(Some(&text)) {
            prop_assert!((1..=100).contains(&size.get()));
        }
        let mut once = String::new();
        if compact(&text, JsonLimits::default(), &mut once).is_ok() {
            let mut twice = String::new();
            compact(&once, JsonLimits::default(), &mut twice).unwrap();
            prop_assert_eq!(twice, once);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any_text()) {
        let _line = EntryLine::parse(&text);
        let _line = ExpiredLine::parse(&text);
        let _header = ExportHeader::parse(&text);
        let _end = ExportEnd::parse(&text);
        let _note = Checkpoint::parse_and_verify(&text, &[]);
        let _key = IdempotencyKey::parse("POST", "/events", &text, text.as_bytes());
    }

    #[test]
    fn no_configuration_makes_the_program_panic(
        text in any_text(),
        key in "TIDINGS__(SERVER__LISTEN|DATABASE__URL|DELIVERY__LEASE|DELIVERY__RETRY_SCHEDULE|EGRESS__ALLOW|LOG__LEVEL|[A-Z]{1,8})",
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<char>()), 0..3),
    ) {
        let _given = load_from(None, [(key.into(), text.into())], &[]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(damaged(DEFAULTS, &damage).as_bytes()).unwrap();
        let _read = load_from(Some(file.path()), [], &[]);
    }
}

#[test]
fn what_is_right_is_accepted_by_the_parsers_it_is_for() {
    let accepted = [
        RIGHT[0].parse::<EventId>().is_ok(),
        RIGHT[1].parse::<EndpointId>().is_ok(),
        RIGHT[2].parse::<DeliveryId>().is_ok(),
        RIGHT[3].parse::<OrganizationId>().is_ok(),
        RIGHT[4..7].iter().all(|time| from_text(time).is_some()),
        RIGHT[7..10]
            .iter()
            .all(|pattern| EventPattern::parse("events", pattern).is_ok()),
        RIGHT[10].parse::<SigningSecret>().is_ok(),
        RIGHT[12].parse::<Permission>().is_ok(),
        RIGHT[13].parse::<Trail>().is_ok(),
        PageSize::parse(Some(RIGHT[15])).is_ok(),
        RIGHT[17].parse::<Hash>().is_ok(),
        compact(RIGHT[20], JsonLimits::default(), &mut String::new()).is_ok(),
    ];
    assert_eq!(accepted, [true; 12]);
}
