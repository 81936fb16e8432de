//! Connections are taken from the server while it works.

use std::collections::HashSet;

use crate::process::{Cluster, Load, Receiver, Site, at_length, eventually, seconds};

fn rounds() -> usize {
    at_length(15, 150)
}
/// Every session but the one that asks.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn terminated_connections_cost_at_most_a_503_and_never_an_event() {
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let load = Load::on(&server, 8);
    let client = cluster.client().await;

    let mut terminated = 0;
    for _ in 0..rounds() {
        let enough = load.accepted() + 10;
        eventually("events are accepted", seconds(20), async || {
            (load.accepted() >= enough).then_some(())
        })
        .await;
        let row = client.query_one(TERMINATE, &[]).await.unwrap();
        terminated += row.get::<_, i64>(0);
    }
    let seen = load.finish().await;

    assert_eq!(seen.unexpected, Vec::<String>::new());
    assert_eq!(seen.cut_off, Vec::<String>::new());
    assert_eq!(seen.without_retry_after, 0);
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    assert_eq!(
        accepted.len(),
        seen.accepted.len(),
        "one event for each key"
    );
    eventually(
        "every accepted event is delivered",
        seconds(60),
        async || accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    let feed: Vec<_> = server.feed().await;
    assert_eq!(
        feed.len(),
        accepted.len(),
        "no event that nobody was answered for"
    );
    println!(
        "{terminated} backends terminated in {} rounds: {} accepted, {} answers 503, {} duplicates",
        rounds(),
        accepted.len(),
        seen.unavailable,
        receiver.duplicates()
    );
    assert_eq!(server.logged("a statement failed").len(), 0);
    server.stop().await;
}
