//! The crowd: many writers, two servers, three readers that follow the tail. `TIDINGS_TEST_LONG=1` makes it
//! a million events, which the reader of one event at a time needs a quarter of an hour for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tidings::config::load::variable;

use crate::harness::{Client, TestPlatform, chance, eventually};

/// How many write, how often each, and at most how many events at once.
struct Crowd {
    writers: usize,
    requests: usize,
    batch_max: usize,
}

const SHORT: Crowd = Crowd {
    writers: 32,
    requests: 10,
    batch_max: 24,
};
/// A million events: half of the requests are batches, of 50 on average.
const LONG: Crowd = Crowd {
    writers: 64,
    requests: 625,
    batch_max: 100,
};

/// Writes singles and batches; answers the ids in the order of the answers.
async fn write(client: &Client, crowd: &Crowd) -> Vec<String> {
    let mut ids = Vec::new();
    let event = json!({ "event": "crowd.event", "data": { "text": "x".repeat(chance(300)) } });
    for _ in 0..crowd.requests {
        let list = if chance(2) == 0 {
            json!({ "data": [client.post("/events", &event).await.expect(201)] })
        } else {
            let events = vec![event.clone(); 1 + chance(crowd.batch_max)];
            client
                .post("/events/batch", &json!({ "events": events }))
                .await
                .expect(201)
        };
        ids.extend(list["data"].as_array().unwrap().iter().map(id));
    }
    ids
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

/// Follows the tail until the writers are done and nothing is left; answers ids and positions as seen.
async fn read(client: &Client, limit: usize, done: &AtomicBool) -> Vec<(String, i64)> {
    let mut seen: Vec<(String, i64)> = Vec::new();
    loop {
        let after = seen.last().map_or_else(String::new, |(id, _)| id.clone());
        let path = format!("/events?limit={limit}&after={after}");
        let page = eventually("the feed goes on or ends", async || {
            // before the look: what is recorded after it was set cannot be missed
            let ended = done.load(Ordering::SeqCst);
            let list = client.get(&path).await.expect(200);
            let data = list["data"].as_array().unwrap().clone();
            (ended || !data.is_empty()).then_some(data)
        })
        .await;
        if page.is_empty() {
            return seen;
        }
        seen.extend(
            page.iter()
                .map(|event| (id(event), event["position"].as_i64().unwrap())),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_skips_repeats_or_reorders_an_event_however_many_write() {
    let long = variable("TIDINGS_TEST_LONG").is_some();
    let crowd = if long { LONG } else { SHORT };
    let first = TestPlatform::builder().in_real_time().start().await;
    let second = TestPlatform::builder().beside(&first).start().await;
    let servers = [first.client(), second.client()];
    let done = AtomicBool::new(false);
    let began = tokio::time::Instant::now();

    let writing = async {
        let writers = (0..crowd.writers).map(|writer| write(servers[writer % 2], &crowd));
        let written = join_all(writers).await;
        done.store(true, Ordering::SeqCst);
        (written, began.elapsed())
    };
    let readers = [1, 7, 100].map(|limit| read(servers[limit % 2], limit, &done));
    let ((written, wrote_for), seen) = join(writing, join_all(readers)).await;

    let recorded: HashSet<_> = written.iter().flatten().collect();
    let count = i64::try_from(recorded.len()).unwrap();
    for ids in &written {
        assert!(
            ids.is_sorted_by(|one, next| one < next),
            "answers out of order"
        );
    }
    for events in &seen {
        let ids: HashSet<_> = events.iter().map(|(id, _)| id).collect();
        assert!(
            events.is_sorted_by(|(one, _), (next, _)| one < next),
            "reordered or repeated"
        );
        assert_eq!(ids, recorded, "skipped or invented");
        assert!(
            events.iter().map(|(_, position)| *position).eq(1..=count),
            "positions not dense"
        );
    }
    println!(
        "{count} events by {} writers in {wrote_for:?}; three readers in {:?}",
        crowd.writers,
        began.elapsed()
    );
}
