//! What is refused before it is recorded: actions without a schema in strict mode, what callers cannot record in
//! any mode; and that no refusal stands in for a first answer.

use serde_json::{Value, json};

use crate::harness::{TestPlatform, eventually};

async fn strict() -> TestPlatform {
    let builder = TestPlatform::builder().configure(|config| config.audit.require_schema = true);
    builder.start().await
}

async fn organization(platform: &TestPlatform) -> String {
    let body = json!({ "name": "Acme" });
    let made = platform.client().post("/organizations", &body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

fn entry(organization: &str, action: &str) -> Value {
    json!({ "organization_id": organization, "event": {
        "action": action, "occurred_at": "2026-02-02T16:35:39.317Z",
        "actor": { "id": "user_1", "type": "user" }, "targets": [{ "id": "team_1", "type": "team" }],
        "context": { "location": "203.0.113.7" } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_a_schema_is_refused_alone_and_in_a_batch_until_it_has_one() {
    let platform = strict().await;
    let client = platform.client();
    let acme = organization(&platform).await;
    let schema = json!({ "targets": [{ "type": "team" }] });
    client
        .post("/audit_logs/actions/user.known/schemas", &schema)
        .await
        .expect(201);

    let refused = client
        .post("/audit_logs/events", &entry(&acme, "user.unknown"))
        .await;
    let batch = json!({ "events": [entry(&acme, "user.known"), entry(&acme, "user.unknown")] });
    let batch = client.post("/audit_logs/events/batch", &batch).await;
    client
        .post("/audit_logs/events", &entry(&acme, "user.known"))
        .await
        .expect(201);

    let invalid = (400, "invalid_audit_log_event".to_owned());
    assert_eq!(refused.verdict(), invalid);
    assert_eq!(refused.json()["errors"][0]["instancePath"], "/action");
    assert_eq!(batch.verdict(), invalid);
    let pointer = batch.json()["errors"][0]["instancePath"].clone();
    assert_eq!(pointer, "/events/1/event/action");
    let list = format!("/audit_logs/events?organization_id={acme}");
    let list = client.get(&list).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_entries_need_no_schema() {
    let platform = strict().await;
    organization(&platform).await;

    let list = platform
        .client()
        .get("/audit_logs/events")
        .await
        .expect(200);

    assert_eq!(list["data"][0]["action"], "organization.created");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_trail_and_its_reserved_actions_cannot_be_written_to() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let acme = organization(&platform).await;
    let before = client.get("/audit_logs/events").await.expect(200);

    let mut nobody = entry(&acme, "api_key.created");
    nobody["organization_id"] = Value::Null;
    let nobody = client.post("/audit_logs/events", &nobody).await;
    let mut answers = Vec::new();
    for name in ["environment", "org_00000000000000000000000000"] {
        let sent = entry(name, "api_key.created");
        answers.push(client.post("/audit_logs/events", &sent).await.status);
    }
    for action in ["audit_log.redacted", "audit_log.expired"] {
        let sent = entry(&acme, action);
        answers.push(client.post("/audit_logs/events", &sent).await.status);
    }

    let told = json!({ "event": "audit_log.event_recorded", "data": {} });
    let told = client.post("/events", &told).await;

    assert_eq!(
        told.faults(),
        [("event".to_owned(), "reserved_event_type".to_owned())]
    );
    assert_eq!(nobody.status, 422);
    assert_eq!(answers, [404, 404, 400, 400]);
    assert_eq!(client.get("/audit_logs/events").await.expect(200), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_answer_whatever_has_changed_in_between() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let acme = organization(&platform).await;
    let sent = entry(&acme, "user.left");
    let event = json!({ "event": "a.b", "data": {} });
    let first = client
        .post_once("/audit_logs/events", "k", &sent)
        .await
        .expect(201);
    let published = client.post_once("/events", "k", &event).await.expect(201);
    let schema = json!({ "targets": [{ "type": "person" }] });
    let path = "/audit_logs/actions/user.left/schemas";
    client.post(path, &schema).await.expect(201);
    let enforced = json!({ "name": "a.b", "enforced": true, "schema": { "required": ["id"] } });
    client.post("/event_types", &enforced).await.expect(201);

    let misfit = client
        .post_once("/audit_logs/events", "k", &sent)
        .await
        .expect(201);
    let republished = client.post_once("/events", "k", &event).await.expect(201);
    let mut other = sent.clone();
    other["event"]["actor"]["id"] = json!("user_2");
    let other = client.post_once("/audit_logs/events", "k", &other).await;
    let new = client.post_once("/audit_logs/events", "new", &sent).await;
    assert_eq!(
        client
            .delete(&format!("/organizations/{acme}"))
            .await
            .status,
        202
    );
    let gone = client
        .post_once("/audit_logs/events", "k", &sent)
        .await
        .expect(201);

    assert_eq!([&misfit, &gone], [&first, &first]);
    assert_eq!(republished, published);
    assert_eq!(other.verdict(), (400, "idempotency_key_reused".to_owned()));
    assert_eq!(new.verdict(), (400, "invalid_audit_log_event".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_sample_gets_its_first_answer_though_the_endpoint_was_disabled() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let body = json!({ "endpoint_url": "http://127.0.0.1:7009/a", "events": ["a"] });
    let endpoint = client.post("/webhook_endpoints", &body).await.expect(201);
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    let test = format!("{path}/test");
    let first = client.post_once(&test, "k", &json!({})).await.expect(201);
    let disabled = json!({ "status": "disabled" });
    client.patch(&path, &disabled).await.expect(200);

    let again = client.post_once(&test, "k", &json!({})).await.expect(201);
    let new = client.post_once(&test, "new", &json!({})).await;

    assert_eq!(again, first);
    assert_eq!(new.verdict(), (409, "endpoint_disabled".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_recorded_after_its_organization_was_deleted() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let acme = organization(&platform).await;

    // many at once, so that some are between their check and their commit when it goes
    let writers = (0..20).map(|_| async {
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let sent = entry(&acme, "a.b");
            statuses.push(client.post("/audit_logs/events", &sent).await.status);
        }
        statuses
    });
    let path = format!("/organizations/{acme}");
    let (statuses, deleted) = tokio::join!(
        futures_util::future::join_all(writers),
        client.delete(&path)
    );

    assert_eq!(deleted.status, 202);
    let statuses: Vec<_> = statuses.into_iter().flatten().collect();
    assert!(statuses.iter().all(|status| [201, 404].contains(status)));
    let recorded = statuses.iter().filter(|&&status| status == 201).count();
    let sql = platform.sql().await;
    let last = "SELECT action, count(*) OVER () FROM audit_log_entries WHERE action IN ('a.b', 'organization.deleted') \
                ORDER BY id DESC LIMIT 1";
    let last = eventually("the entries are there", async || {
        sql.query_opt(last, &[]).await.unwrap()
    })
    .await;
    assert_eq!(last.get::<_, &str>(0), "organization.deleted");
    assert_eq!(last.get::<_, i64>(1), i64::try_from(recorded).unwrap() + 1);
}
