//! Limits: what is too large is refused with its own code, and what just fits is taken.

use serde_json::json;

use crate::harness::TestPlatform;

/// An event whose `data` has this many bytes when it is compact.
fn event_of(bytes: usize) -> String {
    let text = "x".repeat(bytes - r#"{"a":""}"#.len());
    format!(r#"{{"event":"large","data":{{"a":"{text}"}}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn data_may_have_as_many_bytes_as_the_setting_says_and_not_one_more() {
    let platform = TestPlatform::builder()
        .configure(|config| config.events.data_bytes_max = 1_000)
        .start()
        .await;

    let fitting = platform
        .client()
        .post_text("/events", event_of(1_000))
        .await;
    let over = platform
        .client()
        .post_text("/events", event_of(1_001))
        .await;

    assert_eq!(fitting.status, 201, "{}", fitting.text());
    assert_eq!(over.faults(), [("data".to_owned(), "too_large".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_whether_it_says_its_length_or_not() {
    let platform = TestPlatform::builder()
        .configure(|config| config.server.body_bytes_max = 10_000)
        .start()
        .await;
    let body = event_of(20_000);
    let chunks: String = body
        .as_bytes()
        .chunks(1_000)
        .map(|chunk| {
            format!(
                "{:x}\r\n{}\r\n",
                chunk.len(),
                String::from_utf8_lossy(chunk)
            )
        })
        .collect();
    let headers = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";

    let chunked = platform
        .client()
        .raw(
            "POST /events HTTP/1.1",
            headers,
            format!("{chunks}0\r\n\r\n").as_bytes(),
        )
        .await;
    let announced = platform.client().post_text("/events", body).await;

    assert_eq!(announced.verdict(), (413, "payload_too_large".to_owned()));
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    let fitting = platform
        .client()
        .post_text("/events", event_of(9_900))
        .await;
    assert_eq!(fitting.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn context_and_event_types_have_their_own_limits() {
    let platform = TestPlatform::usual().await;
    let post = async |event: &str, context: serde_json::Value| {
        let body = json!({ "event": event, "data": {}, "context": context });
        platform.client().post("/events", &body).await
    };

    assert_eq!(post(&"t".repeat(128), json!({})).await.status, 201);
    assert_eq!(
        post(&"t".repeat(129), json!({})).await.faults()[0].1,
        "invalid_event_type"
    );
    let large = json!({ "a": "x".repeat(16 * 1024) });
    assert_eq!(
        post("a", large).await.faults()[0],
        ("context".to_owned(), "too_large".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_may_nest_sixty_four_deep() {
    let platform = TestPlatform::usual().await;
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!(
            r#"{{"event":"a","data":{{"a":{}{}}}}}"#,
            "[".repeat(inner),
            "]".repeat(inner)
        )
    };

    assert_eq!(
        platform
            .client()
            .post_text("/events", nested(64))
            .await
            .status,
        201
    );
    let refused = platform.client().post_text("/events", nested(65)).await;
    assert_eq!(
        refused.faults(),
        [("data".to_owned(), "too_deep".to_owned())]
    );
    let bottomless = platform
        .client()
        .post_text("/events", nested(200_000))
        .await;
    assert!(
        (400..500).contains(&bottomless.status),
        "{}",
        bottomless.status
    );
}
