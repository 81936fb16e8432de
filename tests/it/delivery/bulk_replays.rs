//! Bulk replays: what has failed, what an endpoint has not got, and everything again, made at a rate.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform, hours, seconds};

const EPOCH: &str = "2020-01-01T00:00:00.000Z";

fn text(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn asked(endpoint: &Value, scope: &str, rate: u32) -> Value {
    json!({ "webhook_endpoint_id": endpoint["id"], "scope": scope, "range_start": EPOCH, "rate": rate })
}

/// What a replay of this scope would send now.
async fn previewed(platform: &TestPlatform, endpoint: &Value, scope: &str) -> Value {
    let body = asked(endpoint, scope, 1_000);
    let preview = platform.client().post("/replays/preview", &body).await;
    let preview = preview.expect(200);
    assert_eq!(preview["total_is_at_least"], false);
    preview["total"].clone()
}

async fn create(platform: &TestPlatform, endpoint: &Value, scope: &str, rate: u32) -> Value {
    // what fails in the very moment of the request is no part of it
    platform.clock.advance(seconds(1));
    let body = asked(endpoint, scope, rate);
    platform.client().post("/replays", &body).await.expect(201)
}

async fn shown(platform: &TestPlatform, replay: &Value) -> Value {
    let path = format!("/replays/{}", text(replay));
    platform.client().get(&path).await.expect(200)
}

/// Makes all that there is of it.
async fn made(platform: &TestPlatform, endpoint: &Value, scope: &str) -> Value {
    let replay = create(platform, endpoint, scope, 1_000).await;
    for _ in 0..20 {
        platform.make_replays().await;
        platform.clock.advance(seconds(1));
    }
    shown(platform, &replay).await
}

/// An endpoint to which every one of these events has failed.
///
/// By hand: an endpoint that does nothing but fail is soon left alone, and the last failures would take hours.
async fn failed(
    platform: &TestPlatform,
    receiver: &Receiver,
    count: usize,
) -> (Value, Vec<String>) {
    let endpoint = platform.create_endpoint(receiver, ["a"]).await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(text(&platform.publish("a", json!({})).await));
    }
    exhaust(platform).await;
    (endpoint, ids)
}

/// Ends everything that is owed.
async fn exhaust(platform: &TestPlatform) {
    let end = "WITH gone AS (DELETE FROM outbox RETURNING *) \
        INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, attempts, created_at, settled_at) \
        SELECT environment_id, id, event_id, endpoint_id, 'exhausted', 1, created_at, created_at FROM gone";
    platform.sql().await.execute(end, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_failed_is_sent_again_once_and_nothing_else() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500, 200, 500]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(text(&platform.publish("a", json!({})).await));
        platform.dispatch_due().await;
        platform.clock.advance(seconds(1));
    }
    receiver.answer_now([200]);

    let preview = previewed(&platform, &endpoint, "failed").await;
    let replay = made(&platform, &endpoint, "failed").await;
    platform.dispatch_due().await;

    assert_eq!(
        (
            &preview,
            &replay["total"],
            &replay["made"],
            &replay["state"]
        ),
        (&json!(2), &json!(2), &json!(2), &json!("completed"))
    );
    let mut sent = receiver.webhook_ids().split_off(3);
    sent.sort();
    assert_eq!(sent, [ids[0].clone(), ids[2].clone()]);
    let again = platform.deliveries("state=delivered").await;
    let repeats: Vec<_> = again
        .iter()
        .filter(|one| !one["replay_of"].is_null())
        .collect();
    assert_eq!(repeats.len(), 2);
    assert_eq!(previewed(&platform, &endpoint, "failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_endpoint_gets_what_it_wants_of_the_past_and_has_not_got() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([200]).await;
    let body = json!({ "name": "Acme" });
    let acme = platform
        .client()
        .post("/organizations", &body)
        .await
        .expect(201);
    let old = platform.create_endpoint(&receiver, ["b"]).await;
    let of = async |event: &str, organization: Option<&Value>| {
        let organization = organization.map(|one| one["id"].clone());
        let body = json!({ "event": event, "data": {}, "organization_id": organization });
        text(&platform.client().post("/events", &body).await.expect(201))
    };
    let wanted = of("a.b", Some(&acme)).await;
    of("a.b", None).await;
    of("b", Some(&acme)).await;
    platform
        .client()
        .post(
            &format!("/webhook_endpoints/{}/test", text(&old)),
            &json!({}),
        )
        .await
        .expect(201);
    platform.dispatch_due().await;
    platform.clock.advance(hours(1));
    let new = platform
        .register(json!({
            "endpoint_url": receiver.url_of("/new"), "events": ["a.*", "webhook_endpoint.*"],
            "organization_id": acme["id"],
        }))
        .await;
    let since = of("a.c", Some(&acme)).await;
    platform.dispatch_due().await;
    let before = receiver.requests().len();
    let samples =
        json!({ "endpoint_url": receiver.url_of("/samples"), "events": ["webhook_endpoint.*"] });
    let samples = platform.register(samples).await;

    assert_eq!(previewed(&platform, &samples, "all").await, 0);
    let counts = [
        previewed(&platform, &new, "failed").await,
        previewed(&platform, &new, "missing").await,
        previewed(&platform, &new, "all").await,
    ];
    let missing = made(&platform, &new, "missing").await;
    platform.dispatch_due().await;
    let all = made(&platform, &new, "all").await;
    platform.dispatch_due().await;

    assert_eq!(counts, [json!(0), json!(1), json!(2)]);
    assert_eq!((&missing["made"], &all["made"]), (&json!(1), &json!(2)));
    let mut sent = receiver.webhook_ids().split_off(before);
    assert_eq!(sent.remove(0), wanted);
    sent.sort();
    assert_eq!(sent, [wanted, since]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_to_its_rate_and_its_range() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, ids) = failed(&platform, &receiver, 24).await;
    let end = tidings::domain::time::to_text(platform.clock.now());
    platform.clock.advance(hours(1));
    platform.publish("a", json!({})).await;
    exhaust(&platform).await;
    platform.clock.advance(seconds(1));
    let mut body = asked(&endpoint, "failed", 10);
    body["range_end"] = json!(end);
    let replay = platform.client().post("/replays", &body).await.expect(201);

    let mut made = Vec::new();
    for _ in 0..11 {
        // however often it is looked, at one moment no more is made
        for _ in 0..3 {
            platform.make_replays().await;
        }
        made.push(shown(&platform, &replay).await["made"].as_u64().unwrap());
        platform
            .clock
            .advance(std::time::Duration::from_millis(250));
    }

    assert_eq!(made, [5, 5, 10, 10, 15, 15, 20, 20, 24, 24, 24]);
    assert_eq!(replay["total"], ids.len());
    platform.make_replays().await;
    assert_eq!(shown(&platform, &replay).await["state"], "completed");
    assert_eq!(platform.deliveries("state=pending").await.len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_makes_nothing_more_and_keeps_what_it_has_made() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, _) = failed(&platform, &receiver, 12).await;
    let replay = create(&platform, &endpoint, "failed", 10).await;
    platform.make_replays().await;
    let running = shown(&platform, &replay).await;

    let path = format!("/replays/{}/cancel", text(&replay));
    let cancelled = platform.client().post(&path, &json!({})).await.expect(200);
    platform.clock.advance(hours(1));
    platform.make_replays().await;
    let again = platform.client().post(&path, &json!({})).await.expect(200);

    assert_eq!(running["state"], "running");
    assert_eq!(
        (&cancelled["state"], &cancelled["made"]),
        (&json!("cancelled"), &json!(5))
    );
    assert_eq!(again, cancelled);
    assert_eq!(shown(&platform, &replay).await, cancelled);
    assert_eq!(platform.deliveries("state=pending").await.len(), 5);
    platform.dispatch_due().await;
    let actions = own_actions(&platform).await;
    assert_eq!(actions, ["replay.created", "replay.cancelled"]);
}

/// What the environment's trail tells of replays, oldest first.
async fn own_actions(platform: &TestPlatform) -> Vec<String> {
    let path = "/audit_logs/events?organization_id=environment&limit=100&order=asc";
    let list = platform.client().get(path).await.expect(200);
    let actions = list["data"].as_array().unwrap().iter();
    let actions = actions.map(|entry| entry["action"].as_str().unwrap().to_owned());
    actions
        .filter(|action| action.starts_with("replay."))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_ends_with_its_endpoint() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    for (word, failure) in [
        ("disabled", "endpoint_disabled"),
        ("deleted", "endpoint_deleted"),
    ] {
        let receiver = Receiver::answering([500]).await;
        let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
        for _ in 0..12 {
            platform.publish("a", json!({})).await;
        }
        exhaust(&platform).await;
        let replay = create(&platform, &endpoint, "failed", 10).await;
        platform.make_replays().await;

        let path = format!("/webhook_endpoints/{}", text(&endpoint));
        if word == "deleted" {
            platform.client().delete(&path).await;
        } else {
            let change = json!({ "status": "disabled" });
            platform.client().patch(&path, &change).await.expect(200);
        }
        platform.clock.advance(seconds(1));
        platform.make_replays().await;

        let replay = shown(&platform, &replay).await;
        assert_eq!(
            (&replay["state"], &replay["failure"], &replay["made"]),
            (&json!("failed"), &json!(failure), &json!(5))
        );
        assert!(!replay["finished_at"].is_null());
        let refused = platform
            .client()
            .post("/replays", &asked(&endpoint, "all", 1))
            .await;
        assert!([404, 409].contains(&refused.status), "{}", refused.text());
        platform.client().delete(&path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_at_one_replay_make_each_delivery_once() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, ids) = failed(&platform, &receiver, 30).await;
    let other = TestPlatform::builder().beside(&platform).start().await;
    let replay = create(&platform, &endpoint, "failed", 20).await;

    for _ in 0..4 {
        tokio::join!(platform.make_replays(), other.make_replays());
        platform.clock.advance(seconds(1));
        other.clock.advance(seconds(1));
    }

    let owed = platform.deliveries("state=pending").await;
    let mut events: Vec<_> = owed.iter().map(|one| one["event_id"].clone()).collect();
    events.sort_by_key(ToString::to_string);
    assert_eq!(events, ids);
    assert_eq!(shown(&platform, &replay).await["made"], 30);
    platform.dispatch_due().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_meanwhile_failed_twice_or_is_gone_is_not_sent_for_that() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let receiver = Receiver::answering([500]).await;
    let (endpoint, ids) = failed(&platform, &receiver, 4).await;
    let by_hand = async |event: &String| {
        let deliveries = platform.deliveries(&format!("event_id={event}")).await;
        let path = format!("/deliveries/{}/replay", text(&deliveries[0]));
        platform.client().post(&path, &json!({})).await.expect(201);
        platform.dispatch_due().await;
    };
    // the first has failed twice
    by_hand(&ids[0]).await;
    let replay = create(&platform, &endpoint, "failed", 1_000).await;
    receiver.answer_now([200]);
    // the second arrives before its turn, the third leaves the feed
    by_hand(&ids[1]).await;
    let sql = platform.sql().await;
    let body = format!("%{}%", ids[2]);
    sql.execute("DELETE FROM events WHERE body LIKE $1", &[&body])
        .await
        .unwrap();
    let before = receiver.requests().len();

    platform.make_replays().await;
    platform.clock.advance(seconds(1));
    platform.make_replays().await;
    platform.dispatch_due().await;

    let mut sent = receiver.webhook_ids().split_off(before);
    sent.sort();
    assert_eq!(sent, [ids[0].clone(), ids[3].clone()]);
    let replay = shown(&platform, &replay).await;
    assert_eq!(
        (&replay["total"], &replay["made"], &replay["state"]),
        (&json!(4), &json!(2), &json!("completed"))
    );
}
