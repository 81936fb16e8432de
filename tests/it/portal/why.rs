//! Why an event went to an endpoint, or did not, asked through the API.

use serde_json::{Value, json};

use super::Visitor;
use crate::harness::{Receiver, TestPlatform, minutes};

async fn why(platform: &TestPlatform, event: &Value, endpoint: &Value) -> Value {
    let (event, endpoint) = (
        event["id"].as_str().unwrap(),
        endpoint["id"].as_str().unwrap(),
    );
    let path = format!("/events/{event}/why?endpoint={endpoint}");
    platform.client().get(&path).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_from_its_first_attempt_to_its_last() {
    let platform = TestPlatform::builder().retry_delays([5]).start().await;
    let receiver = Receiver::answering([503, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["invoice.*"]).await;
    let event = platform.publish("invoice.paid", json!({})).await;

    let due = why(&platform, &event, &endpoint).await;
    platform.dispatch_due().await;
    let retrying = why(&platform, &event, &endpoint).await;
    platform.dispatch_after(minutes(1)).await;
    let delivered = why(&platform, &event, &endpoint).await;

    let verdicts = [&due, &retrying, &delivered].map(|answer| answer["verdict"].clone());
    assert_eq!(verdicts, ["due", "retrying", "delivered"]);
    assert_eq!(retrying["last_outcome"], "refused 503");
    assert_eq!(retrying["matched_by"], "invoice.*");
    assert!(retrying["next_attempt_at"].is_string());
    assert_eq!(delivered["last_outcome"], "accepted 200");
    assert_eq!(delivered["delivery_ids"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_went_nowhere_is_explained_too() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let other = platform.create_endpoint(&receiver, ["order.*"]).await;
    let event = platform.publish("invoice.paid", json!({})).await;
    platform.clock.advance(minutes(1));
    let later = json!({ "endpoint_url": "http://127.0.0.1:7009/later", "events": [] });
    let later = platform.register(later).await;

    assert_eq!(
        why(&platform, &event, &other).await["verdict"],
        "no_pattern"
    );
    let newer = why(&platform, &event, &later).await;
    assert_eq!(
        (&newer["verdict"], &newer["matched"]),
        (&json!("endpoint_is_newer"), &json!(true))
    );

    let path = format!("/events/{}/why", event["id"].as_str().unwrap());
    let faults = platform.client().get(&path).await.faults();
    assert_eq!(faults, [("endpoint".to_owned(), "required".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_endpoint_is_left_alone_says_so_and_when_that_is_probed() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let events = vec![json!({ "event": "a", "data": {} }); 60];
    let published = platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);
    platform.dispatch_due().await;
    let last = published["data"].as_array().unwrap().last().unwrap();
    let path = format!(
        "/webhook_endpoints/{}/health",
        endpoint["id"].as_str().unwrap()
    );
    let health = platform.client().get(&path).await.expect(200);

    let paused = why(&platform, last, &endpoint).await;
    let delivery = platform.delivery_of(last).await;
    let mut visitor = Visitor::operator(&platform).await;
    let page = visitor
        .get(&format!(
            "/portal/deliveries/{}",
            delivery["id"].as_str().unwrap()
        ))
        .await;

    assert_eq!(delivery["attempts"], 0);
    assert_eq!(paused["verdict"], "paused", "{paused}");
    let probe_at = health["breaker"]["probe_at"].as_str().unwrap();
    assert_eq!(paused["next_attempt_at"], probe_at);
    let text = page.text;
    assert!(
        text.contains("It waits for the endpoint to recover"),
        "{text}"
    );
    assert!(text.contains(probe_at), "{text}");

    // once it is well again, what was left is sent, and nothing waits for a probe any more
    receiver.answer_now([200]);
    platform.dispatch_after(minutes(1)).await;
    assert_eq!(
        why(&platform, last, &endpoint).await["verdict"],
        "delivered"
    );
}
