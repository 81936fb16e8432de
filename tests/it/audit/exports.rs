//! Exports: asked for, made in the background, fetched by a link that is its own key.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::upkeep;

use crate::harness::{Reply, TestPlatform};

async fn organization(platform: &TestPlatform) -> String {
    let body = json!({ "name": "Acme" });
    let made = platform.client().post("/organizations", &body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn record(platform: &TestPlatform, organization: &str, actor: &str, name: &str) {
    let body = json!({ "organization_id": organization, "event": {
        "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z",
        "actor": { "id": actor, "type": "user", "name": name },
        "targets": [{ "id": "t", "type": "team" }],
        "context": { "location": "here" },
    } });
    let recorded = platform.client().post("/audit_logs/events", &body).await;
    recorded.expect(201);
}

fn wanted(organization: &str) -> Value {
    json!({ "organization_id": organization, "range_start": "2026-01-01", "range_end": "2026-02-01" })
}

async fn create(platform: &TestPlatform, body: &Value) -> String {
    let made = platform.client().post("/audit_logs/exports", body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn show(platform: &TestPlatform, id: &str) -> Value {
    let path = format!("/audit_logs/exports/{id}");
    platform.client().get(&path).await.expect(200)
}

async fn make(platform: &TestPlatform) {
    upkeep::exports::make_pending(platform.store(), &platform.clock)
        .await
        .unwrap();
}

/// Fetches a URL of the platform's without a key.
async fn fetch(platform: &TestPlatform, url: &str) -> Reply {
    let path = &url[url.find("/audit_logs").unwrap()..];
    platform.client().with_key(None).get(path).await
}

async fn file(platform: &TestPlatform, id: &str) -> String {
    let export = show(platform, id).await;
    assert_eq!(export["state"], "ready");
    let reply = fetch(platform, export["url"].as_str().unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_was_recorded_before_it_was_asked_for() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "first", "=1+1").await;
    let id = create(&platform, &wanted(&organization)).await;
    record(&platform, &organization, "late", "Late").await;
    let before = show(&platform, &id).await;

    make(&platform).await;

    assert_eq!(before["state"], "pending");
    assert!(before.get("url").is_none());
    let text = file(&platform, &id).await;
    let rows: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert!(rows[0].starts_with("id,action,version,occurred_at,"));
    assert!(rows[1].contains(",first,user,'=1+1,"), "{text}");
    assert_eq!(show(&platform, &id).await["progress"]["entries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_combine_by_and_and_their_values_by_or() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    for (actor, name) in [("a", "Ann"), ("b", "Bob"), ("c", "Ann")] {
        record(&platform, &organization, actor, name).await;
    }
    let mut body = wanted(&organization);
    body["actor_ids"] = json!(["a", "b"]);
    body["actors"] = json!(["Ann"]);
    let id = create(&platform, &body).await;

    make(&platform).await;

    let text = file(&platform, &id).await;
    assert!(text.contains(",a,user,Ann,"), "{text}");
    assert_eq!(text.split_terminator("\r\n").count(), 2, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_is_written_in_chunks_that_make_one_file() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let long = "x".repeat(400);
    let metadata: Value = (0..40)
        .map(|key| (format!("k{key}"), json!(long)))
        .collect();
    let events: Vec<Value> = (0..50)
        .map(|number| {
            json!({ "organization_id": organization, "event": {
                "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z", "metadata": metadata,
                "actor": { "id": format!("actor {number}"), "type": "user" },
                "targets": [{ "id": "t", "type": "team" }], "context": { "location": "here" },
            } })
        })
        .collect();
    for _ in 0..3 {
        let body = json!({ "events": events });
        let path = "/audit_logs/events/batch";
        platform.client().post(path, &body).await.expect(201);
    }
    let id = create(&platform, &wanted(&organization)).await;

    make(&platform).await;

    let text = file(&platform, &id).await;
    let rows: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 151);
    for (index, row) in rows[1..].iter().enumerate() {
        assert!(row.ends_with(&format!(",{index}")), "row {index}");
    }
    let sql = platform.sql().await;
    let chunks = "SELECT count(*) FROM audit_log_export_chunks";
    let chunks: i64 = sql.query_one(chunks, &[]).await.unwrap().get(0);
    assert!(chunks >= 3, "{chunks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_ten_minutes_and_for_nothing_else() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let id = create(&platform, &wanted(&organization)).await;
    make(&platform).await;
    let other = create(&platform, &wanted(&organization)).await;
    make(&platform).await;
    let export = show(&platform, &id).await;
    let url = export["url"].as_str().unwrap();

    let good = fetch(&platform, url).await;
    let elsewhere = fetch(&platform, &url.replace(&id, &other)).await;
    let longer = fetch(&platform, &url.replace("expires=", "expires=9")).await;
    let bare = fetch(&platform, url.split('?').next().unwrap()).await;
    platform.clock.advance(Duration::from_secs(601));
    let late = fetch(&platform, url).await;

    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(good.status, 200);
    assert_eq!(good.header("content-type"), "text/csv; charset=utf-8");
    assert!(good.header("content-disposition").starts_with("attachment"));
    for refused in [elsewhere, longer, bare] {
        assert_eq!(refused.verdict(), (403, "forbidden".to_owned()));
    }
    assert_eq!(late.verdict(), (410, "link_expired".to_owned()));
    file(&platform, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_expires_after_a_week_with_its_file() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let id = create(&platform, &wanted(&organization)).await;
    make(&platform).await;

    platform.clock.advance(Duration::from_secs(8 * 24 * 3600));
    upkeep::expire_exports(platform.store(), &platform.clock)
        .await
        .unwrap();
    make(&platform).await;

    let export = show(&platform, &id).await;
    assert_eq!(export["state"], "expired");
    assert!(export.get("url").is_none());
    let sql = platform.sql().await;
    let left = "SELECT count(*) FROM audit_log_export_chunks";
    assert_eq!(sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_is_refused() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let mut other = wanted(&organization);
    other["format"] = json!("xml");
    let mut endless = wanted(&organization);
    endless.as_object_mut().unwrap().remove("range_end");
    let mut inverted = wanted(&organization);
    inverted["range_end"] = json!("2025-12-31");
    let unknown = wanted("org_01KDWX4V00000000000000TEST");
    // Years that a text or the database cannot hold.
    let mut far = wanted(&organization);
    far["range_end"] = json!("+10000-01-01");
    let mut early = wanted(&organization);
    early["range_start"] = json!("-5000-01-01");

    for (body, status) in [
        (far, 422),
        (early, 422),
        (other, 422),
        (endless, 422),
        (inverted, 400),
        (unknown, 404),
    ] {
        let reply = platform.client().post("/audit_logs/exports", &body).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}
