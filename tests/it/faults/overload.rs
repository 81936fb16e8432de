//! Overload: what is too much is refused at once, and what is accepted does not wait for long.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::process::{Load, Server, Site, at_length, eventually, seconds};

/// Events that may wait, made small, so that few publishers are too many.
const QUEUE_MAX: &str = "500";
/// Publishers that wait for their answers: about four times what the queue lets wait, by the events that they send.
const PUBLISHERS: usize = 130;
const EVENTS_EACH: usize = 10;
/// What an accepted request may take: the queue in front of it, on a machine that does other things too.
const TOOK_MAX: Duration = seconds(5);
/// Accepted in the storm before it ends.
const ACCEPTED_MIN: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn four_times_what_can_be_taken_is_refused_in_part_and_harms_nobody() {
    let site = Site::new()
        .with("TIDINGS__INGEST__QUEUE_MAX", QUEUE_MAX)
        .with("TIDINGS__INGEST__BATCH_MAX", "50");
    let server = site.serve().await;
    let calm = Load::on(&server, 1);
    eventually("events are accepted", seconds(20), async || {
        (calm.accepted() >= 50).then_some(())
    })
    .await;
    calm.finish().await;
    let memory_before = memory_kib(&server);

    let batch = |key: &str| {
        let event = json!({ "event": "load.made", "data": { "key": key } });
        json!({ "events": vec![event; EVENTS_EACH] })
    };
    let began = Instant::now();
    let load = Load::posting(&server, PUBLISHERS, "/events/batch", batch);
    let mut memory_peak = 0;
    let lasts = Duration::from_secs(at_length(0, 60).try_into().unwrap());
    eventually("the storm has raged", seconds(120), async || {
        memory_peak = memory_peak.max(memory_kib(&server));
        (load.accepted() >= ACCEPTED_MIN && began.elapsed() >= lasts).then_some(())
    })
    .await;
    let storm = began.elapsed();
    let seen = load.abandon();
    let recovering = Instant::now();
    eventually("one publisher is served at once", seconds(5), async || {
        let asked = Instant::now();
        let body = json!({ "event": "load.made", "data": { "key": "after" } });
        let answer = server.post("/events", &body).send().await.unwrap();
        (answer.status().as_u16() == 201 && asked.elapsed() < Duration::from_millis(500))
            .then_some(())
    })
    .await;
    let recovered = recovering.elapsed();

    assert_eq!(seen.unexpected, Vec::<String>::new());
    assert_eq!(seen.cut_off, Vec::<String>::new());
    assert!(
        seen.unavailable > 0,
        "nothing was refused: {}",
        seen.accepted.len()
    );
    assert_eq!(seen.without_retry_after, 0);
    let mut took = seen.took.clone();
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 <= TOOK_MAX, "{p99:?}");
    let grown = memory_peak.saturating_sub(memory_before) / 1024;
    assert!(grown <= 150, "{grown} MiB");
    let feed: HashSet<String> = server
        .feed()
        .await
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let accepted = seen.accepted.values().flatten();
    assert!(
        accepted.into_iter().all(|id| feed.contains(id)),
        "nothing is lost"
    );
    println!(
        "overload for {storm:?}: {} batches of {EVENTS_EACH} accepted, {} refused, p99 {p99:?}, \
         {grown} MiB more, back to normal after {recovered:?}",
        took.len(),
        seen.unavailable,
    );
    server.stop().await;
}

/// What the server holds in memory.
fn memory_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.unwrap().split_whitespace().next();
    words.unwrap().parse().unwrap()
}
