//! Exports take turns: one that cannot proceed, or one tenant's many, do not keep the others from theirs.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::store::audit_exports;
use tidings::upkeep;

use super::trail::{DAY, Trail};
use crate::harness::{Client, minutes};

fn everything(organization: &str) -> Value {
    json!({ "organization_id": organization, "range_start": "2026-01-01", "range_end": "2030-01-01" })
}

async fn ask(client: &Client, organization: &str) -> String {
    let made = client
        .post("/audit_logs/exports", &everything(organization))
        .await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn state(trail: &Trail, id: &str) -> Value {
    trail.show(id).await["state"].clone()
}

async fn count(trail: &Trail, table: &str) -> i64 {
    let sql = trail.platform.sql().await;
    let count = format!("SELECT count(*) FROM {table}");
    sql.query_one(&count, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_fails_again_and_again_ends_and_the_others_are_made() {
    let mut trail = Trail::new().await;
    trail.record(3).await;
    let client = trail.platform.client();
    let stuck = ask(client, &trail.name).await;
    let sql = trail.platform.sql().await;
    let id = "SELECT id::text FROM audit_log_exports";
    let id: String = sql.query_one(id, &[]).await.unwrap().get(0);
    let refuse = format!(
        "ALTER TABLE audit_log_export_chunks ADD CONSTRAINT refused CHECK (export_id <> '{id}')"
    );
    sql.batch_execute(&refuse).await.unwrap();
    let other = ask(client, &trail.name).await;
    let (store, clock) = (trail.platform.store(), &trail.platform.clock);

    let mut turns = Vec::new();
    for _ in 0..5 {
        let failed = upkeep::exports::make_pending(store, clock).await.is_err();
        let at_once = upkeep::exports::make_pending(store, clock).await.is_err();
        turns.push((failed, at_once, state(&trail, &stuck).await));
        clock.advance(minutes(3));
    }

    assert_eq!(state(&trail, &other).await, "ready");
    let pending = (true, false, json!("pending"));
    assert!(turns[..4].iter().all(|turn| *turn == pending), "{turns:?}");
    assert_eq!(turns[4], (false, false, json!("error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_does_not_read_back_is_an_error_without_a_file_and_the_list_is_shown() {
    let mut trail = Trail::new().await;
    trail.record(2_000).await;
    let id = trail.ask(json!({})).await;
    assert!(trail.write_chunk(&id).await);
    let sql = trail.platform.sql().await;
    let edit = "UPDATE audit_log_exports SET filter = '{'";
    sql.execute(edit, &[]).await.unwrap();
    let before = count(&trail, "audit_log_export_chunks").await;

    trail.make().await;

    let list = trail.platform.client().get("/audit_logs/exports").await;
    assert_eq!(list.expect(200)["data"][0]["state"], "error");
    let after = count(&trail, "audit_log_export_chunks").await;
    assert_eq!((before, after), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_looks_at_so_many_entries_however_few_are_in_the_export() {
    let mut trail = Trail::new().await;
    trail.record(2).await;
    let sql = trail.platform.sql().await;
    let far = "UPDATE audit_log_entries SET leaf_index = 250000 WHERE leaf_index = 1";
    let size = "UPDATE audit_log_trees SET size = 250001 WHERE size = 2";
    sql.batch_execute(&format!("{far};{size}")).await.unwrap();
    let id = ask(trail.platform.client(), &trail.name).await;

    let mut turns = Vec::new();
    for _ in 0..3 {
        assert!(trail.write_chunk(&id).await);
        let export = trail.show(&id).await;
        turns.push((
            export["state"].clone(),
            export["progress"]["entries"].clone(),
        ));
    }

    let seen = [("pending", 1), ("pending", 1), ("ready", 2)];
    assert_eq!(
        turns,
        seen.map(|(state, entries)| (json!(state), json!(entries)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_many_exports_leave_another_its_turn() {
    let trail = Trail::new().await;
    for _ in 0..17 {
        ask(trail.platform.client(), &trail.name).await;
    }
    let foreign = trail.platform.foreign_client().await;
    let organization = foreign
        .post("/organizations", &json!({ "name": "Late" }))
        .await;
    let organization = organization.expect(201);
    let theirs = ask(&foreign, organization["id"].as_str().unwrap()).await;

    let mut conn = trail.platform.store().conn().await.unwrap();
    let now = trail.platform.clock.now();
    let due = audit_exports::due(&mut conn, now, Vec::new(), 16).await;

    let due = due.unwrap();
    assert_eq!(due.len(), 2, "one of each: {due:?}");
    assert!(due.iter().any(|(_, id)| id.to_string() == theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_an_end_to_what_is_asked_for_and_to_what_is_kept() {
    let trail = Trail::new().await;
    let client = trail.platform.client();
    let wanted = everything(&trail.name);
    ask(client, &trail.name).await;
    let sql = trail.platform.sql().await;
    let more = async |count: i32| {
        let copy = "INSERT INTO audit_log_exports (environment_id, id, organization_id, format, filter, state, \
                    entries, created_at, updated_at) SELECT environment_id, gen_random_uuid(), organization_id, \
                    format, filter, state, entries, created_at, updated_at \
                    FROM (SELECT * FROM audit_log_exports LIMIT 1) AS one, generate_series(1, $1::int4)";
        sql.execute(copy, &[&count]).await.unwrap();
    };

    more(98).await;
    client
        .post("/audit_logs/exports", &wanted)
        .await
        .expect(201);
    let pending = client.post("/audit_logs/exports", &wanted).await;
    let ready = "UPDATE audit_log_exports SET state = 'ready'";
    sql.execute(ready, &[]).await.unwrap();
    more(900).await;
    let kept = client.post("/audit_logs/exports", &wanted).await;

    for refused in [pending, kept] {
        assert_eq!(refused.verdict(), (422, "limit_reached".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_expire_past_one_that_somebody_is_at() {
    let trail = Trail::new().await;
    let client = trail.platform.client();
    let (held, other) = (
        ask(client, &trail.name).await,
        ask(client, &trail.name).await,
    );
    trail.make().await;
    let holder = trail.platform.sql().await;
    let hold = "BEGIN; SELECT 1 FROM audit_log_exports ORDER BY id LIMIT 1 FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();
    trail.platform.clock.advance(Duration::from_secs(8 * DAY));

    let (store, clock) = (trail.platform.store(), &trail.platform.clock);
    let expired = upkeep::expire_exports(store, clock).await;

    expired.unwrap();
    let states = (state(&trail, &held).await, state(&trail, &other).await);
    assert_eq!(states, (json!("ready"), json!("expired")));
}
