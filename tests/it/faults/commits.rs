//! Commits whose outcome is unknown: the connection is cut where the server cannot know what became of them.

use std::collections::HashSet;

use crate::process::{
    Cut, Load, PlainPostgres, Proxy, Receiver, Site, at_length, eventually, seconds,
};

fn rounds() -> usize {
    at_length(24, 240)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_commit_is_looked_up_so_that_nothing_is_lost_and_nothing_is_there_twice() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&[]).await;
    let proxy = Proxy::before(postgres.port).await;
    let site = Site::on_database(&proxy.url("sslmode=disable"));
    let server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    // without idempotency keys: they would hide what was recorded twice
    let load = Load::without_keys(&server, 8);

    for round in 0..rounds() {
        let enough = load.accepted() + 5;
        eventually("events are accepted", seconds(20), async || {
            (load.accepted() >= enough).then_some(())
        })
        .await;
        let cuts = proxy.cuts();
        proxy.cut(match round % 3 {
            0 => Cut::BeforeCommit,
            1 => Cut::AfterCommit,
            _ => Cut::AtByte(1 + 37 * round),
        });
        eventually("a connection is cut", seconds(20), async || {
            (proxy.cuts() > cuts).then_some(())
        })
        .await;
    }
    let seen = load.finish().await;

    assert_eq!(seen.unexpected, Vec::<String>::new());
    assert_eq!(seen.cut_off, Vec::<String>::new());
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    let feed = server.feed().await;
    let ids: HashSet<String> = feed
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), feed.len(), "each event once in the feed");
    let lost: Vec<_> = accepted.difference(&ids).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // a cut may meet the look-up of a key, which is a 503 and records nothing
    let more = ids.len() - accepted.len();
    assert!(
        more <= seen.unavailable,
        "{more} that nobody was answered for"
    );
    let unknown = server
        .logged("the outcome of a commit is unknown; looking for its rows")
        .len();
    assert!(unknown > 0, "a commit of a batch was cut");
    eventually(
        "every accepted event is delivered",
        seconds(60),
        async || accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    println!(
        "{} cuts: {} accepted, {} answers 503, {unknown} unknown commits of batches, {} duplicates",
        rounds(),
        accepted.len(),
        seen.unavailable,
        receiver.duplicates()
    );
    server.stop().await;
}
