//! The environment's own trail: what is done to the platform is an entry, in the transaction of the change.

use serde_json::{Value, json};
use tidings::app::{AppError, api_keys, audit_keys, environments};
use tidings::domain::audit::Actor;
use tidings::domain::id::EnvironmentId;

use crate::harness::{Receiver, TestPlatform};

/// The trail's entries, oldest first.
async fn trail(platform: &TestPlatform) -> Vec<Value> {
    let path = "/audit_logs/events?organization_id=environment&order=asc&limit=100";
    let list = platform.client().get(path).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

fn at(endpoint: &Value) -> String {
    format!("/webhook_endpoints/{}", id(endpoint))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_told_when_they_are_made_and_when_they_are_revoked() {
    let platform = TestPlatform::usual().await;
    let app = &platform.parts().app;
    let operator = Actor::operator(Some("ada"), Some("console-1"));

    let made = api_keys::create(app, platform.environment, "billing", Vec::new(), &operator).await;
    assert!(matches!(made, Err(AppError::Invalid(_))));
    let permissions = vec![
        "events:read".parse().unwrap(),
        "audit:read".parse().unwrap(),
    ];
    let made = api_keys::create(app, platform.environment, "billing", permissions, &operator);
    let (key, text) = made.await.unwrap();
    api_keys::revoke(app, key.id, &operator).await.unwrap();
    api_keys::revoke(app, key.id, &operator).await.unwrap();
    let taken = environments::create(app, "default", &operator).await;

    assert!(matches!(taken, Err(AppError::Exists { .. })));
    let entries = trail(&platform).await;
    assert_eq!(actions(&entries), ["api_key.created", "api_key.revoked"]);
    let target = json!([{ "id": key.id, "type": "api_key", "name": "billing" }]);
    assert_eq!(
        [&entries[0]["targets"], &entries[1]["targets"]],
        [&target; 2]
    );
    let actor = json!({ "id": "command_line", "type": "operator", "name": "ada" });
    assert_eq!(entries[0]["actor"], actor);
    assert_eq!(entries[0]["context"], json!({ "location": "console-1" }));
    assert_eq!(
        entries[0]["metadata"],
        json!({ "permissions": "events:read,audit:read" })
    );
    assert!(!json!(entries).to_string().contains(text.expose()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_environments_trail_begins_with_its_own_making() {
    let platform = TestPlatform::usual().await;
    let app = &platform.parts().app;
    let operator = Actor::operator(None, None);
    let made = environments::create(app, "staging", &operator)
        .await
        .unwrap();
    let nowhere = EnvironmentId::new(platform.clock.now());
    let may = || vec!["admin".parse().unwrap()];

    let lost = api_keys::create(app, nowhere, "lost", may(), &operator).await;
    let (_key, text) = api_keys::create(app, made.id, "first", may(), &operator)
        .await
        .unwrap();

    assert!(matches!(lost, Err(AppError::NotFound { .. })));
    let client = platform.client().with_key(Some(text.expose()));
    let path = "/audit_logs/events?organization_id=environment&order=asc";
    let entries = client.get(path).await.expect(200)["data"].clone();
    let entries = entries.as_array().unwrap();
    assert_eq!(actions(entries), ["environment.created", "api_key.created"]);
    let target = json!([{ "id": made.id, "type": "environment", "name": "staging" }]);
    assert_eq!(entries[0]["targets"], target);
    assert_eq!(entries[0]["index"], 0);
    assert!(trail(&platform).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_an_endpoint_is_told_and_what_changes_nothing_is_not() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let body =
        json!({ "endpoint_url": "https://127.0.0.1/token-1?key=token-2", "events": ["a.*"] });
    let endpoint = client.post_once("/webhook_endpoints", "one", &body).await;
    let endpoint = endpoint.expect(201);
    client
        .post_once("/webhook_endpoints", "one", &body)
        .await
        .expect(201);
    let path = at(&endpoint);

    let renamed = json!({ "description": "new", "endpoint_url": "https://127.0.0.1:8443/token-3" });
    client.patch(&path, &renamed).await.expect(200);
    client.patch(&path, &renamed).await.expect(200);
    client
        .patch(&path, &json!({ "status": "disabled" }))
        .await
        .expect(200);
    client
        .patch(&path, &json!({ "status": "enabled" }))
        .await
        .expect(200);
    let rotation = json!({ "overlap_seconds": 60 });
    let rotate = format!("{path}/rotate_secret");
    client
        .post_once(&rotate, "two", &rotation)
        .await
        .expect(200);
    client
        .post_once(&rotate, "two", &rotation)
        .await
        .expect(200);
    let complete = format!("{path}/complete_rotation");
    client.post(&complete, &json!({})).await.expect(200);
    client.post(&complete, &json!({})).await.expect(200);
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.delete(&path).await.status, 404);

    let entries = trail(&platform).await;
    let expected = [
        "webhook_endpoint.created",
        "webhook_endpoint.updated",
        "webhook_endpoint.disabled",
        "webhook_endpoint.enabled",
        "webhook_endpoint.secret_rotated",
        "webhook_endpoint.rotation_completed",
        "webhook_endpoint.deleted",
    ];
    assert_eq!(actions(&entries), expected);
    for entry in &entries {
        assert_eq!(id(&entry["targets"][0]), id(&endpoint));
        assert_eq!(entry["organization_id"], Value::Null);
        assert_eq!(entry["actor"]["type"], "api_key");
        assert_eq!(entry["actor"]["name"], "test");
        assert_eq!(entry["context"]["location"], "127.0.0.1");
    }
    let told = json!({ "changed": "endpoint_url,description", "url_origin_before": "https://127.0.0.1",
        "url_origin_after": "https://127.0.0.1:8443" });
    assert_eq!(entries[1]["metadata"], told);
    assert_eq!(entries[4]["metadata"], json!({ "overlap_seconds": 60 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_what_the_caller_says_of_itself() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let request = client.request(reqwest::Method::POST, "/organizations");
    let request = request.header("user-agent", "Acme-Console/7");

    client
        .send(request.json(&json!({ "name": "Acme" })))
        .await
        .expect(201);

    let entries = trail(&platform).await;
    assert_eq!(
        entries[0]["context"],
        json!({ "location": "127.0.0.1", "user_agent": "Acme-Console/7" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_retention_types_and_schemas_are_told() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let made = client
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201);
    let path = format!("/organizations/{}", id(&made));
    client
        .put(&path, &json!({ "name": "Acme" }))
        .await
        .expect(200);
    client
        .put(&path, &json!({ "name": "Acme 2", "external_id": "x" }))
        .await
        .expect(200);
    let retention = format!("{path}/audit_logs_retention");
    for period in ["1_YEAR", "1_YEAR", "1_MONTH"] {
        client
            .put(&retention, &json!({ "retention_period": period }))
            .await
            .expect(200);
    }
    assert_eq!(client.delete(&path).await.status, 202);
    assert_eq!(client.delete(&path).await.status, 404);
    let definition = json!({ "name": "a.b", "description": "first" });
    client.post("/event_types", &definition).await.expect(201);
    client.post("/event_types", &definition).await.expect(409);
    client
        .patch("/event_types/a.b", &json!({ "description": "first" }))
        .await
        .expect(200);
    client
        .patch("/event_types/a.b", &json!({ "deprecated": true }))
        .await
        .expect(200);
    assert_eq!(client.delete("/event_types/a.b").await.status, 204);
    let schema = json!({ "targets": [{ "type": "team" }] });
    for _ in 0..2 {
        client
            .post("/audit_logs/actions/user.left/schemas", &schema)
            .await
            .expect(201);
    }

    let entries = trail(&platform).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["metadata"].clone()))
        .collect();
    let expected = [
        ("organization.created", Value::Null),
        (
            "organization.updated",
            json!({ "changed": "name,external_id" }),
        ),
        ("audit_log_retention.updated", json!({ "days_after": 365 })),
        (
            "audit_log_retention.updated",
            json!({ "days_after": 30, "days_before": 365 }),
        ),
        ("organization.deleted", Value::Null),
        ("event_type.created", json!({ "enforced": false })),
        ("event_type.updated", json!({ "changed": "deprecated" })),
        ("event_type.deleted", Value::Null),
        ("audit_log_schema.created", json!({ "version": 1 })),
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[1]["targets"][0]["name"], "Acme 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_told_once_however_often_it_is_asked_for_with_one_key() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let delivery = platform.delivery_of(&event).await;
    let path = format!("/deliveries/{}/replay", id(&delivery));
    let client = platform.client();

    let first = client.post_once(&path, "k", &json!({})).await.expect(201);
    client
        .patch(&at(&endpoint), &json!({ "status": "disabled" }))
        .await
        .expect(200);
    let again = client.post_once(&path, "k", &json!({})).await.expect(201);
    let refused = client.post_once(&path, "other", &json!({})).await;

    assert_eq!(first["id"], again["id"]);
    assert_eq!(refused.verdict(), (409, "endpoint_disabled".to_owned()));
    let entries = trail(&platform).await;
    let replays: Vec<_> = entries
        .iter()
        .filter(|entry| entry["action"] == "webhook_delivery.replayed")
        .collect();
    let [replay] = replays[..] else {
        panic!("one replay expected: {entries:?}");
    };
    let target = |object: &Value, kind: &str| json!({ "id": object["id"], "type": kind });
    assert_eq!(
        replay["targets"],
        json!([
            target(&delivery, "webhook_delivery"),
            target(&endpoint, "webhook_endpoint"),
            target(&event, "event")
        ])
    );
    assert_eq!(replay["metadata"], json!({ "replayed_as": first["id"] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn redactions_and_rotations_of_signing_keys_are_told() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let acme = json!({ "name": "Acme" });
    let organization = client.post("/organizations", &acme).await.expect(201);
    let asked = json!({ "organization_id": id(&organization), "actor_ids": ["ann"] });
    let environment = platform.environment;
    let operator = Actor::operator(Some("ada"), None);
    let app = &platform.parts().app;

    let redaction = client.post("/audit_logs/redactions", &asked).await;
    let nowhere =
        json!({ "organization_id": "org_01ARZ3NDEKTSV4RRFFQ69G5FAV", "actor_ids": ["ann"] });
    let refused = client.post("/audit_logs/redactions", &nowhere).await;
    audit_keys::rotate(app, environment, &operator)
        .await
        .unwrap();
    audit_keys::retire(app, environment, &operator)
        .await
        .unwrap();
    audit_keys::retire(app, environment, &operator)
        .await
        .unwrap();

    let redaction = redaction.expect(201);
    assert_eq!(refused.verdict().0, 404);
    let entries = trail(&platform).await;
    assert_eq!(
        actions(&entries),
        [
            "organization.created",
            "audit_log_redaction.requested",
            "audit_log_key.rotated",
            "audit_log_key.retired"
        ]
    );
    assert_eq!(
        entries[1]["targets"],
        json!([
            { "id": id(&organization), "type": "organization" },
            { "id": id(&redaction), "type": "audit_log_redaction" },
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_told_without_whom_they_look_for() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let asked = json!({ "organization_id": "environment", "range_start": "2020-01-01", "range_end": "2100-01-01",
        "actor_names": ["Zoë"] });

    let export = client.post_once("/audit_logs/exports", "k", &asked).await;
    let export = export.expect(201);
    let again = client.post_once("/audit_logs/exports", "k", &asked).await;

    assert_eq!(id(&again.expect(201)), id(&export));
    let entries = trail(&platform).await;
    assert_eq!(actions(&entries), ["audit_log_export.created"]);
    assert_eq!(
        entries[0]["targets"],
        json!([
            { "id": platform.environment, "type": "environment" },
            { "id": id(&export), "type": "audit_log_export" },
        ])
    );
    assert_eq!(entries[0]["metadata"], json!({ "format": "csv" }));
}
