//! Retention: how long an organization's entries are kept, and what stays of those that have left.

use std::time::Duration;

use serde_json::json;
use tidings::upkeep;

use crate::harness::TestPlatform;

async fn organization(platform: &TestPlatform) -> String {
    let body = json!({ "name": "Acme" });
    let made = platform.client().post("/organizations", &body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn record(platform: &TestPlatform, organization: &str) {
    let body = json!({ "organization_id": organization, "event": {
        "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z",
        "actor": { "id": "a", "type": "user" }, "targets": [{ "id": "t", "type": "team" }],
        "context": { "location": "here" },
    } });
    let recorded = platform.client().post("/audit_logs/events", &body).await;
    recorded.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_can_be_set_before_and_after_the_first_entry() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let path = format!("/organizations/{organization}/audit_logs_retention");
    let client = platform.client();

    let unset = client.get(&path).await.expect(200);
    let year = json!({ "retention_period": "1_YEAR" });
    client.put(&path, &year).await.expect(200);
    record(&platform, &organization).await;
    let kept = client.get(&path).await.expect(200);
    let month = json!({ "retention_period_in_days": 30 });
    client.put(&path, &month).await.expect(200);
    record(&platform, &organization).await;

    assert!(unset["retention_period_in_days"].is_null());
    assert_eq!(kept["retention_period_in_days"], 365);
    let configuration = format!("/organizations/{organization}/audit_log_configuration");
    let configuration = client.get(&configuration).await.expect(200);
    assert_eq!(configuration["retention_period_in_days"], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_leave_with_an_entry_that_says_so_and_their_nodes_stay() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let path = format!("/organizations/{organization}/audit_logs_retention");
    let month = json!({ "retention_period": "1_MONTH" });
    platform.client().put(&path, &month).await.expect(200);
    record(&platform, &organization).await;
    record(&platform, &organization).await;
    platform.clock.advance(Duration::from_secs(31 * 24 * 3600));
    record(&platform, &organization).await;

    for _ in 0..2 {
        upkeep::audit_retention::expire_entries(platform.store(), &platform.clock)
            .await
            .unwrap();
    }

    let list = format!("/audit_logs/events?order=asc&organization_id={organization}");
    let list = platform.client().get(&list).await.expect(200);
    let [kept, expired] = &list["data"].as_array().unwrap()[..] else {
        panic!("two entries expected: {list}");
    };
    assert_eq!(kept["index"], 2);
    assert_eq!(expired["index"], 3);
    assert_eq!(expired["action"], "audit_log.expired");
    assert_eq!(
        expired["targets"],
        json!([{ "id": "0-1", "type": "audit_log_leaves" }])
    );
    let sql = platform.sql().await;
    let leaves = "SELECT count(*) FROM audit_log_nodes WHERE level = 0 \
                  AND organization_id <> '00000000-0000-0000-0000-000000000000'";
    let leaves: i64 = sql.query_one(leaves, &[]).await.unwrap().get(0);
    assert_eq!(leaves, 4);
}
