//! Replays: old events as new deliveries; history is not rewritten.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform, hours, seconds};

async fn replay(platform: &TestPlatform, delivery: &Value) -> Value {
    let path = format!("/deliveries/{}/replay", delivery["id"].as_str().unwrap());
    platform.client().post(&path, &json!({})).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_a_new_delivery_of_the_same_event_that_names_the_old_one() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500, 200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let old = platform.delivery_of(&event).await;
    platform.clock.advance(hours(1));

    let new = replay(&platform, &old).await;
    platform.dispatch_due().await;

    assert_ne!(new["id"], old["id"]);
    assert_eq!(
        (&new["replay_of"], &new["state"]),
        (&old["id"], &json!("pending"))
    );
    let path = |delivery: &Value| format!("/deliveries/{}", delivery["id"].as_str().unwrap());
    let new = platform.client().get(&path(&new)).await.expect(200);
    assert_eq!(
        (&new["state"], &new["attempts"]),
        (&json!("delivered"), &json!(1))
    );
    assert_eq!(platform.client().get(&path(&old)).await.expect(200), old);
    let requests = receiver.requests();
    assert_eq!(
        requests[0].header("webhook-id"),
        requests[1].header("webhook-id")
    );
    assert_eq!(requests[0].body, requests[1].body);
    assert_ne!(
        requests[0].header("tidings-delivery-id"),
        requests[1].header("tidings-delivery-id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_a_pending_and_a_replayed_delivery_can_be_replayed() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500, 200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let pending = platform.delivery_of(&event).await;

    let second = replay(&platform, &pending).await;
    platform.dispatch_due().await;
    let third = replay(&platform, &second).await;
    platform.dispatch_due().await;

    assert_eq!(second["replay_of"], pending["id"]);
    assert_eq!(third["replay_of"], second["id"]);
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_replayed_to_an_endpoint_that_is_disabled_or_deleted() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let delivery = platform.delivery_of(&event).await;
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());

    platform
        .client()
        .patch(&path, &json!({ "status": "disabled" }))
        .await
        .expect(200);
    let disabled = replay(&platform, &delivery).await;
    platform.client().delete(&path).await;
    let deleted = replay(&platform, &delivery).await;

    assert_eq!(disabled["code"], "endpoint_disabled");
    assert_eq!(deleted["code"], "entity_not_found");
    assert_eq!(platform.deliveries("").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_by_event_endpoint_and_state() {
    let platform = TestPlatform::usual().await;
    let (good, bad) = (
        Receiver::answering([200]).await,
        Receiver::answering([500]).await,
    );
    let first = platform.create_endpoint(&good, ["a", "b"]).await;
    let second = platform.create_endpoint(&bad, ["b"]).await;
    let a = platform.publish("a", json!({})).await;
    let b = platform.publish("b", json!({})).await;
    platform.dispatch_due().await;
    let text = |object: &Value| object["id"].as_str().unwrap().to_owned();

    for (query, count) in [
        (String::new(), 3),
        ("state=delivered".to_owned(), 2),
        ("state=pending".to_owned(), 1),
        ("state=exhausted".to_owned(), 0),
        ("state=cancelled".to_owned(), 0),
        (format!("event_id={}", text(&a)), 1),
        (format!("event_id={}", text(&b)), 2),
        (format!("webhook_endpoint_id={}", text(&first)), 2),
        (format!("endpoint_id={}", text(&second)), 1),
        (
            format!(
                "event_id={}&endpoint_id={}&state=delivered",
                text(&b),
                text(&second)
            ),
            0,
        ),
        (
            format!(
                "event_id={}&endpoint_id={}&state=pending",
                text(&b),
                text(&second)
            ),
            1,
        ),
    ] {
        assert_eq!(platform.deliveries(&query).await.len(), count, "{query}");
    }
    let refused = platform
        .client()
        .get("/deliveries?state=late&event_id=we_1")
        .await;
    assert_eq!(refused.faults().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_by_what_their_last_attempt_came_to() {
    let platform = TestPlatform::builder().retry_delays([5, 60]).start().await;
    let good = Receiver::answering([200]).await;
    let mending = Receiver::answering([500, 204]).await;
    let mut worsening = Receiver::answering([503]).await;
    for receiver in [&good, &mending, &worsening] {
        platform.create_endpoint(receiver, ["a"]).await;
    }
    let listed = async |outcome: &str| {
        let query = format!("outcome={outcome}");
        platform.deliveries(&query).await.len()
    };
    platform.publish("a", json!({})).await;

    assert_eq!(
        (listed("accepted").await, listed("refused").await),
        (0, 0),
        "nothing was tried"
    );
    platform.dispatch_due().await;
    assert_eq!((listed("accepted").await, listed("refused").await), (1, 2));
    worsening.stop().await;
    platform.dispatch_after(seconds(6)).await;
    assert_eq!((listed("accepted").await, listed("refused").await), (2, 0));
    assert_eq!(listed("unreachable&state=pending").await, 1);
    platform.dispatch_after(seconds(70)).await;
    assert_eq!(listed("unreachable&state=exhausted").await, 1);
    assert_eq!(listed("unreachable&state=delivered").await, 0);
    for outcome in ["timed_out", "forbidden"] {
        assert_eq!(listed(outcome).await, 0, "{outcome}");
    }

    let wrong = platform.client().get("/deliveries?outcome=failed").await;
    let fault = ("outcome".to_owned(), "invalid_outcome".to_owned());
    assert_eq!(wrong.faults(), [fault]);
}
