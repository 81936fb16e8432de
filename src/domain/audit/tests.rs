//! What an entry accepts, shows, commits to and forgets.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::domain::id::AuditLogEventId;
use crate::domain::invalid::Invalid;
use crate::domain::merkle::Hash;
use crate::domain::time::{from_millis, from_text};

const LIMITS: AuditLimits = AuditLimits {
    now: DateTime::from_timestamp_millis(1_767_225_600_000).unwrap(),
    bytes_max: 256 * 1024,
};

fn parts<'a>() -> AuditEntryParts<'a> {
    AuditEntryParts {
        organization_id: Some("org_00000000000000000000000002"),
        action: "user.signed_in",
        occurred_at: "2026-01-01T01:00:00.1234+01:00",
        version: None,
        actor: PartyParts {
            id: "user_1",
            kind: "user",
            name: Some("Zoë \"Z\"\u{1}"),
            metadata: Some(r#"{ "role" : "admin", "level": 1.0 }"#),
        },
        targets: vec![PartyParts {
            id: "team_1",
            kind: "team",
            name: None,
            metadata: None,
        }],
        location: "127.0.0.1",
        user_agent: Some("Browser/1.0"),
        metadata: Some(r#"{"b":true,"a":1e2}"#),
    }
}

fn entry_of(parts: &AuditEntryParts<'_>) -> AuditEntry {
    let new = NewAuditEntry::parse("", parts, LIMITS).expect("a good entry");
    let place = LeafPlace {
        id: AuditLogEventId::at(0, 1),
        index: 7,
        recorded_at: LIMITS.now,
    };
    let mut salt = 0;
    AuditEntry::place(new, place, || {
        salt += 1;
        [salt; Salts::BYTES]
    })
}

fn faults(parts: &AuditEntryParts<'_>) -> Vec<(String, &'static str)> {
    let faults = NewAuditEntry::parse("", parts, LIMITS).expect_err("faults");
    let pair = |fault: Invalid| (fault.field, fault.code);
    faults.into_iter().map(pair).collect()
}

fn opening(entry: &AuditEntry) -> Opening {
    match entry.content() {
        Content::Kept { salts, .. } => Opening::Salts(salts.clone()),
        Content::Redacted { commitments } => Opening::Commitments(commitments.clone()),
    }
}

#[test]
fn the_object_is_compact_and_keeps_member_order_and_number_text() {
    let entry = entry_of(&parts());

    assert_eq!(
        entry.render_object(),
        concat!(
            r#"{"object":"audit_log_event","id":"audit_log_event_00000000000000000000000001","#,
            r#""organization_id":"org_00000000000000000000000002","action":"user.signed_in","#,
            r#""occurred_at":"2026-01-01T00:00:00.123Z","recorded_at":"2026-01-01T00:00:00.000Z","#,
            r#""actor":{"id":"user_1","type":"user","name":"Zoë \"Z\"\u0001","metadata":{"role":"admin","level":1.0}},"#,
            r#""targets":[{"id":"team_1","type":"team"}],"#,
            r#""context":{"location":"127.0.0.1","user_agent":"Browser/1.0"},"metadata":{"b":true,"a":1e2},"index":7}"#,
        )
    );
}

#[test]
fn the_leaf_commits_to_each_part_behind_its_own_salt() {
    let entry = entry_of(&parts());
    let commit = |salt: u8, part: &str| Hash::of(&[&[salt; 16], part.as_bytes()]);
    let actor = commit(
        1,
        r#"{"name":"Zoë \"Z\"\u0001","metadata":{"role":"admin","level":1.0}}"#,
    );
    let target = commit(2, r#"{"name":null,"metadata":null}"#);
    let context = commit(3, r#"{"location":"127.0.0.1","user_agent":"Browser/1.0"}"#);
    let metadata = commit(4, r#"{"b":true,"a":1e2}"#);

    let expected = [
        r#"{"tidings":"audit-leaf/1","id":"audit_log_event_00000000000000000000000001","organization_id":"org_00000000000000000000000002","#,
        r#""index":7,"action":"user.signed_in","version":null,"#,
        r#""occurred_at":"2026-01-01T00:00:00.123Z","recorded_at":"2026-01-01T00:00:00.000Z","#,
        &format!(r#""actor":{{"id":"user_1","type":"user","personal":"{actor}"}},"#),
        &format!(r#""targets":[{{"id":"team_1","type":"team","personal":"{target}"}}],"#),
        &format!(r#""context":"{context}","metadata":"{metadata}"}}"#),
    ];
    assert_eq!(entry.leaf_text(), expected.concat());
}

#[test]
fn a_redacted_entry_shows_ids_alone_and_keeps_its_leaf() {
    let entry = entry_of(&AuditEntryParts {
        organization_id: None,
        version: Some(3),
        ..parts()
    });
    let leaf = entry.leaf_text();

    let redacted = entry.redact();

    assert_eq!(redacted.leaf_text(), leaf);
    assert_eq!(
        redacted.render_object(),
        concat!(
            r#"{"object":"audit_log_event","id":"audit_log_event_00000000000000000000000001","#,
            r#""organization_id":null,"action":"user.signed_in","version":3,"#,
            r#""occurred_at":"2026-01-01T00:00:00.123Z","recorded_at":"2026-01-01T00:00:00.000Z","#,
            r#""actor":{"id":"user_1","type":"user"},"targets":[{"id":"team_1","type":"team"}],"#,
            r#""index":7,"redacted":true}"#,
        )
    );
    assert_eq!(redacted.clone().redact(), redacted);
}

#[test]
fn salts_and_commitments_read_back_from_their_bytes() {
    let entry = entry_of(&parts());
    let Content::Kept { salts, .. } = entry.content() else {
        panic!("a new entry is not redacted");
    };
    let commitments = entry.commitments();

    assert_eq!(salts.to_bytes().len(), 4 * 16);
    assert_eq!(Salts::from_bytes(&salts.to_bytes()).as_ref(), Some(salts));
    assert_eq!(Salts::from_bytes(&[0; 17]), None);
    assert_eq!(format!("{salts:?}"), "Salts(4)");
    assert_eq!(
        Commitments::from_bytes(&commitments.to_bytes()),
        Some(commitments)
    );
    assert_eq!(Commitments::from_bytes(&[0; 33]), None);
}

#[test]
fn all_faults_of_an_entry_are_told_at_once() {
    let long = "x".repeat(1025);
    let faults = faults(&AuditEntryParts {
        organization_id: Some("org_1"),
        action: "a..b",
        occurred_at: "2026-01-01",
        version: Some(0),
        actor: PartyParts {
            id: "",
            kind: &long,
            name: Some(&long),
            metadata: Some("[]"),
        },
        targets: vec![PartyParts {
            id: &long,
            kind: "",
            name: None,
            metadata: Some(r#"{"a b":1,"":2,"n":null,"o":{},"l":[],"ok":1}"#),
        }],
        location: "",
        user_agent: Some(&long),
        metadata: Some("{"),
    });

    let expected = [
        ("organization_id", "invalid_organization_id"),
        ("event.action", "invalid_event_type"),
        ("event.version", "invalid_version"),
        ("event.occurred_at", "invalid_occurred_at"),
        ("event.actor.id", "invalid_length"),
        ("event.actor.type", "invalid_length"),
        ("event.actor.name", "invalid_length"),
        ("event.actor.metadata", "object_required"),
        ("event.targets[0].id", "invalid_length"),
        ("event.targets[0].type", "invalid_length"),
        ("event.targets[0].metadata", "invalid_metadata_key"),
        ("event.targets[0].metadata", "invalid_metadata_key"),
        ("event.targets[0].metadata.n", "invalid_metadata_value"),
        ("event.targets[0].metadata.o", "invalid_metadata_value"),
        ("event.targets[0].metadata.l", "invalid_metadata_value"),
        ("event.context.location", "invalid_length"),
        ("event.context.user_agent", "invalid_length"),
        ("event.metadata", "malformed_json"),
    ];
    assert_eq!(
        faults,
        expected.map(|(field, code)| (field.to_owned(), code))
    );
}

#[test]
fn limits_count_characters_and_are_reached_exactly() {
    let (id, name) = ("é".repeat(255), "é".repeat(512));
    let escapes = format!(r#"{{"{}":"{}"}}"#, "k".repeat(40), r"\ud800\n".repeat(250));
    let keys: Vec<_> = (0..50).map(|n| format!(r#""k{n}":-1.5"#)).collect();
    let fifty = format!("{{{}}}", keys.join(","));
    let good = AuditEntryParts {
        actor: PartyParts {
            id: &id,
            kind: &id,
            name: Some(&name),
            metadata: Some(&escapes),
        },
        targets: vec![parts().targets[0]; 100],
        location: &name,
        user_agent: Some(""),
        metadata: Some(&fifty),
        ..parts()
    };
    assert!(NewAuditEntry::parse("", &good, LIMITS).is_ok());

    let escapes = escapes.replace(r#""}"#, r#"x"}"#);
    let fifty_one = fifty.replace('}', r#","k50":1}"#);
    let bad = AuditEntryParts {
        actor: PartyParts {
            metadata: Some(&escapes),
            ..good.actor
        },
        targets: vec![parts().targets[0]; 101],
        metadata: Some(&fifty_one),
        ..good
    };
    let fields: Vec<_> = faults(&bad).into_iter().map(|(field, _)| field).collect();
    let key = format!("event.actor.metadata.{}", "k".repeat(40));
    assert_eq!(fields, [key.as_str(), "event.targets", "event.metadata"]);
}

#[test]
fn all_parts_together_have_a_bound() {
    let limits = AuditLimits {
        bytes_max: 100,
        ..LIMITS
    };

    let faults = NewAuditEntry::parse("events[2].", &parts(), limits).expect_err("too large");

    assert_eq!(
        (faults[0].field.as_str(), faults[0].code),
        ("events[2].event", "too_large")
    );
}

#[test]
fn occurred_at_is_an_instant_from_1970_to_a_day_ahead() {
    let check = |text| {
        let sent = AuditEntryParts {
            occurred_at: text,
            ..parts()
        };
        NewAuditEntry::parse("", &sent, LIMITS).map(|new| new.occurred_at)
    };

    assert_eq!(
        check("2026-01-02T00:00:00Z").ok(),
        from_text("2026-01-02T00:00:00Z")
    );
    assert_eq!(check("1970-01-01T00:00:00.000Z"), Ok(from_millis(0)));
    for bad in [
        "2026-01-02T00:00:00.001Z",
        "1969-12-31T23:59:59.999Z",
        "2026-01-01T00:00:00",
        "yesterday",
        "",
    ] {
        assert!(check(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_platforms_own_records_cannot_be_sent() {
    for action in [REDACTED_ACTION, EXPIRED_ACTION] {
        let sent = AuditEntryParts { action, ..parts() };
        assert_eq!(
            faults(&sent),
            [("event.action".to_owned(), "reserved_action")]
        );
    }
}

#[test]
fn a_field_has_a_pointer_inside_its_event() {
    for (field, pointer) in [
        ("event.actor.id", "/actor/id"),
        ("events[2].event.targets[0].type", "/targets/0/type"),
        ("event.metadata.k-1", "/metadata/k-1"),
        ("event", ""),
        ("events[2].event", ""),
        ("organization_id", "/organization_id"),
    ] {
        assert_eq!(instance_path(field), pointer, "{field}");
    }
    assert!(is_shape(&Invalid::new("event", "required", "")));
    assert!(!is_shape(&Invalid::new("event", "invalid_length", "")));
}

#[test]
fn a_stored_object_that_differs_in_one_byte_is_refused_or_has_another_leaf() {
    for entry in [entry_of(&parts()), entry_of(&parts()).redact()] {
        let (object, leaf) = (entry.render_object(), entry.leaf_hash());
        assert_eq!(
            AuditEntry::from_stored(&object, opening(&entry)),
            Ok(entry.clone())
        );

        for at in 0..object.len() {
            for byte in [b'0', b' ', b'x', b'}'] {
                let mut bytes = object.clone().into_bytes();
                bytes[at] = byte;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                if let Ok(read) = AuditEntry::from_stored(&changed, opening(&entry)) {
                    assert!(changed == object || read.leaf_hash() != leaf, "{changed}");
                }
            }
        }
    }
}

#[test]
fn a_stored_object_needs_the_opening_that_belongs_to_it() {
    let entry = entry_of(&parts());
    let redacted = entry.clone().redact();
    let few = Opening::Salts(Salts::from_bytes(&[0; 48]).unwrap());

    assert!(AuditEntry::from_stored(&entry.render_object(), opening(&redacted)).is_err());
    assert!(AuditEntry::from_stored(&redacted.render_object(), opening(&entry)).is_err());
    assert_eq!(
        AuditEntry::from_stored(&entry.render_object(), few),
        Err(StoredFault::Opening)
    );
}

fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0_u64..1_767_225_600_000).prop_map(from_millis)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn whatever_is_accepted_reads_back_before_and_after_redaction(
        texts in proptest::collection::vec("\\PC{1,20}|[\u{0}-\u{1f}\"\\\\]{1,8}", 6),
        values in proptest::collection::hash_map("[a-zA-Z0-9_-]{1,40}", any::<f64>(), 0..8),
        occurred_at in any_instant(),
    ) {
        let metadata = serde_json::to_string(&values).unwrap();
        let occurred_at = occurred_at.to_rfc3339();
        let entry = entry_of(&AuditEntryParts {
            occurred_at: &occurred_at,
            actor: PartyParts {
                id: &texts[0],
                kind: &texts[1],
                name: Some(&texts[2]),
                metadata: Some(&metadata),
            },
            location: &texts[3],
            user_agent: Some(&texts[4]),
            metadata: Some(&metadata),
            ..parts()
        });

        for entry in [entry.clone(), entry.redact()] {
            let read = AuditEntry::from_stored(&entry.render_object(), opening(&entry));
            prop_assert_eq!(read, Ok(entry));
        }
    }
}
