//! Postgres is killed under the server.

use std::collections::HashSet;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::process::{
    Cluster, Load, PlainPostgres, Receiver, Server, Site, at_length, eventually, is_running,
    seconds, signal,
};

/// What is not waited for stays in memory that a kill takes along.
const WRITES_NOTHING_BY_THE_WAY: [&str; 3] = [
    "wal_writer_delay=10s",
    "wal_writer_flush_after=1GB",
    "bgwriter_delay=10s",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_postgres_that_was_killed_is_started_again_and_nothing_accepted_is_lost() {
    let site = Site::new();
    let mut server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let load = Load::on(&server, 8);
    some_events(&load).await;

    let killed = site.postmaster().unwrap();
    signal(killed, Signal::SIGKILL);
    let fault = Instant::now();
    let accepted = load.accepted();
    eventually("events are accepted again", seconds(20), async || {
        // the first ones may be answers to what was committed before the kill
        (load.accepted() > accepted + 16).then_some(())
    })
    .await;
    println!(
        "embedded Postgres killed: accepted again after {:?}",
        fault.elapsed()
    );

    assert!(server.is_running());
    assert_ne!(site.postmaster(), Some(killed));
    all_is_delivered_and_in_the_feed(load, &server, &receiver).await;
    server.stop().await;
    assert_eq!(
        site.postmaster(),
        None,
        "the one that was started again is stopped too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_server_lives_and_says_503_until_it_is_back() {
    let mut cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let mut server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let load = Load::on(&server, 8);
    some_events(&load).await;

    let killed = cluster.postmaster();
    signal(killed, Signal::SIGKILL);
    eventually("the postmaster is gone", seconds(10), async || {
        (!is_running(killed)).then_some(())
    })
    .await;
    let answer = eventually("requests are refused", seconds(20), async || {
        let body = json!({ "event": "load.made", "data": {} });
        let answer = server.post("/events", &body).send().await.unwrap();
        (answer.status() != StatusCode::CREATED).then_some(answer)
    })
    .await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(server.get("/livez").await.status(), StatusCode::OK);
    assert_eq!(
        server.get("/readyz").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(server.is_running());

    cluster.start_again().await;
    let (back, accepted) = (Instant::now(), load.accepted());
    eventually("events are accepted again", seconds(10), async || {
        (load.accepted() > accepted).then_some(())
    })
    .await;
    println!(
        "external Postgres killed: accepted again {:?} after it was back",
        back.elapsed()
    );
    eventually("the server is ready", seconds(10), async || {
        (server.get("/readyz").await.status() == StatusCode::OK).then_some(())
    })
    .await;

    some_events(&load).await;
    all_is_delivered_and_in_the_feed(load, &server, &receiver).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_on_the_disk_already() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&WRITES_NOTHING_BY_THE_WAY).await;
    let server = Site::on_database(&postgres.url("sslmode=disable"))
        .serve()
        .await;
    let (kills, mut accepted) = (at_length(3, 20), Vec::new());
    for number in 0..kills {
        for _ in 0..10 {
            accepted.push(server.publish(number as u64).await);
        }
        postgres.kill().await;
        postgres.start(&WRITES_NOTHING_BY_THE_WAY).await;
        eventually("the server is ready", seconds(10), async || {
            (server.get("/readyz").await.status() == StatusCode::OK).then_some(())
        })
        .await;
    }
    let feed = server.feed().await;
    let kept: Vec<&str> = feed
        .iter()
        .filter_map(|event| event["id"].as_str())
        .collect();
    assert_eq!(kept, accepted);
    println!(
        "{kills} kills right after an answer: {} events, all kept",
        kept.len()
    );
    server.stop().await;
}

async fn some_events(load: &Load) {
    let enough = load.accepted() + 50;
    eventually("events are accepted", seconds(30), async || {
        (load.accepted() >= enough).then_some(())
    })
    .await;
}

/// Ends the load and holds what it has seen against the receiver and the feed.
async fn all_is_delivered_and_in_the_feed(load: Load, server: &Server, receiver: &Receiver) {
    let seen = load.finish().await;
    assert_eq!(seen.unexpected, Vec::<String>::new());
    assert_eq!(seen.cut_off, Vec::<String>::new());
    assert_eq!(seen.without_retry_after, 0);
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    eventually(
        "every accepted event is delivered",
        seconds(60),
        async || accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    let feed = server.feed().await;
    let by_key = feed
        .iter()
        .filter_map(|event| event["data"]["key"].as_str());
    let keys: HashSet<&str> = by_key.clone().collect();
    assert_eq!(keys.len(), by_key.count(), "one event for each key");
    assert_eq!(
        keys.len(),
        accepted.len(),
        "every accepted event, and no other"
    );
    println!(
        "{} accepted, {} answers 503, {} duplicates",
        accepted.len(),
        seen.unavailable,
        receiver.duplicates()
    );
}
