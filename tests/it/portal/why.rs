//! Why an event went to an endpoint, or did not, asked through the API.

use serde_json::{Value, json};

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
