//! Rotation: for a while two secrets are valid, and no receiver has to be quick.

use serde_json::{Value, json};

use super::verify::{contract, crate_accepts, standard};
use crate::harness::{Receiver, Request, TestPlatform, seconds};

struct Rotating {
    platform: TestPlatform,
    receiver: Receiver,
    path: String,
    old: String,
}

async fn rotating() -> Rotating {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, []).await;
    Rotating {
        platform,
        receiver,
        path: format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap()),
        old: secret(&endpoint),
    }
}

fn secret(endpoint: &Value) -> String {
    endpoint["secret"].as_str().unwrap().to_owned()
}

impl Rotating {
    async fn rotate(&self, body: Value) -> Value {
        let path = format!("{}/rotate_secret", self.path);
        self.platform.client().post(&path, &body).await.expect(200)
    }

    /// The request of a new event.
    async fn sent(&self) -> Request {
        self.platform.publish("a", json!({})).await;
        self.platform.dispatch_due().await;
        self.receiver.requests().pop().unwrap()
    }
}

fn both(request: &Request, new: &str, old: &str) -> String {
    format!("{} {}", standard(request, new), standard(request, old))
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_overlap_both_secrets_sign_and_the_contract_keeps_the_previous_one() {
    let world = rotating().await;

    let rotated = world.rotate(json!({ "overlap_seconds": 100 })).await;
    let during = world.sent().await;
    world.platform.clock.advance(seconds(99));
    let at_the_end = world.sent().await;
    world.platform.clock.advance(seconds(1));
    let after = world.sent().await;

    let (new, old) = (secret(&rotated), &world.old);
    assert_ne!(&new, old);
    for request in [&during, &at_the_end] {
        assert_eq!(
            request.header("webhook-signature"),
            both(request, &new, old)
        );
        assert_eq!(request.header("workos-signature"), contract(request, old));
        assert!(crate_accepts(request, &new) && crate_accepts(request, old));
    }
    assert_eq!(after.header("webhook-signature"), standard(&after, &new));
    assert_eq!(after.header("workos-signature"), contract(&after, &new));
    assert!(!crate_accepts(&after, old));
    let shown = world.platform.client().get(&world.path).await.expect(200);
    assert_eq!(shown["previous_secret_expires_at"], Value::Null);
    assert_ne!(rotated["previous_secret_expires_at"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_a_rotation_ends_the_overlap_at_once() {
    let world = rotating().await;
    let rotated = world.rotate(json!({})).await;

    let path = format!("{}/complete_rotation", world.path);
    let completed = world
        .platform
        .client()
        .post(&path, &json!({}))
        .await
        .expect(200);
    let request = world.sent().await;

    let new = secret(&rotated);
    assert_eq!(
        (secret(&completed), &completed["previous_secret_expires_at"]),
        (new.clone(), &Value::Null)
    );
    assert_eq!(
        request.header("webhook-signature"),
        standard(&request, &new)
    );
    assert_eq!(request.header("workos-signature"), contract(&request, &new));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_overlap_the_new_secret_signs_alone() {
    let world = rotating().await;
    let brought = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    world
        .rotate(json!({ "overlap_seconds": 0, "secret": brought }))
        .await;
    let request = world.sent().await;

    assert_eq!(
        request.header("webhook-signature"),
        standard(&request, brought)
    );
    assert_eq!(
        request.header("workos-signature"),
        contract(&request, brought)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rotation_drops_the_oldest_secret() {
    let world = rotating().await;
    let second = secret(&world.rotate(json!({})).await);
    let third = secret(&world.rotate(json!({})).await);

    let request = world.sent().await;

    assert_eq!(
        request.header("webhook-signature"),
        both(&request, &third, &second)
    );
    assert_eq!(
        request.header("workos-signature"),
        contract(&request, &second)
    );
    assert!(!crate_accepts(&request, &world.old));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_that_are_shown_are_those_that_were_sent_or_carry_no_signature() {
    let world = rotating().await;
    let shown = async |request: &Request| {
        let id = request.header("tidings-delivery-id");
        let path = format!("/deliveries/{id}/attempts");
        let list = world.platform.client().get(&path).await.expect(200);
        let headers = list["data"][0]["request"]["headers"]
            .as_array()
            .unwrap()
            .clone();
        let pair = |header: &Value| {
            let text = |member: &str| header[member].as_str().unwrap().to_owned();
            (text("name"), text("value"))
        };
        headers.iter().map(pair).collect::<Vec<_>>()
    };
    let before = world.sent().await;
    world.platform.clock.advance(seconds(1));
    world.rotate(json!({})).await;
    world.platform.clock.advance(seconds(1));
    let during = world.sent().await;

    assert!(
        shown(&during)
            .await
            .iter()
            .all(|header| during.headers.contains(header))
    );
    world.platform.clock.advance(seconds(1));
    let path = format!("{}/complete_rotation", world.path);
    world
        .platform
        .client()
        .post(&path, &json!({}))
        .await
        .expect(200);
    world.platform.clock.advance(seconds(1));
    let after = world.sent().await;

    for request in [&before, &during, &after] {
        for header in shown(request).await {
            assert!(
                request.headers.contains(&header),
                "{header:?} was not sent: {request:?}"
            );
        }
    }
    assert!(
        shown(&after)
            .await
            .iter()
            .any(|(name, _)| name == "webhook-signature")
    );
}
