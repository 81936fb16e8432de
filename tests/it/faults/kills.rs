//! The server is killed under load, again and again.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::process::{Load, Receiver, Site, at_length, eventually, seconds};

fn kills() -> usize {
    at_length(10, 100)
}

/// Events that are accepted between two kills, at least.
const EVENTS_BETWEEN: usize = 60;
/// POSTs that one endpoint may have under way (`delivery.concurrency_per_endpoint`).
const IN_FLIGHT_MAX: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_ten_times_under_load_loses_nothing_it_has_accepted() {
    let site = Site::new();
    let mut server = site.serve().await;
    let postmaster = site.postmaster();
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let address = server.address.clone();
    let load = Load::on(&server, 16);

    let mut first_deliveries = Vec::new();
    for _ in 0..kills() {
        more_events(&load).await;
        server.kill().await;
        let killed = Instant::now();
        server = site.serve_on(&address).await;
        let serving = Instant::now();
        let arrived = first_arrival_after(&receiver, killed).await;
        first_deliveries.push((serving - killed, arrived - killed));
    }
    more_events(&load).await;
    let seen = load.finish().await;

    assert_eq!(site.postmaster(), postmaster, "the cluster was adopted");
    assert!(seen.unexpected.is_empty(), "{:?}", seen.unexpected);
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
    let feed = server.feed().await;
    let ids: HashSet<String> = feed
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), feed.len(), "each event once in the feed");
    assert_eq!(
        ids, accepted,
        "what is in the feed was accepted, and the other way"
    );
    report(&receiver, accepted.len(), &mut first_deliveries);
    assert!(
        receiver.duplicates() <= kills() * IN_FLIGHT_MAX,
        "{:?}",
        receiver.repeated()
    );
    server.stop().await;
}

async fn more_events(load: &Load) {
    let enough = load.accepted() + EVENTS_BETWEEN;
    eventually("events are accepted", seconds(30), async || {
        (load.accepted() >= enough).then_some(())
    })
    .await;
}

async fn first_arrival_after(receiver: &Receiver, killed: Instant) -> Instant {
    eventually("a delivery after the kill", seconds(10), async || {
        let arrivals = receiver.arrivals();
        // what the killed server had sent may still be on its way for a moment
        let after = arrivals
            .iter()
            .find(|arrival| arrival.at > killed + Duration::from_millis(50));
        after.map(|arrival| arrival.at)
    })
    .await
}

fn report(receiver: &Receiver, accepted: usize, first_deliveries: &mut [(Duration, Duration)]) {
    first_deliveries.sort_by_key(|(_, delivered)| *delivered);
    println!(
        "{} kills: {accepted} accepted, {} arrivals, {} duplicates of {} allowed",
        kills(),
        receiver.arrivals().len(),
        receiver.duplicates(),
        kills() * IN_FLIGHT_MAX,
    );
    let (serving, median) = first_deliveries[kills() / 2];
    let (_, longest) = first_deliveries[kills() - 1];
    println!(
        "first delivery after the kill: median {median:?} (serving after {serving:?}), longest {longest:?}"
    );
}
