//! Schemas of actions: versions that never change, and entries that must fit them.

use serde_json::{Value, json};

use crate::harness::{Reply, TestPlatform};

const SCHEMAS: &str = "/audit_logs/actions/invoice.viewed/schemas";

fn schema(kind: &str) -> Value {
    json!({ "targets": [{ "type": "invoice", "metadata": {
        "type": "object", "properties": { "cost": { "type": kind } } } }] })
}

async fn create(platform: &TestPlatform, schema: &Value) -> Value {
    platform.client().post(SCHEMAS, schema).await.expect(201)
}

/// Records a view of an invoice at this cost, under a version of the action's schema.
async fn view(platform: &TestPlatform, version: Option<u32>, cost: Value) -> Reply {
    let client = platform.client();
    let body = json!({ "name": "Acme" });
    let organization = client.post("/organizations", &body).await.expect(201);
    let mut event = json!({
        "action": "invoice.viewed", "occurred_at": "2026-02-02T16:35:39.317Z",
        "actor": { "id": "user_1", "type": "user" },
        "targets": [{ "id": "inv_1", "type": "invoice", "metadata": { "cost": cost } }],
        "context": { "location": "203.0.113.7" } });
    if let Some(version) = version {
        event["version"] = json!(version);
    }
    let body = json!({ "organization_id": organization["id"], "event": event });
    client.post("/audit_logs/events", &body).await
}

fn refused() -> (u16, String) {
    (400, "invalid_audit_log_event".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_schema_is_the_newest_version_and_another_is_the_next() {
    let platform = TestPlatform::usual().await;

    let first = create(&platform, &schema("number")).await;
    let same = create(&platform, &schema("number")).await;
    let next = create(&platform, &schema("string")).await;
    let back = create(&platform, &schema("number")).await;

    assert_eq!(first, same);
    let versions = [&first, &next, &back].map(|schema| schema["version"].clone());
    assert_eq!(versions, [json!(1), json!(2), json!(3)]);
    let list = platform.client().get(SCHEMAS).await.expect(200);
    assert_eq!(list["data"], json!([back, next, first]));
    let actions = platform.client().get("/audit_logs/actions").await;
    assert_eq!(actions.expect(200)["data"][0]["schema"], back);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_must_fit_the_version_it_names_or_else_the_first() {
    let platform = TestPlatform::usual().await;
    create(&platform, &schema("number")).await;
    create(&platform, &schema("string")).await;

    let answers = [
        view(&platform, None, json!(1)).await,
        view(&platform, Some(1), json!(1)).await,
        view(&platform, Some(2), json!("1")).await,
    ];
    let refusals = [
        view(&platform, None, json!("1")).await,
        view(&platform, Some(2), json!(1)).await,
        view(&platform, Some(3), json!(1)).await,
    ];

    assert_eq!(answers.map(|answer| answer.status), [201, 201, 201]);
    let pointer = |reply: &Reply| reply.json()["errors"][0]["instancePath"].clone();
    assert_eq!(pointer(&refusals[0]), "/targets/0/metadata/cost");
    assert_eq!(pointer(&refusals[2]), "/version");
    assert_eq!(
        refusals.map(|refusal| refusal.verdict()),
        [(); 3].map(|()| refused())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_counts_from_the_moment_it_is_answered() {
    let platform = TestPlatform::usual().await;

    let before = view(&platform, None, json!("1")).await;
    let unknown = platform.client().get(SCHEMAS).await;
    create(&platform, &schema("number")).await;
    let after = view(&platform, None, json!("1")).await;

    assert_eq!(before.status, 201);
    assert_eq!(unknown.status, 404);
    assert_eq!(after.verdict(), refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_answered_with_the_version_it_made() {
    let platform = TestPlatform::usual().await;
    let once = async |kind: &str| {
        let schema = schema(kind);
        platform.client().post_once(SCHEMAS, "k", &schema).await
    };

    let first = once("number").await;
    create(&platform, &schema("string")).await;
    let again = once("number").await;
    let other = once("boolean").await;

    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(other.verdict(), (400, "idempotency_key_reused".to_owned()));
}
