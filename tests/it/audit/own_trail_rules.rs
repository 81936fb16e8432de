//! What holds for the environment's own trail as a whole: all or nothing, no secrets, no loops, a tree of its own.

use serde_json::{Value, json};
use tidings::domain::audit::{AuditEntry, Opening, Salts};

use crate::harness::{Receiver, TestPlatform, hours};

/// The trail's entries, oldest first.
async fn trail(platform: &TestPlatform) -> Vec<Value> {
    let path = "/audit_logs/events?organization_id=environment&order=asc&limit=100";
    let list = platform.client().get(path).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn at(endpoint: &Value) -> String {
    format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_refused_late_leaves_no_entry_and_no_event() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let url = |port: u16| json!({ "endpoint_url": format!("https://127.0.0.1:{port}/"), "events": ["a"] });
    let first = client
        .post("/webhook_endpoints", &url(1_001))
        .await
        .expect(201);
    client
        .post("/webhook_endpoints", &url(1_002))
        .await
        .expect(201);
    let feed = async || client.get("/events?limit=100").await.expect(200)["data"].clone();
    let before = (trail(&platform).await, feed().await);

    // each is found out by a unique key, when the entry may have been written
    let created = client.post("/webhook_endpoints", &url(1_002)).await;
    let moved = client.patch(&at(&first), &url(1_002)).await;

    for refused in [created, moved] {
        assert_eq!(refused.verdict(), (409, "duplicate_endpoint".to_owned()));
    }
    assert_eq!((trail(&platform).await, feed().await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_endpoint_does_not_get_the_entry_of_its_own_making_and_others_do() {
    let platform = TestPlatform::usual().await;
    let (all, own) = (
        Receiver::answering([200]).await,
        Receiver::answering([200]).await,
    );
    platform.create_endpoint(&all, []).await;
    let made = platform
        .create_endpoint(&own, ["audit_log.event_recorded"])
        .await;
    platform.dispatch_due().await;

    assert!(own.requests().is_empty());
    let told: Value = serde_json::from_slice(&all.requests()[0].body).unwrap();
    assert_eq!(all.requests().len(), 1);
    assert_eq!(told["event"], "audit_log.event_recorded");
    assert_eq!(told["data"]["action"], "webhook_endpoint.created");
    assert_eq!(told["data"]["targets"][0]["id"], made["id"]);
    assert_eq!(told.get("organization_id"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_fail_on_the_trail_itself_are_disabled_once_each_and_then_it_is_quiet() {
    let platform = TestPlatform::usual().await;
    let (one, two) = (
        Receiver::answering([410]).await,
        Receiver::answering([410]).await,
    );
    for receiver in [&one, &two] {
        platform
            .create_endpoint(receiver, ["audit_log.event_recorded"])
            .await;
    }

    let mut sent = 0;
    while let more @ 1.. = platform.dispatch_after(hours(1)).await {
        sent += more;
        assert!(sent < 10, "the trail goes round in circles");
    }

    let entries = trail(&platform).await;
    let disabled: Vec<_> = entries
        .iter()
        .filter(|entry| entry["action"] == "webhook_endpoint.disabled")
        .collect();
    assert_eq!(disabled.len(), 2, "{entries:?}");
    assert_eq!(
        disabled[0]["actor"],
        json!({ "id": "delivery", "type": "platform" })
    );
    assert_eq!(disabled[0]["metadata"], json!({ "reason": "gone" }));
    assert_eq!((one.requests().len(), two.requests().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_and_no_event_of_the_trail_holds_a_secret() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let brought = format!("whsec_{}", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=");
    let body = json!({ "endpoint_url": "https://127.0.0.1/needle-path?k=needle-query", "events": [],
        "secret": brought, "description": "needle-description" });
    let endpoint = client.post("/webhook_endpoints", &body).await.expect(201);
    let mut needles = vec![brought, endpoint["secret"].as_str().unwrap().to_owned()];
    let rotate = format!("{}/rotate_secret", at(&endpoint));
    let rotated = client.post(&rotate, &json!({})).await.expect(200);
    needles.push(rotated["secret"].as_str().unwrap().to_owned());
    let moved =
        json!({ "endpoint_url": "https://127.0.0.1/needle-moved", "description": "needle-new" });
    client.patch(&at(&endpoint), &moved).await.expect(200);
    client.delete(&at(&endpoint)).await;
    let organization = json!({ "name": "Acme", "metadata": { "k": "needle-metadata" }, "external_id": "needle-id" });
    client
        .post("/organizations", &organization)
        .await
        .expect(201);

    let sql = platform.sql().await;
    let stored = "SELECT object || salts::text || search || array_to_string(targets, ',') FROM audit_log_entries \
                  UNION ALL SELECT body FROM events";
    let stored = sql.query(stored, &[]).await.unwrap();
    let stored: Vec<String> = stored.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored.len(), 10);
    for text in stored {
        assert!(
            !text.contains("needle") && !text.contains("whsec_") && !text.contains("sk_"),
            "{text}"
        );
        assert!(
            !needles.iter().any(|needle| text.contains(needle)),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaf_of_every_entry_is_in_the_environments_tree() {
    let platform = TestPlatform::usual().await;
    for name in ["One", "Two", "Three"] {
        let body = json!({ "name": name });
        platform
            .client()
            .post("/organizations", &body)
            .await
            .expect(201);
    }

    let sql = platform.sql().await;
    let rows = "SELECT object, salts, hash FROM audit_log_entries JOIN audit_log_nodes AS leaf \
                USING (environment_id, organization_id) WHERE leaf.level = 0 AND leaf.number = leaf_index \
                AND organization_id = '00000000-0000-0000-0000-000000000000' ORDER BY leaf_index";
    let rows = sql.query(rows, &[]).await.unwrap();
    assert_eq!(rows.len(), 3);
    for (index, row) in rows.iter().enumerate() {
        let salts = Salts::from_bytes(row.get(1)).unwrap();
        let entry = AuditEntry::from_stored(row.get(0), Opening::Salts(salts)).unwrap();
        assert_eq!(entry.index(), index as u64);
        assert_eq!(&entry.leaf_hash().as_bytes()[..], row.get::<_, &[u8]>(2));
    }
}
