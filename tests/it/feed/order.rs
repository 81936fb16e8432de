//! Order: ids and positions rise across servers, and nothing unrelated holds the feed up.

use serde_json::{Value, json};

use crate::harness::TestPlatform;

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_positions_rise_across_servers() {
    let first = TestPlatform::builder().in_real_time().start().await;
    let second = TestPlatform::builder().beside(&first).start().await;
    let mut events = Vec::new();

    for number in 0..60 {
        let platform = if number % 2 == 0 { &first } else { &second };
        events.push(platform.publish("a", json!({})).await);
    }

    let ids: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    let positions: Vec<_> = events
        .iter()
        .map(|event| event["position"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(positions, (1..=60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_rise_when_a_servers_clock_goes_back() {
    let ahead = TestPlatform::usual().await;
    let behind = TestPlatform::builder()
        .beside(&ahead)
        .in_real_time()
        .start()
        .await;
    ahead.clock.advance(crate::harness::hours(1));

    let first = ahead.publish("a", json!({})).await;
    let second = behind.publish("a", json!({})).await;
    let third = ahead.publish("a", json!({})).await;

    let ids: Vec<_> = [&first, &second, &third]
        .map(|event| event["id"].as_str().unwrap())
        .into();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(third["position"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_transaction_that_stays_open_does_not_delay_the_feed() {
    let platform = TestPlatform::builder().in_real_time().start().await;
    let sql = platform.sql().await;
    sql.batch_execute("BEGIN; CREATE TABLE unrelated (id int); SELECT pg_current_xact_id()")
        .await
        .unwrap();

    for number in 1..=20 {
        let event = platform.publish("a", json!({})).await;
        let feed = platform.client().get("/events?limit=100").await.expect(200);
        let data = feed["data"].as_array().unwrap();
        assert_eq!((data.len(), data.last()), (number, Some(&event)));
    }

    sql.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_count_their_own_positions() {
    let platform = TestPlatform::usual().await;
    let foreign = platform.foreign_client().await;
    let body = json!({ "event": "a", "data": {} });

    let mut positions: Vec<Value> = Vec::new();
    for _ in 0..3 {
        positions.push(platform.publish("a", json!({})).await["position"].clone());
        positions.push(foreign.post("/events", &body).await.expect(201)["position"].clone());
    }

    assert_eq!(
        positions,
        [1, 1, 2, 2, 3, 3].map(|position| json!(position))
    );
}
