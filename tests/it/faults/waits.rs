//! Waits: what callers ask for and has to wait holds nothing that recording and delivering need.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Receiver, TestPlatform};
use crate::process::{eventually, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_hang_do_not_keep_events_from_being_recorded_and_delivered() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, ["a.b"]).await;
    let sql = platform.sql().await;
    sql.batch_execute("BEGIN; LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let reads = (0..40).map(|_| platform.client().get("/organizations"));

    let published = async {
        let watcher = platform.sql().await;
        eventually("reads hang", seconds(5), async || {
            let hanging = "SELECT count(*) FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let row = watcher.query_one(hanging, &[]).await.unwrap();
            (row.get::<_, i64>(0) >= 3).then_some(())
        })
        .await;
        let mut slowest = seconds(0);
        for _ in 0..20 {
            let began = Instant::now();
            platform.publish("a.b", json!({})).await;
            slowest = slowest.max(began.elapsed());
        }
        eventually("they are delivered", seconds(5), async || {
            (receiver.webhook_ids().len() == 20).then_some(())
        })
        .await;
        sql.batch_execute("COMMIT").await.unwrap();
        slowest
    };
    let (answers, slowest) = tokio::join!(join_all(reads), published);

    assert!(slowest <= seconds(1), "{slowest:?}");
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    println!("40 reads hang: the slowest event took {slowest:?}");
    platform.finish().await;
}
