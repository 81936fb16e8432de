//! Health: what a supervisor and a load balancer ask.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::{Receiver, TestPlatform, eventually};

/// The gauges, by their names.
async fn gauges(platform: &TestPlatform) -> BTreeMap<String, i64> {
    let answer = platform.client().get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let (text, end) = answer
        .text()
        .split_at(answer.text().len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once(' ').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_platform_says_that_it_lives_and_is_ready_to_anyone() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let stranger = platform.client().with_key(None);

    let live = stranger.get("/livez").await;
    let ready = stranger.get("/readyz").await;

    assert_eq!(live.expect(200), json!({ "status": "ok" }));
    assert_eq!(
        ready.expect(200),
        json!({ "status": "ok", "checks": { "database": "ok", "migrations": "ok", "dispatcher": "ok" } })
    );
    platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_how_full_a_server_is_and_what_weighs_on_its_database() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let idle = gauges(&platform).await;
    let names: Vec<_> = idle.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "tidings_database_snapshot_held_seconds",
            "tidings_dispatcher_held_claims",
            "tidings_dispatcher_up",
            "tidings_outbox_dead_rows",
            "tidings_partitions_ahead_seconds",
            "tidings_recorder_waiting_bytes",
            "tidings_recorder_waiting_events",
        ]
    );
    assert_eq!(idle["tidings_dispatcher_up"], 1);
    assert_eq!(idle["tidings_dispatcher_held_claims"], 0);
    assert!(
        idle["tidings_partitions_ahead_seconds"] > 21 * 86_400,
        "{idle:?}"
    );

    receiver.hold();
    platform.publish("a", json!({})).await;
    let holder = platform.sql().await;
    let forgotten = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events";
    holder.batch_execute(forgotten).await.unwrap();

    eventually("the claim and the snapshot are seen", async || {
        let gauges = gauges(&platform).await;
        let held = gauges["tidings_dispatcher_held_claims"] == 1;
        (held && gauges["tidings_database_snapshot_held_seconds"] >= 1).then_some(())
    })
    .await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    receiver.release();
    eventually("and gone", async || {
        let gauges = gauges(&platform).await;
        let held = gauges["tidings_dispatcher_held_claims"] == 0;
        (held && gauges["tidings_database_snapshot_held_seconds"] == 0).then_some(())
    })
    .await;
    platform.finish().await;
}
