//! Attempts: everything that was tried is recorded as it was.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_shows_what_was_sent_and_what_came_back() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let answer = Answer::from(418)
        .with("x-reason", "teapot")
        .saying("né".into());
    let receiver = Receiver::answering([answer]).await;
    platform.create_endpoint(&receiver, []).await;

    let event = platform.publish("a", json!({})).await;
    let started = tidings::domain::time::to_text(platform.clock.now());
    platform.dispatch_due().await;

    let attempt = platform
        .attempts(&platform.delivery_of(&event).await)
        .await
        .remove(0);
    assert_eq!(
        (
            &attempt["object"],
            &attempt["number"],
            &attempt["started_at"],
            &attempt["outcome"],
            &attempt["status"]
        ),
        (
            &json!("delivery_attempt"),
            &json!(1),
            &json!(started),
            &json!("refused"),
            &json!(418)
        )
    );
    assert_eq!(
        (
            &attempt["response"]["body"],
            &attempt["response"]["body_encoding"]
        ),
        (&json!("né"), &json!("utf8"))
    );
    let answered = attempt["response"]["headers"].as_array().unwrap();
    assert!(
        answered.contains(&json!({ "name": "x-reason", "value": "teapot" })),
        "{answered:?}"
    );

    let request = receiver.requests().remove(0);
    let pair = |header: &Value| {
        let text = |member: &str| header[member].as_str().unwrap().to_owned();
        (text("name"), text("value"))
    };
    let mut shown: Vec<_> = attempt["request"]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect();
    // what HTTP itself adds
    let added = [
        "host",
        "content-length",
        "accept",
        "accept-encoding",
        "connection",
    ];
    let mut sent = request.headers.clone();
    sent.retain(|(name, _)| !added.contains(&name.as_str()));
    shown.sort();
    sent.sort();
    assert_eq!(shown, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_kibibytes_of_an_answer_are_kept_and_more_is_let_go() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    for (bytes, kept) in [
        (0, 0),
        (16_384, 16_384),
        (16_385, 16_384),
        (5_000_000, 16_384),
    ] {
        let receiver = Receiver::answering([Answer::from(200).saying(vec![b'x'; bytes])]).await;
        let name = format!("b{bytes}");
        platform.create_endpoint(&receiver, [&name]).await;

        let event = platform.publish(&name, json!({})).await;
        platform.dispatch_due().await;

        assert_eq!(platform.outcomes(&event).await, ["accepted 200"], "{bytes}");
        let attempt = platform
            .attempts(&platform.delivery_of(&event).await)
            .await
            .remove(0);
        assert_eq!(attempt["response"]["body"].as_str().unwrap().len(), kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_text_is_shown_as_base64() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([Answer::from(200).saying(vec![0xff, 0])]).await;
    platform.create_endpoint(&receiver, []).await;

    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    let attempt = platform
        .attempts(&platform.delivery_of(&event).await)
        .await
        .remove(0);
    assert_eq!(
        (
            &attempt["response"]["body"],
            &attempt["response"]["body_encoding"]
        ),
        (&json!("/wA="), &json!("base64"))
    );
}
