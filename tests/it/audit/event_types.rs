//! Event types: described, enforced, and shown to endpoints by their examples.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform};

fn definition() -> Value {
    json!({ "name": "invoice.paid", "example": { "id": "inv_1" }, "enforced": true,
        "schema": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } } })
}

async fn create(platform: &TestPlatform) {
    let reply = platform.client().post("/event_types", &definition()).await;
    reply.expect(201);
}

fn paid(data: &Value) -> Value {
    json!({ "event": "invoice.paid", "data": data })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_type_is_created_once_changed_and_deleted() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    create(&platform).await;

    let again = client.post("/event_types", &definition()).await;
    let change = json!({ "schema": null, "enforced": false, "deprecated": true });
    let changed = client.patch("/event_types/invoice.paid", &change).await;
    let found = client.get("/event_types/invoice.paid").await.expect(200);
    let deleted = client.delete("/event_types/invoice.paid").await;

    assert_eq!(again.verdict(), (409, "entity_exists".to_owned()));
    assert_eq!(changed.expect(200), found);
    assert_eq!(
        (&found["schema"], &found["deprecated"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(deleted.status, 204);
    let list = client.get("/event_types").await.expect(200);
    assert_eq!(list["data"], json!([]));
    assert_eq!(client.delete("/event_types/invoice.paid").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_do_not_fit_an_enforced_type_are_refused_from_its_answer_to_its_end() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let bad = paid(&json!({ "id": 7 }));
    let before = client.post("/events", &bad).await;
    create(&platform).await;

    let refused = client.post("/events", &bad).await;
    let batch = json!({ "events": [paid(&json!({ "id": "inv_1" })), paid(&json!({}))] });
    let batch = client.post("/events/batch", &batch).await;
    client.delete("/event_types/invoice.paid").await;
    let after = client.post("/events", &bad).await;

    assert_eq!((before.status, after.status), (201, 201));
    assert_eq!(refused.verdict(), (422, "invalid_event_data".to_owned()));
    assert_eq!(refused.json()["errors"][0]["instancePath"], "/data/id");
    assert_eq!(batch.verdict(), (422, "invalid_event_data".to_owned()));
    assert_eq!(batch.json()["errors"][0]["instancePath"], "/events/1/data");
    let feed = client.get("/events?events=invoice.paid").await.expect(200);
    assert_eq!(feed["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_an_endpoint_sends_the_example_unless_it_brings_data() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200, 200, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["none.of.these"]).await;
    let path = format!(
        "/webhook_endpoints/{}/test",
        endpoint["id"].as_str().unwrap()
    );
    create(&platform).await;

    let test = async |body: Value| {
        let event = platform.client().post(&path, &body).await.expect(201);
        event["data"].clone()
    };

    let named = json!({ "event": "invoice.paid" });
    assert_eq!(test(named).await, json!({ "id": "inv_1" }));
    assert_eq!(
        test(paid(&json!({ "id": "mine" }))).await,
        json!({ "id": "mine" })
    );
    assert_eq!(test(json!({ "event": "unknown.type" })).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_describes_ten_thousand_event_types_and_no_more() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    create(&platform).await;
    let sql = platform.sql().await;
    sql.batch_execute(
        "INSERT INTO event_types SELECT environment_id, 'filled.' || number, '', NULL, NULL, false, false, \
         created_at, updated_at FROM event_types, generate_series(1, 9998) AS number",
    )
    .await
    .unwrap();

    let name = |name: &str| json!({ "name": name });
    let last = client.post("/event_types", &name("the.last")).await;
    let beyond = client.post("/event_types", &name("one.more")).await;

    assert_eq!(last.status, 201);
    assert_eq!(beyond.verdict(), (422, "limit_reached".to_owned()));
}
