//! A replay in the middle of which the server is killed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::process::{Receiver, Server, Site, eventually, seconds};

const EVENTS: u64 = 40;
/// Slow enough to be killed in between: five seconds for all of them.
const RATE: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_the_server_was_killed_and_makes_each_delivery_once() {
    let site = Site::new();
    let server = site.serve().await;
    let address = server.address.clone();
    let mut published = BTreeSet::new();
    for number in 0..EVENTS {
        published.insert(server.publish(number).await);
    }
    let receiver = Receiver::new();
    let endpoint = server.create_endpoint(&receiver.url).await;
    let body = json!({
        "webhook_endpoint_id": endpoint["id"], "scope": "all", "range_start": "2020-01-01", "rate": RATE,
    });
    let replay = server.create("/replays", body).await;

    made(&server, &replay, |now| now["made"].as_u64() > Some(0)).await;
    server.kill().await;
    let server = site.serve_on(&address).await;
    let seen = made(&server, &replay, |_| true).await;
    let ended = made(&server, &replay, |now| now["state"] == "completed").await;

    println!("{} of {EVENTS} were made before", seen["made"]);
    assert_eq!(
        (&replay["total"], &ended["made"]),
        (&json!(EVENTS), &json!(EVENTS))
    );
    let path = format!(
        "/deliveries?limit=100&webhook_endpoint_id={}",
        endpoint["id"].as_str().unwrap()
    );
    let list: Value = server.get(&path).await.json().await.unwrap();
    let made = list["data"].as_array().unwrap().iter();
    let made: Vec<_> = made
        .map(|one| one["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(made.len(), published.len(), "one delivery for each event");
    assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), published);
    eventually("every event arrives", seconds(30), async || {
        let arrived = receiver.ids();
        published
            .iter()
            .all(|id| arrived.contains(id))
            .then_some(())
    })
    .await;
    server.stop().await;
}

/// Waits until the replay is so.
async fn made(server: &Server, replay: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/replays/{}", replay["id"].as_str().unwrap());
    eventually("the replay goes on", seconds(60), async || {
        let now: Value = server.get(&path).await.json().await.unwrap();
        is_so(&now).then_some(now)
    })
    .await
}
