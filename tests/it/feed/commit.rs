//! One commit: what a request records is in one transaction, or nowhere.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform};

/// Every session but the one that asks.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND datname = current_database()";
/// The transactions that wrote rows, by table, since the last look.
const WRITERS: &str = "SELECT 'events', xmin::text FROM events UNION SELECT 'outbox', xmin::text FROM outbox \
                       UNION SELECT 'idempotency_keys', xmin::text FROM idempotency_keys \
                       UNION SELECT 'audit_log_entries', xmin::text FROM audit_log_entries \
                       UNION SELECT 'audit_log_nodes', xmin::text FROM audit_log_nodes \
                       UNION SELECT 'audit_log_trees', xmin::text FROM audit_log_trees";
const TABLES: usize = 6;

async fn record(platform: &TestPlatform, organization: &str, key: &str) -> u16 {
    let entry = json!({ "organization_id": organization, "event": {
        "action": "user.signed_in", "occurred_at": "2026-02-02T16:35:39.317Z",
        "actor": { "id": "user_1", "type": "user" }, "targets": [{ "id": "team_1", "type": "team" }],
        "context": { "location": "203.0.113.7" } } });
    let client = platform.client();
    let recorded = client.post_once("/audit_logs/events", key, &entry);
    recorded.await.status
}

/// A platform with an organization, and an endpoint that wants what its audit log tells.
async fn platform() -> (TestPlatform, String, Receiver) {
    let platform = TestPlatform::usual().await;
    let acme = json!({ "name": "Acme" });
    let made = platform.client().post("/organizations", &acme);
    let organization = made.await.expect(201)["id"].as_str().unwrap().to_owned();
    let receiver = Receiver::answering([200]).await;
    let endpoint: Value = json!({ "endpoint_url": receiver.url(), "events": ["audit_log.event_recorded"],
                                  "organization_id": organization });
    platform.register(endpoint).await;
    (platform, organization, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_its_event_its_deliveries_and_its_key_are_one_transaction_on_new_connections_too()
{
    let (platform, organization, _receiver) = platform().await;
    let sql = platform.sql().await;

    for round in 0..10 {
        let clear = "DELETE FROM outbox; DELETE FROM idempotency_keys; DELETE FROM events; \
                     DELETE FROM audit_log_entries; DELETE FROM audit_log_nodes; DELETE FROM audit_log_trees";
        sql.batch_execute(clear).await.unwrap();
        // On a new connection no statement is prepared, and each waits for its turn to be.
        sql.execute(TERMINATE, &[]).await.unwrap();

        // A 503 has changed nothing: several connections in a row were dead.
        let key = format!("key-{round}");
        let mut tries = 1;
        while record(&platform, &organization, &key).await != 201 {
            assert!(tries < 50, "not recorded");
            tries += 1;
        }

        let writers = sql.query(WRITERS, &[]).await.unwrap();
        let transactions: Vec<String> = writers.iter().map(|row| row.get(1)).collect();
        assert_eq!(transactions.len(), TABLES, "{writers:?}");
        assert!(
            transactions.iter().all(|one| *one == transactions[0]),
            "{writers:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_behind_others_takes_all_of_its_batch_along() {
    let (platform, organization, _receiver) = platform().await;
    let sql = platform.sql().await;
    let count = async || -> i64 {
        let rows = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox) \
                    + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM audit_log_nodes)";
        sql.query_one(rows, &[]).await.unwrap().get(0)
    };
    let before = count().await;

    for (table, key) in [
        ("outbox", "first"),
        ("idempotency_keys", "second"),
        ("audit_log_nodes", "third"),
    ] {
        let refuse = format!("ALTER TABLE {table} ADD CONSTRAINT refused CHECK (false) NOT VALID");
        sql.batch_execute(&refuse).await.unwrap();

        let refused = record(&platform, &organization, key).await;

        assert!(refused >= 500, "{refused}");
        assert_eq!(count().await, before, "{table}");
        let allow = format!("ALTER TABLE {table} DROP CONSTRAINT refused");
        sql.batch_execute(&allow).await.unwrap();
    }
    assert_eq!(record(&platform, &organization, "first").await, 201);
    assert!(count().await > before);
}
