//! Every parser that reads what somebody else wrote: it never panics, and what it accepts it writes as it was read.
//!
//! Texts are made by chance, and by damaging what is right in a few places: nearly right is what finds most.
//! `PROPTEST_CASES=1000000` makes it a night of it. The parsers of JSON, queries, signatures, notes and `Retry-After`
//! have laws of their own beside their code.

use std::io::Write as _;

use proptest::prelude::*;
use tidings::config::load::load_from;
use tidings::domain::access::Permission;
use tidings::domain::audit::Trail;
use tidings::domain::event::EventPattern;
use tidings::domain::id::{DeliveryId, EndpointId, EventId, OrganizationId};
use tidings::domain::json::{JsonLimits, compact};
use tidings::domain::merkle::Hash;
use tidings::domain::page::PageSize;
use tidings::domain::signature::SigningSecret;
use tidings::domain::time::from_text;

use super::parser_laws::{self, RIGHT, damaged};

const DEFAULTS: &str = include_str!("../../../src/config/default.toml");
fn any_text() -> impl Strategy<Value = String> {
    let damage = proptest::collection::vec((any::<usize>(), any::<u8>(), any::<char>()), 0..4);
    let near = (0..RIGHT.len(), damage).prop_map(|(which, damage)| damaged(RIGHT[which], &damage));
    prop_oneof![6 => near, 1 => any::<String>(), 1 => "[ -~]{0,60}"]
}

proptest! {
    #[test]
    fn whatever_a_parser_accepts_it_writes_so_that_it_reads_back(text in any_text()) {
        parser_laws::what_is_accepted_reads_back(&text);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any_text()) {
        parser_laws::no_parser_panics(&text);
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
