//! Idempotency keys of events: one request, one effect, one answer, however often and however fast it is sent.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::TestPlatform;

fn reused() -> (u16, String) {
    (400, "idempotency_key_reused".to_owned())
}

async fn count(platform: &TestPlatform) -> usize {
    let feed = platform.client().get("/events?limit=100").await.expect(200);
    feed["data"].as_array().unwrap().len()
}

fn event(number: u32) -> Value {
    json!({ "event": "a.b", "data": { "number": number } })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_gets_the_same_bytes_and_records_nothing() {
    let platform = TestPlatform::usual().await;

    let first = platform.client().post_once("/events", "k", &event(1)).await;
    let again = platform.client().post_once("/events", "k", &event(1)).await;

    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(count(&platform).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_for_another_body_is_refused_and_named() {
    let platform = TestPlatform::usual().await;
    platform
        .client()
        .post_once("/events", "k-1", &event(1))
        .await
        .expect(201);

    let other = platform
        .client()
        .post_once("/events", "k-1", &event(2))
        .await;

    assert_eq!(other.verdict(), reused());
    let message = other.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(
        message,
        "Another idempotency key (k-1) with different request parameters was found. Please use a different idempotency key."
    );
    assert_eq!(count(&platform).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fingerprint_is_over_the_raw_body() {
    let platform = TestPlatform::usual().await;
    let post = async |body: &'static str| {
        let request = platform.client().request(reqwest::Method::POST, "/events");
        let request = request
            .header("idempotency-key", "k")
            .header("content-type", "application/json");
        platform.client().send(request.body(body)).await
    };

    let first = post(r#"{"event":"a","data":{}}"#).await;
    let spaced = post(r#"{"event":"a", "data":{}}"#).await;

    assert_eq!(first.status, 201);
    assert_eq!(spaced.verdict(), reused());
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_requests_at_once_with_one_key_record_one_event_and_get_one_answer() {
    let platform = TestPlatform::usual().await;
    let beside = TestPlatform::builder().beside(&platform).start().await;
    let key = beside.client().clone();
    for round in 0..5 {
        let name = format!("race-{round}");
        let body = event(round);
        let requests = (0..16).map(|index| {
            let client = if index % 2 == 0 {
                platform.client()
            } else {
                &key
            };
            client.post_once("/events", &name, &body)
        });

        let answers = join_all(requests).await;

        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
    }
    assert_eq!(count(&platform).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_bodies_at_once_under_one_key_one_is_recorded_and_the_others_refused() {
    let platform = TestPlatform::usual().await;

    let bodies: Vec<_> = (0..16).map(|number| event(number % 2)).collect();
    let requests = bodies
        .iter()
        .map(|body| platform.client().post_once("/events", "k", body));
    let answers = join_all(requests).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers
        .iter()
        .filter(|answer| answer.verdict() == reused())
        .count();
    assert_eq!((created, refused), (8, 8));
    assert_eq!(count(&platform).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_under_a_key_is_replayed_whole() {
    let platform = TestPlatform::usual().await;
    let batch = json!({ "events": (0..7).map(event).collect::<Vec<_>>() });

    let first = platform
        .client()
        .post_once("/events/batch", "k", &batch)
        .await;
    platform.publish("between", json!({})).await;
    let again = platform
        .client()
        .post_once("/events/batch", "k", &batch)
        .await;

    assert_eq!((first.status, &first.body), (201, &again.body));
    assert_eq!(first.json()["data"].as_array().unwrap().len(), 7);
    assert_eq!(count(&platform).await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_for_one_path_and_one_environment() {
    let platform = TestPlatform::usual().await;
    let foreign = platform.foreign_client().await;
    let batch = json!({ "events": [event(1)] });

    let alone = platform
        .client()
        .post_once("/events", "k", &event(1))
        .await
        .expect(201);
    let batched = platform
        .client()
        .post_once("/events/batch", "k", &batch)
        .await
        .expect(201);
    let theirs = foreign
        .post_once("/events", "k", &event(2))
        .await
        .expect(201);

    assert_ne!(alone["id"], batched["data"][0]["id"]);
    assert_ne!(alone["id"], theirs["id"]);
    assert_eq!(count(&platform).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_remembered() {
    let platform = TestPlatform::usual().await;

    let refused = platform
        .client()
        .post_once("/events", "k", &json!({ "event": "a" }))
        .await;
    let forbidden = platform
        .client_who_may(&[tidings::domain::access::Permission::EventsRead])
        .await
        .post_once("/events", "k", &event(1))
        .await;
    let created = platform.client().post_once("/events", "k", &event(1)).await;

    assert_eq!(
        (refused.status, forbidden.status, created.status),
        (422, 403, 201)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_header_should_carry_is_refused() {
    let platform = TestPlatform::usual().await;
    for key in ["", &"k".repeat(256)] {
        let refused = platform.client().post_once("/events", key, &event(1)).await;
        assert_eq!(refused.status, 422, "{key:?}: {}", refused.text());
    }
    let longest = platform
        .client()
        .post_once("/events", &"k".repeat(255), &event(1))
        .await;
    assert_eq!(longest.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_and_without_keys_share_a_commit_and_keep_their_own_answers() {
    let platform = TestPlatform::usual().await;
    let requests = (0..60_u32).map(async |number| {
        let body = event(number / 3);
        let name = format!("k{}", number / 3);
        match number % 3 {
            0 => platform.client().post("/events", &body).await,
            _ => platform.client().post_once("/events", &name, &body).await,
        }
    });

    let answers = join_all(requests).await;

    for (number, trio) in answers.chunks(3).enumerate() {
        let sent: Vec<_> = trio
            .iter()
            .map(|reply| reply.expect(201)["data"]["number"].clone())
            .collect();
        assert_eq!(sent, vec![json!(number); 3]);
        assert_eq!(trio[1].body, trio[2].body);
        assert_ne!(trio[0].body, trio[1].body);
    }
    assert_eq!(count(&platform).await, 40);
}
