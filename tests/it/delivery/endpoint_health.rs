//! Endpoints that fail for good, are switched off, on again, or deleted.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform, hours, minutes, seconds};

fn path(endpoint: &Value) -> String {
    format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap())
}

async fn shown(platform: &TestPlatform, endpoint: &Value) -> Value {
    platform.client().get(&path(endpoint)).await.expect(200)
}

/// The platform's own notices in the feed.
async fn notices(platform: &TestPlatform) -> Vec<Value> {
    let list = platform
        .client()
        .get("/events?events=webhook_endpoint.disabled")
        .await
        .expect(200);
    list["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_ends_the_delivery_and_disables_the_endpoint_and_the_feed_says_so() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([410]).await;
    let watcher = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    platform
        .create_endpoint(&watcher, ["webhook_endpoint.*"])
        .await;

    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    assert_eq!(platform.delivery_of(&event).await["state"], "exhausted");
    let endpoint = shown(&platform, &endpoint).await;
    assert_eq!(
        (&endpoint["status"], &endpoint["disabled_reason"]),
        (&json!("disabled"), &json!("gone"))
    );
    let notices = notices(&platform).await;
    assert_eq!(notices.len(), 1);
    assert_eq!(
        notices[0]["data"],
        json!({
            "object": "webhook_endpoint", "id": endpoint["id"], "endpoint_url": receiver.url(),
            "status": "disabled", "disabled_reason": "gone",
        })
    );
    assert_eq!(watcher.webhook_ids(), [notices[0]["id"].as_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_days_of_nothing_but_failures_disable_an_endpoint() {
    let platform = TestPlatform::builder()
        .retry_delays([86_400; 8])
        .start()
        .await;
    let receiver = Receiver::answering([500]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let began = tidings::domain::time::to_text(platform.clock.now());

    platform.dispatch_after(hours(5 * 24) - seconds(1)).await;
    let before = shown(&platform, &endpoint).await;
    // due again after at most 1.2 days
    platform.dispatch_after(hours(30)).await;
    let after = shown(&platform, &endpoint).await;

    assert_eq!(
        (&before["status"], &before["failing_since"]),
        (&json!("enabled"), &json!(began))
    );
    assert_eq!(
        (&after["status"], &after["disabled_reason"]),
        (&json!("disabled"), &json!("failing"))
    );
    assert_eq!(notices(&platform).await.len(), 1);
    assert_eq!(platform.dispatch_after(hours(1_000)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_success_makes_an_endpoint_well_again() {
    let platform = TestPlatform::builder()
        .retry_delays([86_400; 10])
        .start()
        .await;
    let receiver = Receiver::answering([500, 200, 500]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    platform.dispatch_after(hours(72)).await;
    assert_eq!(
        shown(&platform, &endpoint).await["failing_since"],
        Value::Null
    );

    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    platform.dispatch_after(hours(72)).await;

    assert_eq!(receiver.requests().len(), 4);
    assert_eq!(shown(&platform, &endpoint).await["status"], "enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_gets_nothing_and_what_it_was_owed_goes_out_when_it_is_enabled() {
    let platform = TestPlatform::builder().retry_delays([5, 5]).start().await;
    let receiver = Receiver::answering([500, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let owed = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    platform
        .client()
        .patch(&path(&endpoint), &json!({ "status": "disabled" }))
        .await
        .expect(200);
    let missed = platform.publish("a", json!({})).await;
    assert_eq!(platform.dispatch_after(minutes(10)).await, 0);
    assert_eq!(platform.delivery_of(&owed).await["state"], "pending");
    platform
        .client()
        .patch(&path(&endpoint), &json!({ "status": "enabled" }))
        .await
        .expect(200);
    platform.dispatch_due().await;

    let owed_id = owed["id"].as_str().unwrap();
    assert_eq!(receiver.webhook_ids(), [owed_id, owed_id]);
    assert_eq!(platform.delivery_of(&owed).await["state"], "delivered");
    let query = format!("event_id={}", missed["id"].as_str().unwrap());
    assert!(platform.deliveries(&query).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_to_a_deleted_endpoint_is_cancelled() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let tried = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let waiting = platform.publish("a", json!({})).await;

    platform.client().delete(&path(&endpoint)).await;
    let later = platform.publish("a", json!({})).await;

    assert_eq!(platform.dispatch_after(hours(1_000)).await, 0);
    assert_eq!(receiver.requests().len(), 1);
    for (event, attempts) in [(&tried, 1), (&waiting, 0)] {
        let delivery = platform.delivery_of(event).await;
        assert_eq!(
            (
                &delivery["state"],
                &delivery["cancel_reason"],
                &delivery["attempts"]
            ),
            (
                &json!("cancelled"),
                &json!("endpoint_deleted"),
                &json!(attempts)
            )
        );
    }
    assert_eq!(platform.outcomes(&tried).await, ["refused 500"]);
    let query = format!("event_id={}", later["id"].as_str().unwrap());
    assert!(platform.deliveries(&query).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_url_counts_for_deliveries_that_were_owed_before() {
    let platform = TestPlatform::builder().retry_delays([5]).start().await;
    let old = Receiver::answering([500]).await;
    let new = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&old, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    platform
        .client()
        .patch(&path(&endpoint), &json!({ "endpoint_url": new.url() }))
        .await
        .expect(200);
    platform.dispatch_after(seconds(6)).await;

    assert_eq!(old.requests().len(), 1);
    assert_eq!(new.webhook_ids(), [event["id"].as_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_starts_in_good_health_and_the_same_one_again_does_not() {
    let platform = TestPlatform::usual().await;
    let (old, new) = (
        Receiver::answering([500]).await,
        Receiver::answering([200]).await,
    );
    let endpoint = platform.create_endpoint(&old, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let patch = async |receiver: &Receiver| {
        let body = json!({ "endpoint_url": receiver.url(), "description": receiver.url() });
        let client = platform.client();
        client.patch(&path(&endpoint), &body).await.expect(200);
        shown(&platform, &endpoint).await["failing_since"].clone()
    };

    let (same, moved) = (patch(&old).await, patch(&new).await);

    assert!(same.is_string(), "{same}");
    assert_eq!(moved, Value::Null);
}
