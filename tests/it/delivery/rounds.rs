//! Claim rounds: what is due is taken fairly, in bounds, and given back in its order.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use serde_json::json;
use tidings::domain::id::{EndpointId, EventId, LeaseId, WorkerId};
use tidings::store::claims::Wanted;
use tidings::store::gate::FIRST_CLAIMS;
use tidings::store::outbox::Lease;
use tidings::store::{claims, outbox};

use crate::harness::{Answer, Receiver, TestPlatform, eventually, seconds};

async fn publish_many(platform: &TestPlatform, name: &str, count: usize) {
    let events = vec![json!({ "event": name, "data": {} }); count];
    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_hang_do_not_stop_the_others() {
    let platform = TestPlatform::builder()
        .configure(|config| {
            config.delivery.concurrency = 64;
            config.delivery.concurrency_per_endpoint = 32;
            config.delivery.timeout = seconds(60);
            config.delivery.lease = seconds(90);
        })
        .dispatching()
        .start()
        .await;
    let mut hanging = Vec::new();
    for _ in 0..4 {
        let receiver = Receiver::answering([Answer::Hang]).await;
        platform.create_endpoint(&receiver, ["hang"]).await;
        hanging.push(receiver);
    }
    let healthy = Receiver::answering([200]).await;
    platform.create_endpoint(&healthy, ["well"]).await;
    publish_many(&platform, "hang", 100).await;
    eventually("the hanging endpoints are called", async || {
        hanging
            .iter()
            .all(|receiver| !receiver.requests().is_empty())
            .then_some(())
    })
    .await;

    publish_many(&platform, "well", 100).await;

    eventually("the healthy endpoint gets everything", async || {
        (healthy.requests().len() == 100).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_drained_without_waiting_for_the_next_look() {
    let quiet = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    quiet.create_endpoint(&receiver, ["a"]).await;
    publish_many(&quiet, "a", 100).await;
    publish_many(&quiet, "a", 100).await;
    let mut sql = quiet.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE deliveries IN SHARE MODE")
        .await
        .unwrap();

    // the only look through the outbox is the one at the start
    let draining = TestPlatform::builder()
        .configure(|config| {
            config.delivery.poll = seconds(3600);
            // so that answers make no room for more
            config.delivery.concurrency_per_endpoint = 8;
        })
        .beside(&quiet)
        .dispatching()
        .start()
        .await;
    eventually(
        "as many are sent as may be held of one endpoint",
        async || (receiver.requests().len() == FIRST_CLAIMS).then_some(()),
    )
    .await;
    // nothing of it can be settled, so there is no room for more until now
    lock.rollback().await.unwrap();

    eventually("the endpoint gets everything", async || {
        (receiver.requests().len() == 200).then_some(())
    })
    .await;
    draining.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_event_is_gone_is_cancelled_and_holds_up_no_other() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    let gone = platform.publish("a", json!({})).await;
    let kept = platform.publish("a", json!({})).await;
    let gone_id: EventId = gone["id"].as_str().unwrap().parse().unwrap();
    let sql = platform.sql().await;
    let deleted = sql
        .execute(
            &format!(
                "DELETE FROM events WHERE id = '{}'",
                uuid(gone_id.to_bytes())
            ),
            &[],
        )
        .await
        .unwrap();
    assert_eq!(deleted, 1);

    assert_eq!(platform.dispatch_due().await, 1);

    assert_eq!(receiver.webhook_ids(), [kept["id"].as_str().unwrap()]);
    let rows = sql
        .query(
            "SELECT reason FROM deliveries WHERE state = 'cancelled'",
            &[],
        )
        .await
        .unwrap();
    let reasons: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(reasons, ["event_expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_comes_before_what_became_due_later() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let first = platform.publish("a", json!({})).await;
    platform.clock.advance(seconds(1));
    let second = platform.publish("a", json!({})).await;
    let endpoint: EndpointId = endpoint["id"].as_str().unwrap().parse().unwrap();
    let wanted = [wanted(endpoint, 1)];
    let mut conn = platform.parts().store.conn().await.unwrap();
    let now = Some(platform.clock.now());
    let mut claim = async || {
        let taken = claims::claim_due(
            &mut conn,
            platform.environment,
            now,
            lease(&platform),
            &wanted,
        );
        let claim = taken.await.unwrap().claims.remove(0);
        let held = [(claim.delivery, claim.lease)];
        outbox::release(&mut conn, platform.environment, now, &held)
            .await
            .unwrap();
        claim.event.to_string()
    };

    assert_eq!(
        [claim().await, claim().await],
        [0, 1].map(|_| first["id"].as_str().unwrap())
    );

    drop(conn);
    platform.dispatch_due().await;
    assert_eq!(receiver.webhook_ids().len(), 2);
    assert_ne!(first["id"], second["id"]);
}

fn wanted(endpoint: EndpointId, count: usize) -> Wanted {
    Wanted {
        endpoint,
        count,
        floor: None,
    }
}

fn lease(platform: &TestPlatform) -> Lease {
    Lease {
        id: LeaseId::new(platform.clock.now()),
        worker: WorkerId::new(platform.clock.now()),
        lasts: Duration::from_secs(60),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_cannot_be_claimed_does_not_keep_another_waiting() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    let foreign = platform.foreign_client().await;
    let broken = Receiver::answering([200]).await;
    let body = json!({ "endpoint_url": broken.url(), "events": [] });
    foreign.post("/webhook_endpoints", &body).await.expect(201);
    foreign
        .post("/events", &json!({ "event": "a", "data": {} }))
        .await
        .expect(201);
    platform.publish("a", json!({})).await;
    let sql = platform.sql().await;
    let trouble = format!(
        "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.environment_id <> '{}' THEN RAISE 'trouble'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER trouble BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION trouble()",
        uuid(platform.environment.to_bytes())
    );
    sql.batch_execute(&trouble).await.unwrap();

    assert_eq!(platform.dispatch_due().await, 1);
    assert_eq!((receiver.requests().len(), broken.requests().len()), (1, 0));

    sql.batch_execute("DROP TRIGGER trouble ON outbox")
        .await
        .unwrap();
    assert_eq!(platform.dispatch_due().await, 1);
}

fn uuid(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_database_does_not_take_at_once_is_not_asked_for_again() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    publish_many(&platform, "a", 10).await;
    let sql = platform.sql().await;
    // the first two settlements fail as a deadlock does
    sql.batch_execute(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') <= 2 THEN RAISE SQLSTATE '40P01'; END IF; RETURN NULL; END $$; \
         CREATE TRIGGER trouble AFTER INSERT ON attempts FOR EACH STATEMENT EXECUTE FUNCTION trouble()",
    )
    .await
    .unwrap();

    assert_eq!(platform.dispatch_due().await, 10);

    assert_eq!(platform.deliveries("state=delivered").await.len(), 10);
    assert_eq!(platform.dispatch_after(seconds(120)).await, 0);
    assert_eq!(receiver.requests().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_endpoint_keeps_the_health_that_was_noted_meanwhile() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let shown = platform.create_endpoint(&receiver, ["a"]).await;
    let id: EndpointId = shown["id"].as_str().unwrap().parse().unwrap();
    let store = &platform.parts().store;
    let key = (platform.environment, id);
    let mut conn = store.conn().await.unwrap();
    let find = tidings::store::endpoints::find;
    let read = find(&mut conn, store.vault(), key.0, id)
        .await
        .unwrap()
        .unwrap();
    let since = Some(tidings::domain::time::from_millis(1_000));
    let set = tidings::store::endpoints::set_failing_since;
    assert!(set(&mut conn, key, None, since).await.unwrap());
    // who judged by what it was before comes too late
    assert!(!set(&mut conn, key, None, None).await.unwrap());

    tidings::store::endpoints::update(&mut conn, store.vault(), &read)
        .await
        .unwrap();
    let kept = find(&mut conn, store.vault(), key.0, id)
        .await
        .unwrap()
        .unwrap();
    drop(conn);
    assert_eq!(kept.failing_since, since);

    let path = format!("/webhook_endpoints/{id}");
    for status in ["disabled", "enabled"] {
        platform
            .client()
            .patch(&path, &json!({ "status": status }))
            .await
            .expect(200);
    }
    let again = platform.client().get(&path).await.expect(200);
    assert_eq!(again["failing_since"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_is_tried_again() {
    let platform = TestPlatform::builder()
        .configure(|config| {
            config.delivery.concurrency = 1;
            config.delivery.concurrency_per_endpoint = 1;
            config.delivery.drain = Duration::ZERO;
        })
        .dispatching()
        .start()
        .await;
    let receiver = Receiver::answering([Answer::Hang]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    // one is sent, two wait in memory, two in the database: a quarter of the room is kept from newcomers
    publish_many(&platform, "a", 5).await;
    eventually("the receiver is called", async || {
        receiver.requests().first().map(drop)
    })
    .await;
    let sql = platform.sql().await;
    sql.batch_execute(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') <= 1 THEN RAISE SQLSTATE '40P01'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER trouble BEFORE UPDATE ON outbox FOR EACH ROW WHEN (NEW.lease_id IS NULL) \
         EXECUTE FUNCTION trouble()",
    )
    .await
    .unwrap();

    let drained = platform.finish().await;

    assert_eq!(
        (drained.finished, drained.released, drained.aborted),
        (0, 2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_many_rows_of_the_outbox_locks_them_in_the_order_of_their_ids() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    publish_many(&platform, "a", 2).await;
    let endpoint: EndpointId = endpoint["id"].as_str().unwrap().parse().unwrap();
    let environment = platform.environment;
    let lease = lease(&platform);
    let now = Some(platform.clock.now());
    let store = platform.parts().store.clone();
    let mut conn = store.conn().await.unwrap();
    let taken = claims::claim_due(&mut conn, environment, now, lease, &[wanted(endpoint, 2)]).await;
    let mut ids: Vec<_> = taken
        .unwrap()
        .claims
        .iter()
        .map(|claim| claim.delivery)
        .collect();
    ids.sort();
    let [first, second] = [ids[0], ids[1]].map(|id| uuid(id.to_bytes()));
    // without indexes, rows are met in the order in which they lie in the table
    let no_index =
        "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off";
    conn.batch_execute(no_index).await.unwrap();
    let (holder, watcher) = (platform.sql().await, platform.sql().await);
    // the first row is now the last of the table
    let touch = format!("UPDATE outbox SET attempts = attempts WHERE id = '{first}'");
    holder.batch_execute(&touch).await.unwrap();
    holder
        .batch_execute(&format!(
            "BEGIN; SELECT 1 FROM outbox WHERE id = '{first}' FOR UPDATE"
        ))
        .await
        .unwrap();

    let releasing = outbox::release_worker(&mut conn, environment, lease.worker, now);
    let meanwhile = async {
        eventually("the release waits for the first row", async || {
            let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            watcher.query_opt(waiting, &[]).await.unwrap().map(drop)
        })
        .await;
        let second = format!("SELECT 1 FROM outbox WHERE id = '{second}' FOR UPDATE NOWAIT");
        let free = watcher.query(&second, &[]).await.is_ok();
        holder.batch_execute("COMMIT").await.unwrap();
        free
    };
    let (released, free) = futures_util::future::join(releasing, meanwhile).await;

    assert_eq!((released.unwrap(), free), (2, true));
}
