//! The lease fence: a verdict counts only under its lease; an attempt is recorded always.

use serde_json::json;

use crate::harness::{Receiver, TestPlatform, eventually};

const OUTBOX: &str = "SELECT attempts, lease_id::text FROM outbox";

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_comes_after_the_lease_was_lost_changes_nothing_but_the_attempt_is_recorded()
{
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let event = platform.publish("a", json!({})).await;
    let sql = platform.sql().await;
    receiver.hold();

    let losing = async {
        eventually("the request is under way", async || {
            (!receiver.requests().is_empty()).then_some(())
        })
        .await;
        // as if the lease had run out and another worker had claimed the row
        sql.execute("UPDATE outbox SET lease_id = gen_random_uuid()", &[])
            .await
            .unwrap();
        receiver.release();
    };
    let (attempts, ()) = tokio::join!(platform.dispatch_due(), losing);

    assert_eq!(attempts, 1);
    let row = sql.query_one(OUTBOX, &[]).await.unwrap();
    assert_eq!(row.get::<_, i16>(0), 0);
    assert!(row.get::<_, Option<String>>(1).is_some());
    assert_eq!(platform.outcomes(&event).await, ["accepted 200"]);
    assert_eq!(platform.delivery_of(&event).await["state"], "pending");

    // the other worker gives up too; the delivery is made again, with the same id
    sql.execute(
        "UPDATE outbox SET lease_id = NULL, worker_id = NULL, due_at = created_at",
        &[],
    )
    .await
    .unwrap();
    platform.dispatch_due().await;
    assert_eq!(
        platform.outcomes(&event).await,
        ["accepted 200", "accepted 200"]
    );
    assert_eq!(platform.delivery_of(&event).await["state"], "delivered");
    assert_eq!(
        receiver.webhook_ids(),
        vec![event["id"].as_str().unwrap(); 2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_deleted_during_a_request_keeps_its_delivery_cancelled() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let endpoint = platform.create_endpoint(&receiver, []).await;
    let event = platform.publish("a", json!({})).await;
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    receiver.hold();

    let deleting = async {
        eventually("the request is under way", async || {
            (!receiver.requests().is_empty()).then_some(())
        })
        .await;
        assert_eq!(platform.client().delete(&path).await.status, 204);
        receiver.release();
    };
    tokio::join!(platform.dispatch_due(), deleting);

    let delivery = platform.delivery_of(&event).await;
    assert_eq!(delivery["state"], json!("cancelled"));
    assert_eq!(platform.outcomes(&event).await, ["refused 500"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_dispatch_at_once_send_each_delivery_once() {
    let platform = TestPlatform::usual().await;
    let beside = TestPlatform::builder().beside(&platform).start().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let events = vec![json!({ "event": "a", "data": {} }); 200];
    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);

    let (here, there) = tokio::join!(platform.dispatch_due(), beside.dispatch_due());

    assert_eq!(here + there, 200);
    let mut ids = receiver.webhook_ids();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_taken_by_another_worker() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let event = platform.publish("a", json!({})).await;
    let sql = platform.sql().await;
    // what a worker leaves that dies after its claim
    let lease =
        tidings::domain::time::to_text(platform.clock.now() + chrono::TimeDelta::seconds(60));
    sql.batch_execute(&format!(
        "UPDATE outbox SET lease_id = gen_random_uuid(), worker_id = gen_random_uuid(), due_at = '{lease}'"
    ))
    .await
    .unwrap();

    assert_eq!(
        platform.dispatch_after(crate::harness::seconds(59)).await,
        0
    );
    assert_eq!(platform.dispatch_after(crate::harness::seconds(1)).await, 1);

    assert_eq!(platform.delivery_of(&event).await["state"], "delivered");
}
