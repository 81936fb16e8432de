//! The real dispatcher: what is committed is sent without asking the database for it, and nobody delays others.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Answer, Receiver, TestPlatform, eventually, hours};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_handed_over_at_commit_and_needs_no_poll() {
    let platform = TestPlatform::builder()
        .dispatching()
        .configure(|config| config.delivery.poll = hours(1))
        .start()
        .await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let mut ids = Vec::new();

    for _ in 0..20 {
        let event = platform.publish("a", json!({})).await;
        ids.push(event["id"].as_str().unwrap().to_owned());
    }
    eventually("all are delivered", async || {
        (platform.deliveries("state=delivered").await.len() == 20).then_some(())
    })
    .await;

    let mut seen = receiver.webhook_ids();
    seen.sort();
    assert_eq!(seen, ids);
    platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_an_endpoint_that_is_enabled_again_wake_the_dispatcher() {
    let platform = TestPlatform::builder()
        .dispatching()
        .configure(|config| config.delivery.poll = hours(1))
        .start()
        .await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    let delivered = async |count: usize| {
        eventually("delivered", async || {
            (platform.deliveries("state=delivered").await.len() == count).then_some(())
        })
        .await;
    };
    delivered(1).await;
    let delivery = platform.delivery_of(&event).await;
    let replay = format!("/deliveries/{}/replay", delivery["id"].as_str().unwrap());
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());

    platform
        .client()
        .post(&replay, &json!({}))
        .await
        .expect(201);
    delivered(2).await;
    platform
        .client()
        .patch(&path, &json!({ "status": "disabled" }))
        .await
        .expect(200);
    let sql = platform.sql().await;
    sql.execute(
        "INSERT INTO outbox (environment_id, id, event_id, endpoint_id, due_at, created_at) \
         SELECT environment_id, gen_random_uuid(), event_id, endpoint_id, now(), now() FROM deliveries LIMIT 1",
        &[],
    )
    .await
    .unwrap();
    platform
        .client()
        .patch(&path, &json!({ "status": "enabled" }))
        .await
        .expect(200);

    delivered(3).await;
    platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_delays_nobody_else() {
    let platform = TestPlatform::builder()
        .dispatching()
        .configure(|config| {
            config.delivery.poll = Duration::from_millis(50);
            config.delivery.drain = Duration::from_millis(50);
        })
        .start()
        .await;
    let hanging = Receiver::answering([Answer::Hang]).await;
    let healthy = Receiver::answering([200]).await;
    platform.create_endpoint(&hanging, []).await;
    platform.create_endpoint(&healthy, []).await;
    let events = vec![json!({ "event": "a", "data": {} }); 500];

    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);

    eventually("the healthy endpoint has everything", async || {
        (healthy.requests().len() == 500).then_some(())
    })
    .await;
    assert!(
        hanging.requests().len() <= 32,
        "{}",
        hanging.requests().len()
    );
    platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_that_stops_sends_nothing_twice_and_leaves_nothing_leased() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let events = vec![json!({ "event": "a", "data": {} }); 300];
    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);
    let sql = platform.sql().await;

    let drained = platform.finish().await;

    assert_eq!(drained.aborted, 0);
    let count = async |query: &str| sql.query_one(query, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(
        count("SELECT count(*) FROM outbox WHERE lease_id IS NOT NULL").await,
        0
    );
    let settled = count("SELECT count(*) FROM deliveries").await;
    let mut ids = receiver.webhook_ids();
    assert_eq!(i64::try_from(ids.len()).unwrap(), settled);
    ids.sort();
    ids.dedup();
    assert_eq!(i64::try_from(ids.len()).unwrap(), settled);
}
