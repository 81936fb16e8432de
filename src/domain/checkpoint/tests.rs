//! Notes and checkpoints that other implementations made, and ours.

use proptest::prelude::*;

use super::*;

/// Source: golang.org/x/mod/sumdb/note, note_test.go.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
/// A checkpoint of Go's checksum database, as it was served.
const GO_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const GO_NOTE: &str = "go.sum database tree\n15081221\nBoMMe1wd25Tco0mYGROkyqxHZWx+hcSCtMV315Lu6Lg=\n\n— sum.golang.org Az3grilD7vQqTrv66jRgKM84Y80KTprrSt4bKmiOPxgmS5ZVBTeCl6dUvjYnN13R+C8j0jGY1WnUADGMkok3U0m2Zgo=\n";

fn key(text: &str) -> VerifyingKey {
    text.parse().expect("a verifying key")
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "tidings/env_1").expect("a good name")
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "tidings/env_1/environment".into(),
        size: 42,
        root: crate::domain::merkle::leaf_hash(b"root"),
    }
}

#[test]
fn a_note_of_another_implementation_opens_and_is_made_again_byte_for_byte() {
    let note = format!("{TEXT}\n{PETER_LINE}");
    let seed = BASE64.decode(PETER_SEED).unwrap();
    let ours = SigningKey::from_seed(&seed[1..].try_into().unwrap(), "PeterNeumann").unwrap();

    assert_eq!(open_note(&note, &[key(PETER)]), Ok(TEXT));
    assert_eq!(sign_note(TEXT, &[&ours]), Ok(note));
    assert_eq!(ours.verifying_key().to_string(), PETER);
}

#[test]
fn a_checkpoint_of_a_public_log_is_read() {
    let read = Checkpoint::parse_and_verify(GO_NOTE, &[key(GO_KEY)]).unwrap();

    assert_eq!(read.origin, "go.sum database tree");
    assert_eq!(read.size, 15_081_221);
    assert!(GO_NOTE.starts_with(&read.text()));
}

#[test]
fn signatures_of_unknown_keys_are_ignored_but_one_must_be_known() {
    let both = format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}");

    assert_eq!(open_note(&both, &[key(PETER)]), Ok(TEXT));
    assert_eq!(open_note(&both, &[key(ENOCH)]), Ok(TEXT));
    assert_eq!(open_note(&both, &[key(GO_KEY)]), Err(NoteFault::Unsigned));
    assert_eq!(open_note(&both, &[]), Err(NoteFault::Unsigned));
}

#[test]
fn a_wrong_signature_of_a_known_key_refuses_the_note_beside_a_right_one() {
    let spoiled = PETER_LINE.replace("ZJku", "ZJkv");
    let note = format!("{TEXT}\n{ENOCH_LINE}{spoiled}");

    let fault = open_note(&note, &[key(PETER), key(ENOCH)]).expect_err("one is wrong");

    assert_eq!(
        fault.to_string(),
        "the signature of PeterNeumann+c74f20a3 is wrong"
    );
}

#[test]
fn notes_that_are_not_well_formed_are_refused() {
    let cut = &PETER_LINE[..PETER_LINE.len() - 1];
    for bad in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{cut}"),
        format!("\u{1}{TEXT}\n{PETER_LINE}"),
        format!("{TEXT}\r\n\n{PETER_LINE}"),
        format!("{TEXT}\n{}", PETER_LINE.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{}", PETER_LINE.replace('—', "-")),
        format!("{TEXT}\n{PETER_LINE}Unexpected line.\n"),
        format!("{TEXT}\n{}", PETER_LINE.repeat(101)),
        format!("{TEXT}{PETER_LINE}"),
        String::new(),
    ] {
        assert_eq!(
            open_note(&bad, &[key(PETER)]),
            Err(NoteFault::Malformed),
            "{bad:?}"
        );
    }
}

#[test]
fn every_mangled_verifying_key_is_refused() {
    let len = PETER.len();
    for from in 0..len {
        for to in from..=len {
            if (from, to) != (0, len) {
                assert!(PETER[from..to].parse::<VerifyingKey>().is_err());
            }
        }
        let mut bytes = PETER.as_bytes().to_vec();
        bytes[from] += 1;
        let mangled = String::from_utf8(bytes).unwrap();
        assert!(mangled.parse::<VerifyingKey>().is_err(), "{mangled}");
    }
    // Another length and another algorithm, each with the right hash; upper-case digits.
    for bad in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        &PETER.replace("c74f20a3", "C74F20A3"),
    ] {
        assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
    }
}

#[test]
fn a_signed_checkpoint_reads_back_under_either_key_of_a_rotation() {
    let old = signing_key();
    let new = SigningKey::from_seed(&[8; 32], "tidings/env_1").unwrap();

    let note = checkpoint().sign(&[&old, &new]).unwrap();

    for one in [&old, &new] {
        let read = Checkpoint::parse_and_verify(&note, &[one.verifying_key().clone()]);
        assert_eq!(read, Ok(checkpoint()));
    }
}

#[test]
fn every_changed_byte_of_a_signed_checkpoint_is_found() {
    let signing = signing_key();
    let keys = [signing.verifying_key().clone()];
    let note = checkpoint().sign(&[&signing]).unwrap();

    for at in 0..note.len() {
        for change in [1, 2, 0x20] {
            let mut bytes = note.as_bytes().to_vec();
            bytes[at] ^= change;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(
                Checkpoint::parse_and_verify(&changed, &keys).is_err(),
                "{changed}"
            );
        }
    }
}

#[test]
fn a_signed_text_that_is_no_checkpoint_is_refused() {
    let signing = signing_key();
    let keys = [signing.verifying_key().clone()];
    let root = BASE64.encode([1; 32]);
    for text in [
        format!("\n1\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n\n{root}\n"),
        "o\n1\n".to_owned(),
        format!("o\n1\n{}\n", BASE64.encode([1; 31])),
        format!("o\n1\n{root}x\n"),
        format!("o\n1\n{root}\n\nmore\n"),
    ] {
        let note = sign_note(&text, &[&signing]).unwrap();
        let read = Checkpoint::parse_and_verify(&note, &keys);
        assert_eq!(read, Err(CheckpointFault::Text), "{text:?}");
    }
    let extended = sign_note(&format!("o\n0\n{root}\nextension\n"), &[&signing]).unwrap();
    assert_eq!(
        Checkpoint::parse_and_verify(&extended, &keys).map(|read| read.size),
        Ok(0)
    );
}

#[test]
fn an_origin_that_would_be_read_otherwise_is_not_signed() {
    for origin in ["", "a\n7", "a\u{7}"] {
        let checkpoint = Checkpoint {
            origin: origin.into(),
            ..checkpoint()
        };
        assert!(checkpoint.sign(&[&signing_key()]).is_err(), "{origin:?}");
    }
    assert_eq!(checkpoint().sign(&[]), Err(NoteFault::Unsigned.into()));
}

#[test]
fn a_tree_is_named_by_its_environment_and_organization() {
    let environment = EnvironmentId::at(0, 1);
    let organization = OrganizationId::at(0, 2);

    assert_eq!(
        origin(environment, Some(organization)),
        "tidings/env_00000000000000000000000001/org_00000000000000000000000002"
    );
    assert_eq!(
        origin(environment, None),
        "tidings/env_00000000000000000000000001/environment"
    );
    assert!(SigningKey::from_seed(&[0; 32], &key_name(environment)).is_ok());
}

#[test]
fn a_private_key_is_not_printed() {
    assert_eq!(
        format!("{:?}", signing_key()),
        r#"SigningKey { name: "tidings/env_1", .. }"#
    );
}

proptest! {
    #[test]
    fn a_note_with_one_character_changed_is_refused_or_says_the_same(
        place in any::<prop::sample::Index>(),
        other in prop_oneof![any::<char>(), Just('\n'), Just('—'), Just('0')],
    ) {
        let signer = signing_key();
        let note = checkpoint().sign(&[&signer]).expect("a note");
        let mut characters: Vec<char> = note.chars().collect();
        let place = place.index(characters.len());
        characters[place] = other;
        let touched: String = characters.into_iter().collect();

        let keys = [signer.verifying_key().clone()];
        if let Ok(opened) = Checkpoint::parse_and_verify(&touched, &keys) {
            prop_assert_eq!(opened.text(), checkpoint().text());
        }
    }

    #[test]
    fn no_text_upsets_the_reader_of_notes_and_keys(text in "(\\PC|\n|— |\\+){0,120}") {
        let keys = [signing_key().verifying_key().clone()];

        prop_assert!(Checkpoint::parse_and_verify(&text, &keys).is_err());
        if let Ok(key) = text.parse::<VerifyingKey>() {
            prop_assert!(text.starts_with(key.name()));
        }
    }
}
