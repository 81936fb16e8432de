//! Frozen: a server, its database, or the network between them stops and says nothing.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::process::{
    Cluster, PlainPostgres, Proxy, Server, Site, connect, eventually, processes_of, seconds, signal,
};

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_two_servers_freezes_with_the_lock_in_its_hand_the_other_waits_for_one_timeout()
{
    let mut postgres = PlainPostgres::create();
    postgres.start(&[]).await;
    let proxy = Proxy::before(postgres.port).await;
    let one = Site::on_database(&proxy.url("sslmode=disable"))
        .serve()
        .await;
    let two = Site::on_database(&postgres.url("sslmode=disable"))
        .serve()
        .await;
    let body = json!({ "event": "load.made", "data": { "by": "one" } });
    proxy.hold_commits();
    let waiting = one.post("/events", &body).header("idempotency-key", "held");
    let waiting = tokio::runtime::Handle::current().spawn(waiting.send());
    let watcher = connect(&postgres.url("sslmode=disable")).await;
    eventually("the first server holds the lock", seconds(10), async || {
        let free = "SELECT FROM event_sequences FOR UPDATE NOWAIT";
        let taken = watcher.batch_execute(free).await.is_err();
        (taken && proxy.held() > 0).then_some(())
    })
    .await;
    // More that would like the lock: it must not come to each of them in turn while the server is frozen.
    let more = ["Acme", "Bolt"].map(|name| {
        let asked = one.post("/organizations", &json!({ "name": name }));
        tokio::runtime::Handle::current().spawn(asked.send())
    });
    for _ in 0..3 {
        let listed = one.get("/webhook_endpoints").await;
        assert_eq!(listed.status(), StatusCode::OK, "by now they wait");
    }

    one.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    let other = two.publish(2).await;
    let waited = frozen.elapsed();
    one.signal(Signal::SIGCONT);
    proxy.release_commits();

    assert!(waited < seconds(9), "two timeouts are ten: {waited:?}");
    for asked in more {
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::CREATED);
    }
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::CREATED,
        "the thawed server runs its batch again"
    );
    let body: serde_json::Value = answer.json().await.unwrap();
    let ids: Vec<_> = two
        .feed()
        .await
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    assert_eq!(ids, [json!(other), body["id"].clone()]);
    println!("frozen with the lock: the other server went on after {waited:?}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_frozen_the_server_says_503_and_afterwards_goes_on_by_itself() {
    let cluster = Cluster::start().await;
    let mut server = Site::on_database(&cluster.url()).serve().await;
    let before = server.publish(1).await;

    let stopped = processes_of(cluster.postmaster());
    for &process in &stopped {
        signal(process, Signal::SIGSTOP);
    }
    let refused = refused_for_now(&server).await;
    let alive = server.get("/livez").await.status();
    for &process in &stopped {
        signal(process, Signal::SIGCONT);
    }
    let thawed = Instant::now();
    let after = accepted_again(&server).await;
    let back = thawed.elapsed();

    assert!(server.is_running());
    assert_eq!(alive, StatusCode::OK);
    assert!(stopped.len() > 1, "backends were stopped too");
    let ids: HashSet<_> = server
        .feed()
        .await
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.contains(&before) && ids.contains(&after));
    println!("frozen Postgres: 503 after {refused:?}, accepted again after {back:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_is_answered_by_503_and_survived() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&[]).await;
    let proxy = Proxy::before(postgres.port).await;
    let mut server = Site::on_database(&proxy.url("sslmode=disable"))
        .serve()
        .await;
    server.publish(1).await;

    proxy.freeze();
    let refused = refused_for_now(&server).await;
    proxy.thaw();
    let thawed = Instant::now();
    accepted_again(&server).await;

    println!(
        "frozen network: 503 after {refused:?}, accepted again after {:?}",
        thawed.elapsed()
    );
    assert!(server.is_running());
    server.stop().await;
}

/// Publishes and reads once; answers how long the refusals took.
async fn refused_for_now(server: &Server) -> Duration {
    let began = Instant::now();
    let body = json!({ "event": "load.made", "data": {} });
    let publishing = server.post("/events", &body).send();
    let both = tokio::time::timeout(seconds(30), join(publishing, server.get("/events")));
    let (published, read) = both.await.expect("a request hangs");

    for answer in [published.unwrap(), read] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    let took = began.elapsed();
    assert!(took <= seconds(25), "{took:?}");
    took
}

/// Publishes until it is accepted, which takes five seconds at most; answers the event's id.
async fn accepted_again(server: &Server) -> String {
    eventually("events are accepted again", seconds(5), async || {
        let body = json!({ "event": "load.made", "data": {} });
        let answer = server.post("/events", &body).send().await.unwrap();
        if answer.status() != StatusCode::CREATED {
            return None;
        }
        let event: serde_json::Value = answer.json().await.unwrap();
        Some(event["id"].as_str().unwrap().to_owned())
    })
    .await
}
