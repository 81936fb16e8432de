//! Idempotency keys of everything that is not an event: every POST has them.

use futures_util::future::join_all;
use serde_json::json;
use tidings::domain::access::Permission;

use crate::harness::{Receiver, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_endpoint_twice_under_one_key_gives_the_same_endpoint_with_its_secret() {
    let platform = TestPlatform::usual().await;
    let body = json!({ "endpoint_url": "http://127.0.0.1:7009/a", "events": ["a.b"] });

    let requests = (0..8).map(|_| {
        platform
            .client()
            .post_once("/webhook_endpoints", "k", &body)
    });
    let answers = join_all(requests).await;

    let first = answers[0].expect(201);
    assert!(first["secret"].as_str().unwrap().starts_with("whsec_"));
    for answer in &answers {
        assert_eq!(answer.expect(201), first);
    }
    let list = platform
        .client()
        .get("/webhook_endpoints")
        .await
        .expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let other = json!({ "endpoint_url": "http://127.0.0.1:7009/b", "events": [] });
    let reused = platform
        .client()
        .post_once("/webhook_endpoints", "k", &other)
        .await;
    assert_eq!(reused.verdict(), (400, "idempotency_key_reused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_answer_shows_the_secret_only_to_a_key_that_may_read_secrets() {
    let platform = TestPlatform::usual().await;
    let body = json!({ "endpoint_url": "http://127.0.0.1:7009/a", "events": [] });
    let created = platform
        .client()
        .post_once("/webhook_endpoints", "k", &body)
        .await
        .expect(201);
    let writer = platform.client_who_may(&[Permission::EndpointsWrite]).await;

    let again = writer
        .post_once("/webhook_endpoints", "k", &body)
        .await
        .expect(201);

    assert_eq!(again["id"], created["id"]);
    assert_eq!(again["secret"], "whsec_********************************");
    let sql = platform.sql().await;
    let rows = sql
        .query("SELECT idempotency_keys::text FROM idempotency_keys", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].get::<_, String>(0).contains("whsec_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_one_key_rotates_once() {
    let platform = TestPlatform::usual().await;
    let created = platform
        .register(json!({ "endpoint_url": "http://127.0.0.1:7009/a", "events": [] }))
        .await;
    let path = format!(
        "/webhook_endpoints/{}/rotate_secret",
        created["id"].as_str().unwrap()
    );

    let first = platform
        .client()
        .post_once(&path, "k", &json!({}))
        .await
        .expect(200);
    let again = platform
        .client()
        .post_once(&path, "k", &json!({}))
        .await
        .expect(200);

    assert_ne!(first["secret"], created["secret"]);
    assert_eq!(again["secret"], first["secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_a_test_under_one_key_happen_once() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let delivery = platform.delivery_of(&event).await;
    let replay = format!("/deliveries/{}/replay", delivery["id"].as_str().unwrap());
    let test = format!(
        "/webhook_endpoints/{}/test",
        endpoint["id"].as_str().unwrap()
    );

    for path in [replay, test] {
        let first = platform.client().post_once(&path, "k", &json!({})).await;
        let again = platform.client().post_once(&path, "k", &json!({})).await;
        assert_eq!(first.expect(201)["id"], again.expect(201)["id"]);
    }
    platform.dispatch_due().await;

    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_organization_twice_under_one_key_gives_the_same_organization() {
    let platform = TestPlatform::usual().await;
    let body = json!({ "name": "Acme", "external_id": "customer-1" });

    let requests = (0..8).map(|_| platform.client().post_once("/organizations", "k", &body));
    let answers = join_all(requests).await;

    for answer in &answers {
        assert_eq!(answer.expect(201), answers[0].expect(201));
    }
    let list = platform.client().get("/organizations").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
