//! Requests for bulk replays: what is refused, and what is asked for twice.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform};

const EPOCH: &str = "2020-01-01T00:00:00.000Z";

fn asked(endpoint: &Value, scope: &str, rate: u32) -> Value {
    json!({ "webhook_endpoint_id": endpoint["id"], "scope": scope, "range_start": EPOCH, "rate": rate })
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_with_the_same_key_makes_no_second_replay_and_too_many_are_refused() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let body = asked(&endpoint, "all", 1);
    let client = platform.client();

    let first = client.post_once("/replays", "one", &body).await.expect(201);
    let again = client.post_once("/replays", "one", &body).await.expect(201);
    for _ in 1..20 {
        client.post("/replays", &body).await.expect(201);
    }
    let refused = client.post("/replays", &body).await;
    let known = client.post_once("/replays", "one", &body).await.expect(201);

    assert_eq!([&again["id"], &known["id"]], [&first["id"], &first["id"]]);
    assert_eq!(refused.verdict(), (422, "limit_reached".to_owned()));
    let list = client.get("/replays?limit=100").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_makes_no_sense_is_refused() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let to_come = json!({
        "webhook_endpoint_id": endpoint["id"], "scope": "all", "range_start": "2100-01-01T00:00:00Z",
    });
    let mut unknown = asked(&endpoint, "all", 1);
    unknown["until"] = json!(EPOCH);

    for path in ["/replays", "/replays/preview"] {
        let reply = platform.client().post(path, &to_come).await;
        assert_eq!(reply.status, 422, "{path}");
        assert_eq!(
            reply.faults(),
            [("range_start".to_owned(), "invalid_range".to_owned())],
            "{path}"
        );
        assert_eq!(
            platform.client().post(path, &unknown).await.status,
            422,
            "{path}"
        );
        let empty = platform.client().post(path, &json!({})).await;
        assert_eq!(empty.faults().len(), 3, "{path}");
    }
    let preview = asked(&endpoint, "all", 1);
    let preview = platform.client().post("/replays/preview", &preview).await;
    assert_eq!(preview.expect(200)["total"], 0);
}
