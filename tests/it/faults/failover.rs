//! Failover: the primary is gone, a synchronous standby is promoted, and the URL names both.

use std::collections::HashSet;

use reqwest::StatusCode;
use tokio::time::Instant;

use crate::process::{Load, PlainPostgres, Receiver, Site, connect, eventually, seconds};

const IN_STEP: &str = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";

#[tokio::test(flavor = "multi_thread")]
async fn when_the_primary_dies_and_its_standby_is_promoted_nothing_accepted_is_lost() {
    let mut primary = PlainPostgres::create();
    primary.start(&[]).await;
    let mut standby = PlainPostgres::standby_of(&primary);
    standby.start(&[]).await;
    let client = connect(&primary.url("sslmode=disable")).await;
    for statement in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
    ] {
        client.batch_execute(statement).await.unwrap();
    }
    eventually("the standby is in step", seconds(20), async || {
        let rows = client.query(IN_STEP, &[]).await.unwrap();
        (!rows.is_empty()).then_some(())
    })
    .await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let options = "sslmode=disable&target_session_attrs=read-write";
    let site = Site::on_database(&format!("postgres://tidings@{hosts}/postgres?{options}"));
    let mut server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let load = Load::on(&server, 8);
    eventually("events are accepted", seconds(30), async || {
        (load.accepted() >= 200).then_some(())
    })
    .await;

    primary.kill().await;
    let other = connect(&standby.url("sslmode=disable")).await;
    other.batch_execute("SELECT pg_promote()").await.unwrap();
    let (promoted, accepted) = (Instant::now(), load.accepted());
    eventually("events are accepted again", seconds(5), async || {
        (load.accepted() > accepted).then_some(())
    })
    .await;
    let back = promoted.elapsed();
    eventually("the server is ready", seconds(5), async || {
        (server.get("/readyz").await.status() == StatusCode::OK).then_some(())
    })
    .await;
    let seen = load.finish().await;

    assert!(server.is_running());
    assert_eq!(seen.unexpected, Vec::<String>::new());
    assert_eq!(seen.cut_off, Vec::<String>::new());
    assert_eq!(seen.without_retry_after, 0);
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    let feed = server.feed().await;
    let ids: HashSet<String> = feed
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), feed.len(), "each event once in the feed");
    assert_eq!(ids, accepted, "every accepted event, and no other");
    eventually(
        "every accepted event is delivered",
        seconds(60),
        async || accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    println!(
        "failover: accepted again {back:?} after the promotion; {} accepted, {} answers 503, {} duplicates",
        accepted.len(),
        seen.unavailable,
        receiver.duplicates()
    );
    server.stop().await;
}
