//! Signatures: every attempt verifies with foreign code, in both families, at its own time.

use serde_json::json;

use super::verify::{contract, contract_time, crate_accepts, standard};
use crate::harness::{Receiver, TestPlatform, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_verifies_in_both_families_with_a_fresh_time_and_the_same_id() {
    let platform = TestPlatform::builder()
        .retry_delays([2, 2, 2])
        .start()
        .await;
    let receiver = Receiver::answering([500, 503, 429, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, []).await;
    let secret = endpoint["secret"].as_str().unwrap();
    let event = platform
        .publish("a", json!({ "text": "é\u{0}😀", "n": 1.5 }))
        .await;
    let mut times = Vec::new();

    for _ in 0..4 {
        times.push(platform.clock.now().timestamp_millis());
        platform.dispatch_due().await;
        platform.clock.advance(seconds(3));
    }

    let requests = receiver.requests();
    assert_eq!(requests.len(), 4);
    for ((request, time), number) in requests.iter().zip(times).zip(1..) {
        assert!(crate_accepts(request, secret));
        assert_eq!(
            request.header("webhook-signature"),
            standard(request, secret)
        );
        assert_eq!(
            request.header("workos-signature"),
            contract(request, secret)
        );
        assert_eq!(request.header("webhook-id"), event["id"].as_str().unwrap());
        assert_eq!(
            request.header("webhook-timestamp"),
            (time / 1_000).to_string()
        );
        assert_eq!(contract_time(request), time);
        assert_eq!(request.header("tidings-attempt"), number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_body_and_another_secret_do_not_verify() {
    let platform = TestPlatform::usual().await;
    let (receiver, other) = (
        Receiver::answering([200]).await,
        Receiver::answering([200]).await,
    );
    let endpoint = platform.create_endpoint(&receiver, []).await;
    let another = platform.create_endpoint(&other, []).await;
    platform.publish("a", json!({ "amount": 1 })).await;
    platform.dispatch_due().await;
    let (secret, wrong) = (
        endpoint["secret"].as_str().unwrap(),
        another["secret"].as_str().unwrap(),
    );

    let mut request = receiver.requests().remove(0);

    assert!(crate_accepts(&request, secret) && !crate_accepts(&request, wrong));
    let last = request.body.len() - 1;
    request.body[last] = b' ';
    assert!(!crate_accepts(&request, secret));
    assert_ne!(
        request.header("workos-signature"),
        contract(&request, secret)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_caller_brought_signs() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    platform
        .register(json!({ "endpoint_url": receiver.url(), "events": [], "secret": secret }))
        .await;

    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    let request = receiver.requests().remove(0);
    assert!(crate_accepts(&request, secret));
    assert_eq!(
        request.header("workos-signature"),
        contract(&request, secret)
    );
}
