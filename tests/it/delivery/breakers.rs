//! Endpoints that fail are left alone for a while, and lose nothing by it.

use serde_json::{Value, json};
use tidings::upkeep::{UpkeepSettings, sweep};

use crate::harness::{Receiver, TestPlatform, hours, minutes, seconds};

async fn publish_many(platform: &TestPlatform, count: usize) {
    let events = vec![json!({ "event": "a", "data": {} }); count];
    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);
}

async fn health(platform: &TestPlatform, endpoint: &Value) -> Value {
    let path = format!(
        "/webhook_endpoints/{}/health",
        endpoint["id"].as_str().unwrap()
    );
    platform.client().get(&path).await.expect(200)
}

/// Fails until its endpoint is left alone; answers the endpoint and how many attempts that took.
async fn left_alone(platform: &TestPlatform, receiver: &Receiver) -> (Value, usize) {
    let endpoint = platform.create_endpoint(receiver, ["a"]).await;
    publish_many(platform, 100).await;
    let attempts = platform.dispatch_due().await;
    (endpoint, attempts)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_only_fails_is_left_alone_and_what_it_is_owed_is_not_touched() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;

    let (endpoint, attempts) = left_alone(&platform, &receiver).await;

    // ten failures, and what was under way beside them
    assert!((10..=32).contains(&attempts), "{attempts}");
    assert_eq!(receiver.requests().len(), attempts);
    assert_eq!(platform.dispatch_due().await, 0);
    let shown = health(&platform, &endpoint).await;
    assert_eq!(shown["condition"], "paused");
    assert_eq!(shown["breaker"]["state"], "open");
    assert!(shown["breaker"]["probe_at"].is_string(), "{shown}");
    assert_eq!(shown["pending"]["count"], 100);
    assert_eq!(shown["recent_attempts"]["refused"], attempts);
    let sql = platform.sql().await;
    let untouched = "SELECT count(*) FROM outbox WHERE attempts = 0 AND lease_id IS NULL AND due_at = created_at";
    let untouched: i64 = sql.query_one(untouched, &[]).await.unwrap().get(0);
    assert_eq!(usize::try_from(untouched).unwrap(), 100 - attempts);

    // one attempt at a time, and each of them counts as any other
    for probes in 1..=3 {
        assert_eq!(platform.dispatch_after(seconds(2)).await, 1, "{probes}");
    }
    let probed: i64 = sql
        .query_one("SELECT sum(attempts) FROM outbox", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(usize::try_from(probed).unwrap(), attempts + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_back_gets_everything_it_is_owed() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, _) = left_alone(&platform, &receiver).await;

    receiver.answer_now([200]);
    let attempts = platform.dispatch_after(minutes(1)).await;

    assert_eq!(attempts, 100);
    assert_eq!(platform.deliveries("state=delivered").await.len(), 100);
    let shown = health(&platform, &endpoint).await;
    assert_eq!(shown["condition"], "well");
    assert_eq!(
        shown["breaker"],
        json!({ "state": "closed", "since": null, "probe_at": null })
    );
    let rows = platform
        .sql()
        .await
        .query("SELECT 1 FROM endpoint_breakers", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_in_twenty_puts_nothing_off() {
    let platform = TestPlatform::usual().await;
    let answers = (0..300).map(|number| if number % 20 == 7 { 500 } else { 200 });
    let receiver = Receiver::answering(answers).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;

    publish_many(&platform, 200).await;

    assert_eq!(platform.dispatch_due().await, 200);
    let shown = health(&platform, &endpoint).await;
    assert_eq!(
        (&shown["condition"], &shown["breaker"]["state"]),
        (&json!("well"), &json!("closed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_has_found_out_the_others_go_by() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, _) = left_alone(&platform, &receiver).await;
    let other = TestPlatform::builder().beside(&platform).start().await;

    assert_eq!(other.dispatch_due().await, 0);
    assert_eq!(other.dispatch_after(seconds(2)).await, 1);

    receiver.answer_now([200]);
    assert!(other.dispatch_after(minutes(1)).await > 1);
    assert_eq!(health(&platform, &endpoint).await["condition"], "well");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_gets_another_url_or_is_enabled_again_is_tried_at_once() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, attempts) = left_alone(&platform, &receiver).await;
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    let well = Receiver::answering([200]).await;
    // what this server has just seen itself counts for more than what is written down
    let other = TestPlatform::builder().beside(&platform).start().await;
    assert_eq!(other.dispatch_due().await, 0);

    for change in [
        json!({ "status": "disabled" }),
        json!({ "endpoint_url": well.url() }),
    ] {
        platform.client().patch(&path, &change).await.expect(200);
        assert_eq!(other.dispatch_due().await, 0);
    }
    assert_eq!(health(&platform, &endpoint).await["condition"], "disabled");
    platform
        .client()
        .patch(&path, &json!({ "status": "enabled" }))
        .await
        .expect(200);

    assert_eq!(
        health(&platform, &endpoint).await["condition"],
        "recovering"
    );
    // those that were tried wait for their next time
    assert_eq!(other.dispatch_due().await, 100 - attempts);
    assert_eq!(well.requests().len(), 100 - attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_put_off_for_too_long_ends() {
    let platform = TestPlatform::builder().retry_delays([5]).start().await;
    let receiver = Receiver::answering([500]).await;
    left_alone(&platform, &receiver).await;
    let pending = platform.deliveries("state=pending").await.len();
    assert!(pending > 60, "{pending}");
    let settings = UpkeepSettings {
        events_for: hours(90 * 24),
        idempotency_keys_for: hours(24),
        held_deliveries_for: seconds(20),
    };

    platform.clock.advance(hours(24));
    sweep(platform.store(), &platform.clock, settings)
        .await
        .unwrap();
    assert_eq!(platform.deliveries("state=pending").await.len(), pending);
    platform.clock.advance(seconds(21));
    sweep(platform.store(), &platform.clock, settings)
        .await
        .unwrap();

    assert_eq!(platform.deliveries("state=pending").await.len(), 0);
    assert_eq!(platform.deliveries("state=cancelled").await.len(), pending);
}
