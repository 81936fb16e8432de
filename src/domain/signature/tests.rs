//! Signatures against published vectors, the header variants receivers refuse, and a foreign implementation.
//!
//! Invariant: every expected signature was computed by other code than ours. Does not test when a delivery is
//! signed, or with which of an endpoint's secrets.

use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::Digest as _;
use standardwebhooks::Webhook;

use super::*;

/// The worked vector of the wire contract, section 7.
const WORKED_SECRET: &str = "whsec_0FWAiVGkEfGBqqsJH4aNAGBJ4";
const WORKED_TIME_MS: i64 = 1_767_225_600_000;
const WORKED_BODY: &str = r#"{"object":"event","id":"event_01KDWX4V00000000000000TEST","event":"invoice.paid","data":{"id":"inv_1","amount":12.5,"note":"café 🚀 a/b \"q\" \n","org":null},"created_at":"2026-01-01T00:00:00.000Z","context":{}}"#;
const WORKED_HEADER: &str =
    "t=1767225600000, v1=ee3bb821e7dc2d397193cef27883bf6207a68422cd2c5db2001892127dc68f87";

/// The example of the Standard Webhooks specification.
const EXAMPLE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EXAMPLE_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const EXAMPLE_TIME_S: i64 = 1_614_265_330;
const EXAMPLE_BODY: &[u8] = br#"{"test": 2432232314}"#;
const EXAMPLE_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

const TOLERANCE: Duration = Duration::from_secs(180);

fn example_headers(signature: &str) -> StandardHeaders<'_> {
    StandardHeaders {
        id: EXAMPLE_ID,
        timestamp: "1614265330",
        signature,
    }
}

fn example_secret() -> SigningSecret {
    EXAMPLE_SECRET.parse().unwrap()
}

fn mac_hex(key: &[u8], message: &[u8]) -> String {
    hex::encode(over(&keyed(key), "", message).finalize().into_bytes())
}

/// Source: RFC 4231, section 4.
#[test]
fn the_primitive_gives_the_results_of_rfc_4231() {
    let counting: Vec<u8> = (1..=25).collect();
    let long_data =
        b"This is a test using a larger than block-size key and a larger than block-size data. \
        The key needs to be hashed before being used by the HMAC algorithm.";
    for (key, data, expected) in [
        (
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &counting,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        // The fifth is published cut to 128 bits.
        (
            &[0x0c; 20],
            b"Test With Truncation",
            "a3b6167473100ee06e0c796c2955552b",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            long_data,
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ] {
        assert_eq!(mac_hex(key, data).get(..expected.len()), Some(expected));
    }
}

#[test]
fn the_primitive_gives_the_result_of_the_contract() {
    assert_eq!(
        mac_hex(b"test_secret", b""),
        "f7f9bd47fb987337b5796fdc1fdb9ba221d0d5396814bfcaf9521f43fd8927fd"
    );
}

/// The vector's secret is no base64, so it keys the scheme directly.
#[test]
fn the_worked_vector_of_the_contract_is_signed_and_verified() {
    let key = keyed(WORKED_SECRET.as_bytes());
    let body = WORKED_BODY.as_bytes();

    let body_hash = hex::encode(Sha256::digest(body));
    assert_eq!(
        body_hash,
        "fe10e67accd2a979131923f7dbb85f3378fcc0a4cc556b18a1c78c2156080d24"
    );
    assert_eq!(contract_header(&key, WORKED_TIME_MS, body), WORKED_HEADER);
    assert_eq!(
        check_contract(&key, WORKED_HEADER, body, WORKED_TIME_MS, TOLERANCE),
        Ok(())
    );
}

/// The expected signature was computed with openssl.
#[test]
fn the_whole_text_of_a_secret_keys_the_contract_signature() {
    let header = sign_contract(&example_secret(), EXAMPLE_TIME_S * 1000, EXAMPLE_BODY);

    assert_eq!(
        header,
        "t=1614265330000, v1=38dcd345d12a163975f2a8484af858926bb995e425f50d05a5aaeaacf2178698"
    );
}

#[test]
fn a_header_that_some_receiver_refuses_is_refused() {
    let (stamp, signature) = WORKED_HEADER.split_once(", ").unwrap();
    let wrong = format!("v1={}", "0".repeat(64));
    let upper = format!("v1={}", signature[3..].to_uppercase());
    let check = |header: &str| {
        check_contract(
            &keyed(WORKED_SECRET.as_bytes()),
            header,
            WORKED_BODY.as_bytes(),
            WORKED_TIME_MS,
            TOLERANCE,
        )
    };

    for malformed in [
        format!("{stamp},{signature}"),
        format!("{stamp},  {signature}"),
        format!("{stamp}, {signature}, {wrong}"),
        format!("{stamp}, {wrong}, {signature}"),
        format!("{stamp}, {signature}, v2=1"),
        format!("{signature}, {stamp}"),
        format!("{stamp}, {upper}"),
        format!("t=1767225600, {signature}"),
        format!("t=+767225600000, {signature}"),
        format!("{stamp}, {}", &signature[..66]),
        format!("{stamp}, {signature} "),
        stamp.to_owned(),
        String::new(),
    ] {
        assert_eq!(
            check(&malformed),
            Err(SignatureFault::Malformed),
            "{malformed}"
        );
    }
    assert_eq!(
        check(&format!("{stamp}, {wrong}")),
        Err(SignatureFault::Mismatch)
    );
    assert_eq!(
        check(&format!("t=1767225600001, {signature}")),
        Err(SignatureFault::Mismatch)
    );
}

#[test]
fn a_contract_signature_holds_up_to_the_tolerance_before_and_after_its_time() {
    let secret = example_secret();
    let header = sign_contract(&secret, WORKED_TIME_MS, b"{}");
    let at = |now_ms| verify_contract(&secret, &header, b"{}", now_ms, TOLERANCE);

    assert_eq!(at(WORKED_TIME_MS + 180_000), Ok(()));
    assert_eq!(at(WORKED_TIME_MS - 180_000), Ok(()));
    assert_eq!(
        at(WORKED_TIME_MS + 180_001),
        Err(SignatureFault::OutsideTolerance)
    );
    assert_eq!(
        at(WORKED_TIME_MS - 180_001),
        Err(SignatureFault::OutsideTolerance)
    );
    assert_eq!(at(i64::MIN), Err(SignatureFault::OutsideTolerance));
}

#[test]
fn the_time_of_a_contract_signature_has_thirteen_digits_from_the_first_millisecond_on() {
    let header = sign_contract(&example_secret(), 0, b"{}");

    assert!(header.starts_with("t=0000000000000, v1="), "{header}");
    assert_eq!(
        verify_contract(&example_secret(), &header, b"{}", 0, TOLERANCE),
        Ok(())
    );
}

#[test]
fn the_example_of_standard_webhooks_is_signed_and_verified() {
    let secret = example_secret();

    let signed = sign_standard([&secret], EXAMPLE_ID, EXAMPLE_TIME_S, EXAMPLE_BODY);

    assert_eq!(signed, EXAMPLE_SIGNATURE);
    let headers = example_headers(EXAMPLE_SIGNATURE);
    assert_eq!(
        verify_standard(&secret, headers, EXAMPLE_BODY, EXAMPLE_TIME_S, TOLERANCE),
        Ok(())
    );
}

#[test]
fn during_a_rotation_each_secret_verifies_the_same_header() {
    let (previous, next) = (example_secret(), SigningSecret::from_bytes([7; 32]));
    let other = SigningSecret::from_bytes([8; 32]);

    let signed = sign_standard([&previous, &next], EXAMPLE_ID, EXAMPLE_TIME_S, EXAMPLE_BODY);

    let verified = |secret| {
        verify_standard(
            secret,
            example_headers(&signed),
            EXAMPLE_BODY,
            EXAMPLE_TIME_S,
            TOLERANCE,
        )
    };
    assert!(
        signed.starts_with(&format!("{EXAMPLE_SIGNATURE} v1,")),
        "{signed}"
    );
    assert_eq!(verified(&previous), Ok(()));
    assert_eq!(verified(&next), Ok(()));
    assert_eq!(verified(&other), Err(SignatureFault::Mismatch));
}

#[test]
fn standard_headers_that_do_not_hold_are_refused() {
    let secret = example_secret();
    let good = example_headers(EXAMPLE_SIGNATURE);
    let check =
        |headers, body: &[u8], now_s| verify_standard(&secret, headers, body, now_s, TOLERANCE);

    for signature in [
        "",
        "v1,",
        "v1,!",
        "v1",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE",
    ] {
        let refused = check(example_headers(signature), EXAMPLE_BODY, EXAMPLE_TIME_S);
        assert_eq!(refused, Err(SignatureFault::Mismatch), "{signature}");
    }
    let among_others = format!("v1a,x v1,!  {EXAMPLE_SIGNATURE}");
    assert_eq!(
        check(example_headers(&among_others), EXAMPLE_BODY, EXAMPLE_TIME_S),
        Ok(())
    );
    assert_eq!(
        check(
            StandardHeaders {
                id: "msg_x",
                ..good
            },
            EXAMPLE_BODY,
            EXAMPLE_TIME_S
        ),
        Err(SignatureFault::Mismatch)
    );
    assert_eq!(
        check(good, b"{}", EXAMPLE_TIME_S),
        Err(SignatureFault::Mismatch)
    );
    assert_eq!(
        check(
            StandardHeaders {
                timestamp: "now",
                ..good
            },
            EXAMPLE_BODY,
            EXAMPLE_TIME_S
        ),
        Err(SignatureFault::Malformed)
    );
    assert_eq!(
        check(good, EXAMPLE_BODY, EXAMPLE_TIME_S + 181),
        Err(SignatureFault::OutsideTolerance)
    );
    assert_eq!(
        check(good, EXAMPLE_BODY, EXAMPLE_TIME_S - 181),
        Err(SignatureFault::OutsideTolerance)
    );
    assert_eq!(
        check(good, EXAMPLE_BODY, i64::MIN),
        Err(SignatureFault::OutsideTolerance)
    );
}

#[test]
fn a_secret_is_the_prefix_and_the_base64_of_24_to_32_bytes() {
    let of_bytes =
        |count| format!("whsec_{}", BASE64.encode(vec![0xfb; count])).parse::<SigningSecret>();

    assert!(of_bytes(24).is_ok() && of_bytes(32).is_ok());
    assert!(of_bytes(23).is_err() && of_bytes(33).is_err());
    for text in [
        WORKED_SECRET,
        &EXAMPLE_SECRET[6..],
        &EXAMPLE_SECRET.to_uppercase(),
        "whsec_",
        "",
        &format!("{EXAMPLE_SECRET}\n"),
    ] {
        assert!(text.parse::<SigningSecret>().is_err(), "{text}");
    }
}

#[test]
fn a_secret_shows_its_text_only_when_exposed() {
    let secret = example_secret();

    assert_eq!(secret.expose(), EXAMPLE_SECRET);
    assert_eq!(format!("{secret:?}"), "SigningSecret([redacted])");
    assert_eq!(
        SigningSecret::from_bytes([0; 32]).expose(),
        format!("whsec_{}=", "A".repeat(43))
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the foreign verifier reads the system clock"
)]
fn a_foreign_receiver_verifies_our_standard_signature() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let timestamp_s = i64::try_from(now.as_secs()).unwrap();
    let (previous, next) = (example_secret(), SigningSecret::from_bytes([7; 32]));
    let signature = sign_standard(
        [&previous, &next],
        "event_1",
        timestamp_s,
        WORKED_BODY.as_bytes(),
    );
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("event_1"));
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp_s));
    headers.insert("webhook-signature", signature.parse().unwrap());

    for secret in [&previous, &next] {
        let receiver = Webhook::new(secret.expose()).unwrap();
        assert!(receiver.verify(WORKED_BODY.as_bytes(), &headers).is_ok());
        assert!(receiver.verify(b"{}", &headers).is_err());
    }
}

proptest! {
    #[test]
    fn a_foreign_standard_signature_equals_ours_and_verifies(
        bytes in any::<[u8; 32]>(), id in "[a-z0-9_]{1,40}", timestamp_s in 0..10_000_000_000_i64, body in any::<String>(),
    ) {
        let secret = SigningSecret::from_bytes(bytes);
        let foreign = Webhook::new(secret.expose()).unwrap().sign(&id, timestamp_s, body.as_bytes()).unwrap();

        prop_assert_eq!(&sign_standard([&secret], &id, timestamp_s, body.as_bytes()), &foreign);
        let timestamp = timestamp_s.to_string();
        let headers = StandardHeaders { id: &id, timestamp: &timestamp, signature: &foreign };
        prop_assert_eq!(verify_standard(&secret, headers, body.as_bytes(), timestamp_s, TOLERANCE), Ok(()));
    }

    #[test]
    fn a_contract_signature_holds_for_its_secret_and_body_alone(
        bytes in any::<[u8; 32]>(), timestamp_ms in 0..10_000_000_000_000_i64, body in any::<Vec<u8>>(), bit in any::<proptest::sample::Index>(),
    ) {
        let secret = SigningSecret::from_bytes(bytes);
        let header = sign_contract(&secret, timestamp_ms, &body);
        let check = |secret, body: &[u8]| verify_contract(secret, &header, body, timestamp_ms, TOLERANCE);

        prop_assert_eq!(check(&secret, &body), Ok(()));
        let mut altered = [&bytes[..], &body].concat();
        let bit = bit.index(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        let (other_bytes, other_body) = altered.split_first_chunk::<32>().unwrap();
        prop_assert_eq!(check(&SigningSecret::from_bytes(*other_bytes), other_body), Err(SignatureFault::Mismatch));
    }
}
