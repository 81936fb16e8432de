//! Recording: an entry, its leaf and its event are one; they are read back as they were recorded.

use serde_json::{Value, json};
use tidings::store::audit_entries;

use crate::harness::TestPlatform;

/// An organization of the platform; answers its id.
async fn organization(platform: &TestPlatform) -> String {
    let body = json!({ "name": "Acme" });
    let created = platform.client().post("/organizations", &body).await;
    created.expect(201)["id"].as_str().unwrap().to_owned()
}

fn entry(organization: &str, action: &str) -> Value {
    json!({ "organization_id": organization, "event": {
        "action": action, "occurred_at": "2026-02-02T16:35:39.317Z",
        "actor": { "id": "user_1", "type": "user", "name": "Jon Smith", "metadata": { "role": "admin" } },
        "targets": [{ "id": "team_1", "type": "team" }],
        "context": { "location": "203.0.113.7" }, "metadata": { "floor": 7 } } })
}

async fn record(platform: &TestPlatform, entry: &Value) -> String {
    let reply = platform.client().post("/audit_logs/events", entry).await;
    reply.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn listed(platform: &TestPlatform, query: &str) -> Vec<Value> {
    let path = format!("/audit_logs/events?order=asc&limit=100&{query}");
    let list = platform.client().get(&path).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn indexes(entries: &[Value]) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry["index"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_read_back_and_the_feed_tells_of_it() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;

    let id = record(&platform, &entry(&acme, "user.signed_in")).await;

    let path = format!("/audit_logs/events/{id}");
    let found = platform.client().get(&path).await.expect(200);
    assert_eq!(found["organization_id"], acme.as_str());
    assert_eq!(found["actor"]["metadata"], json!({ "role": "admin" }));
    assert_eq!(found["index"], 0);
    let feed = platform
        .client()
        .get(&format!(
            "/events?events=audit_log.event_recorded&organization_id={acme}"
        ))
        .await
        .expect(200);
    assert_eq!(feed["data"][0]["data"], found);
    assert_eq!(feed["data"][0]["organization_id"], acme.as_str());
    assert_eq!(feed["data"][0]["created_at"], found["recorded_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_an_organization_are_numbered_without_a_gap_also_from_two_servers_at_once() {
    let platform = TestPlatform::usual().await;
    let beside = TestPlatform::builder().beside(&platform).start().await;
    let (acme, other) = (organization(&platform).await, organization(&platform).await);

    let one = async |platform: &TestPlatform, number: u32| {
        let organization = if number.is_multiple_of(3) {
            &other
        } else {
            &acme
        };
        record(platform, &entry(organization, "a.b")).await;
    };
    let here = (0..15).map(|number| one(&platform, number));
    let there = (0..15).map(|number| one(&beside, number));
    tokio::join!(
        futures_util::future::join_all(here),
        futures_util::future::join_all(there)
    );

    let of = async |organization: &str| {
        indexes(&listed(&platform, &format!("organization_id={organization}")).await)
    };
    assert_eq!(of(&acme).await, (0..20).collect::<Vec<_>>());
    assert_eq!(of(&other).await, (0..10).collect::<Vec<_>>());
    let sql = platform.sql().await;
    let leaves = "SELECT count(*) FROM audit_log_nodes WHERE level = 0 \
                  AND organization_id <> '00000000-0000-0000-0000-000000000000'";
    let leaves: i64 = sql.query_one(leaves, &[]).await.unwrap().get(0);
    assert_eq!(leaves, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_recorded_whole_in_its_order_or_not_at_all() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;
    let nobody = "org_01KDWX4V00000000000000TEST";
    let good = json!({ "events": [entry(&acme, "a.first"), entry(&acme, "a.second")] });
    let bad = json!({ "events": [entry(&acme, "a.third"), entry(nobody, "a.fourth")] });

    let refused = platform
        .client()
        .post("/audit_logs/events/batch", &bad)
        .await;
    let recorded = platform
        .client()
        .post("/audit_logs/events/batch", &good)
        .await;

    assert_eq!(refused.verdict(), (404, "entity_not_found".to_owned()));
    let ids = recorded.expect(201)["ids"].clone();
    let entries = listed(&platform, &format!("organization_id={acme}")).await;
    assert_eq!(ids, json!([entries[0]["id"], entries[1]["id"]]));
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["action"], "a.second");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_gets_the_same_answer_and_records_nothing() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;
    let post = async |action: &str| {
        let entry = entry(&acme, action);
        platform
            .client()
            .post_once("/audit_logs/events", "k", &entry)
            .await
    };

    let (first, again) = (post("a.b").await, post("a.b").await);
    let other = post("a.c").await;

    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(other.verdict(), (400, "idempotency_key_reused".to_owned()));
    let entries = listed(&platform, &format!("organization_id={acme}")).await;
    assert_eq!(entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_of_another_environment_is_not_found() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;
    let foreign = platform.foreign_client().await;
    let id = record(&platform, &entry(&acme, "a.b")).await;

    let posted = foreign
        .post("/audit_logs/events", &entry(&acme, "a.b"))
        .await;
    let read = foreign.get(&format!("/audit_logs/events/{id}")).await;

    assert_eq!(posted.verdict(), (404, "entity_not_found".to_owned()));
    let message = posted.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, format!("Organization not found: '{acme}'."));
    assert_eq!(read.status, 404);
    let entries = listed(&platform, &format!("organization_id={acme}")).await;
    assert_eq!(entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_target_and_by_words_even_with_characters_that_columns_cannot_hold() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;
    let mut odd = entry(&acme, "a.odd");
    odd["event"]["actor"]["name"] = json!("Zoë\u{0} Quill");
    odd["event"]["actor"]["id"] = json!("user\u{0}2");
    odd["event"]["targets"][0]["id"] = json!("team\u{0}2");
    record(&platform, &entry(&acme, "a.plain")).await;
    record(&platform, &odd).await;

    let found = async |query: &str| indexes(&listed(&platform, query).await);

    assert_eq!(found("target_type=team&target_id=team_1").await, [0]);
    assert_eq!(found("target_type=team").await, [0, 1]);
    // U+0000 is left out of what is looked for, and no query may have it.
    assert_eq!(found("search=quill").await, [1]);
    assert_eq!(found("actor_id=user2").await, [1]);
    let with_nul = platform.client().get("/audit_logs/events?search=quill%00");
    assert_eq!(with_nul.await.status, 422);
    assert_eq!(found("search=admin%207").await, [0, 1]);
    assert_eq!(found("actor_id=user_1").await, [0]);
    let shown = listed(&platform, "actions=a.odd").await;
    assert_eq!(shown[0]["actor"], odd["event"]["actor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_upkeep_has_not_merged_yet_and_what_it_has() {
    let platform = TestPlatform::usual().await;
    let acme = organization(&platform).await;
    record(&platform, &entry(&acme, "a.first")).await;
    let found = async || indexes(&listed(&platform, "search=jon&target_type=team").await);
    assert_eq!(found().await, [0]);

    let mut conn = platform.store().conn().await.unwrap();
    let merged = audit_entries::merge_searches(&mut conn).await.unwrap();

    assert!(merged > 0, "something waited");
    assert_eq!(audit_entries::merge_searches(&mut conn).await.unwrap(), 0);
    assert_eq!(found().await, [0]);
    record(&platform, &entry(&acme, "a.second")).await;
    assert_eq!(found().await, [0, 1]);
}
