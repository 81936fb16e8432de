//! Webhook endpoints over the API: made, shown, changed, listed and deleted.

use serde_json::{Value, json};
use tidings::domain::access::Permission;

use crate::harness::{TestPlatform, minutes};

const MASK: &str = "whsec_********************************";

fn path(endpoint: &Value) -> String {
    format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap())
}

fn at(port: u16) -> Value {
    json!({ "endpoint_url": format!("http://127.0.0.1:{port}/hook"), "events": ["a.b"] })
}

fn codes(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(field, code)| (field.to_owned(), code.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_shown_with_every_member_of_the_contract_and_its_secret() {
    let platform = TestPlatform::usual().await;
    let now = tidings::domain::time::to_text(platform.clock.now());

    let created = platform.register(at(7009)).await;

    let secret = created["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("whsec_") && secret.len() == 50,
        "{secret}"
    );
    assert!(created["id"].as_str().unwrap().starts_with("we_"));
    assert_eq!(
        created,
        json!({
            "object": "webhook_endpoint", "id": created["id"], "endpoint_url": "http://127.0.0.1:7009/hook",
            "secret": secret, "status": "enabled", "events": ["a.b"], "organization_id": null,
            "description": "", "retry_delays_seconds": null, "disabled_reason": null, "failing_since": null,
            "previous_secret_expires_at": null, "created_at": now, "updated_at": now,
        })
    );
    let found = platform.client().get(&path(&created)).await.expect(200);
    let list = platform
        .client()
        .get("/webhook_endpoints")
        .await
        .expect(200);
    assert_eq!(found, created);
    assert_eq!(list["data"], json!([created]));
    assert_eq!(
        list["list_metadata"],
        json!({ "before": null, "after": null })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_masked_for_a_key_that_may_not_read_secrets() {
    let platform = TestPlatform::usual().await;
    let created = platform.register(at(7009)).await;
    let reader = platform.client_who_may(&[Permission::EndpointsRead]).await;
    let writer = platform.client_who_may(&[Permission::EndpointsWrite]).await;
    let trusted = platform
        .client_who_may(&[Permission::EndpointsRead, Permission::SecretsRead])
        .await;

    let shown = [
        reader.get(&path(&created)).await.expect(200),
        reader.get("/webhook_endpoints").await.expect(200)["data"][0].clone(),
        writer
            .post("/webhook_endpoints", &at(7010))
            .await
            .expect(201),
        writer.patch(&path(&created), &json!({})).await.expect(200),
        writer
            .post(&format!("{}/rotate_secret", path(&created)), &json!({}))
            .await
            .expect(200),
        writer
            .post(&format!("{}/complete_rotation", path(&created)), &json!({}))
            .await
            .expect(200),
    ];

    for endpoint in &shown {
        assert_eq!(endpoint["secret"], MASK);
        assert!(!endpoint.to_string().contains("whsec_M"), "{endpoint}");
    }
    let found = trusted.get(&path(&created)).await.expect(200);
    assert_ne!(found["secret"], MASK);
    assert_ne!(found["secret"], created["secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_bring_the_secret() {
    let platform = TestPlatform::usual().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    let mut body = at(7009);
    body["secret"] = json!(secret);
    let created = platform.register(body).await;

    assert_eq!(created["secret"], secret);
    for bad in [
        "whsec_",
        "whsec_MfKQ",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_!",
        "",
    ] {
        let mut body = at(7010);
        body["secret"] = json!(bad);
        let refused = platform.client().post("/webhook_endpoints", &body).await;
        assert_eq!(
            refused.faults(),
            codes(&[("secret", "invalid_secret")]),
            "{bad}"
        );
        assert!(bad.len() < 8 || !refused.text().contains(bad));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_at_rest() {
    let platform = TestPlatform::usual().await;
    let created = platform.register(at(7009)).await;
    platform
        .client()
        .post(&format!("{}/rotate_secret", path(&created)), &json!({}))
        .await
        .expect(200);

    let sql = platform.sql().await;
    let row = sql
        .query_one("SELECT endpoints::text, secret_sealed FROM endpoints", &[])
        .await
        .unwrap();

    let (text, sealed): (String, Vec<u8>) = (row.get(0), row.get(1));
    let secret = created["secret"].as_str().unwrap();
    assert!(!text.contains(&secret[6..]));
    assert!(!sealed.windows(6).any(|bytes| bytes == b"whsec_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_registered_once_in_an_environment_and_again_after_deletion() {
    let platform = TestPlatform::usual().await;
    let first = platform.register(at(7009)).await;
    let second = platform.register(at(7010)).await;

    let duplicate = platform
        .client()
        .post("/webhook_endpoints", &at(7009))
        .await;
    let moved = platform
        .client()
        .patch(
            &path(&second),
            &json!({ "endpoint_url": at(7009)["endpoint_url"] }),
        )
        .await;
    let foreign = platform
        .foreign_client()
        .await
        .post("/webhook_endpoints", &at(7009))
        .await;
    let deleted = platform.client().delete(&path(&first)).await;

    assert_eq!(duplicate.verdict(), (409, "duplicate_endpoint".to_owned()));
    assert_eq!(moved.verdict(), (409, "duplicate_endpoint".to_owned()));
    assert_eq!(foreign.status, 201);
    assert_eq!((deleted.status, deleted.text()), (204, ""));
    let reborn = platform.register(at(7009)).await;
    assert_ne!(reborn["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_and_put_change_what_they_name() {
    let platform = TestPlatform::usual().await;
    let created = platform.register(at(7009)).await;
    platform.clock.advance(minutes(1));

    let disabled = platform
        .client()
        .patch(&path(&created), &json!({ "status": "disabled" }))
        .await
        .expect(200);
    let described = platform
        .client()
        .put(&path(&created), &json!({ "description": "d", "events": ["x.*", "*"], "retry_delays_seconds": [1, 604_800] }))
        .await
        .expect(200);
    let reset = platform
        .client()
        .patch(
            &path(&created),
            &json!({ "status": "enabled", "retry_delays_seconds": null, "events": [] }),
        )
        .await
        .expect(200);

    assert_eq!(
        (&disabled["status"], &disabled["disabled_reason"]),
        (&json!("disabled"), &json!("by_hand"))
    );
    assert_eq!(
        (&disabled["events"], &disabled["secret"]),
        (&json!(["a.b"]), &created["secret"])
    );
    assert_ne!(disabled["updated_at"], created["updated_at"]);
    assert_eq!(
        (&described["status"], &described["description"]),
        (&json!("disabled"), &json!("d"))
    );
    assert_eq!(described["events"], json!(["x.*", "*"]));
    assert_eq!(described["retry_delays_seconds"], json!([1, 604_800]));
    assert_eq!(
        (&reset["status"], &reset["disabled_reason"]),
        (&json!("enabled"), &Value::Null)
    );
    assert_eq!(
        (&reset["retry_delays_seconds"], &reset["events"]),
        (&Value::Null, &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_an_endpoint_is_told_at_once() {
    let platform = TestPlatform::usual().await;
    let created = platform.register(at(7009)).await;

    let empty = platform
        .client()
        .post("/webhook_endpoints", &json!({ "unknown": 1 }))
        .await;
    let wrong = json!({
        "endpoint_url": 1, "events": ["a", "a..b"], "status": "on", "secret": "x",
        "retry_delays_seconds": [0], "organization_id": "we_1",
    });
    let all = platform.client().post("/webhook_endpoints", &wrong).await;
    let change = platform
        .client()
        .patch(
            &path(&created),
            &json!({ "events": ["*.a"], "status": 1, "description": "d".repeat(513) }),
        )
        .await;

    assert_eq!(
        empty.faults(),
        codes(&[("endpoint_url", "required"), ("events", "required")])
    );
    assert_eq!(
        all.faults(),
        codes(&[
            ("endpoint_url", "invalid_type"),
            ("events[1]", "invalid_event_type"),
            ("organization_id", "invalid_organization_id"),
            ("status", "invalid_status"),
            ("secret", "invalid_secret"),
            ("retry_delays_seconds", "invalid_schedule"),
        ])
    );
    let fields: Vec<_> = change
        .faults()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(fields, ["events[0]", "description", "status"]);
    assert_eq!(
        platform.client().get(&path(&created)).await.expect(200),
        created
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoint_is_gone_from_every_verb() {
    let platform = TestPlatform::usual().await;
    let created = platform.register(at(7009)).await;
    platform.client().delete(&path(&created)).await;
    let client = platform.client();

    let answers = [
        client.get(&path(&created)).await,
        client.patch(&path(&created), &json!({})).await,
        client.put(&path(&created), &json!({})).await,
        client.delete(&path(&created)).await,
        client
            .post(&format!("{}/rotate_secret", path(&created)), &json!({}))
            .await,
        client
            .post(&format!("{}/complete_rotation", path(&created)), &json!({}))
            .await,
        client
            .post(&format!("{}/test", path(&created)), &json!({}))
            .await,
    ];

    for answer in &answers {
        assert_eq!(answer.verdict(), (404, "entity_not_found".to_owned()));
    }
    let list = client.get("/webhook_endpoints").await.expect(200);
    assert_eq!(list["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_paged_newest_first() {
    let platform = TestPlatform::usual().await;
    let mut ids = Vec::new();
    for port in 7001..=7005 {
        ids.push(platform.register(at(port)).await["id"].clone());
        platform.clock.advance(minutes(1));
    }

    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let list = platform
            .client()
            .get(&format!("/webhook_endpoints?{query}"))
            .await
            .expect(200);
        seen.extend(
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|endpoint| endpoint["id"].clone()),
        );
        match list["list_metadata"]["after"].as_str() {
            Some(after) => query = format!("limit=2&after={after}"),
            None => break,
        }
    }

    ids.reverse();
    assert_eq!(seen, ids);
}
