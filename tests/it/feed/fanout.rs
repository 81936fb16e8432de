//! Fan-out is never stale: after a change of an endpoint was answered, every later event obeys it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform, chance};

const ROUNDS: usize = 40;

async fn is_owed(platform: &TestPlatform, event: &Value) -> bool {
    let query = format!("event_id={}", event["id"].as_str().unwrap());
    match platform.deliveries(&query).await.len() {
        0 => false,
        1 => true,
        more => panic!("{more} deliveries of one event to one endpoint"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_obeys_the_endpoint_changes_that_were_answered_before_it_on_every_server() {
    let first = TestPlatform::builder().in_real_time().start().await;
    let second = TestPlatform::builder().beside(&first).start().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = first.create_endpoint(&receiver, ["probe"]).await;
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    let noise = async |platform: &TestPlatform| {
        for _ in 0..ROUNDS {
            platform.publish("noise", json!({})).await;
        }
    };

    let changes = async {
        for round in 0..ROUNDS {
            let wanted = round % 2 == 1;
            let change = match chance(2) {
                0 => {
                    json!({ "status": if wanted { "enabled" } else { "disabled" }, "events": ["probe"] })
                }
                _ => {
                    json!({ "status": "enabled", "events": [if wanted { "probe" } else { "other" }] })
                }
            };
            let servers = [&first, &second];
            servers[chance(2)]
                .client()
                .patch(&path, &change)
                .await
                .expect(200);

            let events = join_all(servers.map(|server| server.publish("probe", json!({})))).await;

            for event in &events {
                assert_eq!(
                    is_owed(&first, event).await,
                    wanted,
                    "round {round}: {change}"
                );
            }
        }
    };

    tokio::join!(changes, noise(&first), noise(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_created_gets_every_later_event_of_every_server() {
    let first = TestPlatform::usual().await;
    let second = TestPlatform::builder().beside(&first).start().await;
    second.publish("a", json!({})).await;
    for round in 0..10 {
        let receiver = Receiver::answering([200]).await;
        let name = format!("r{round}");
        let endpoint = first.create_endpoint(&receiver, [&name]).await;

        let event = second.publish(&name, json!({})).await;

        assert!(is_owed(&first, &event).await, "round {round}");
        let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        first.client().delete(&path).await;
        let late = second.publish(&name, json!({})).await;
        assert!(!is_owed(&first, &late).await, "round {round}");
    }
}
