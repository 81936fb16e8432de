//! Servers on one database are told to stop and started again, one after another, under load: an upgrade without a
//! pause. `TIDINGS_TEST_LONG=1` makes it ten times as many stops.

use std::collections::HashSet;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::process::{Cluster, Load, Receiver, Server, Site, at_length, eventually, seconds};

/// Publishers at each server.
const PUBLISHERS: usize = 4;
/// Events that are accepted between two stops, by all servers together.
const BETWEEN: usize = 60;

/// What came of it.
struct Rolled {
    accepted: HashSet<String>,
    stops: usize,
    /// How long the slowest stop took.
    slowest: std::time::Duration,
    refused: usize,
}

fn ids(feed: &[Value]) -> Vec<String> {
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    feed.iter().map(id).collect()
}

/// Stops each server in turn and starts it again at its address, `rounds` times.
async fn roll(site: &Site, servers: &mut [Server], rounds: usize) -> Rolled {
    let loads: Vec<Load> = servers
        .iter()
        .map(|server| Load::on(server, PUBLISHERS))
        .collect();
    let accepted = || loads.iter().map(Load::accepted).sum::<usize>();
    let (mut stops, mut slowest) = (0, seconds(0));
    for round in 0..rounds * servers.len() {
        let enough = accepted() + BETWEEN;
        eventually("events are accepted", seconds(60), async || {
            (accepted() >= enough).then_some(())
        })
        .await;
        let place = round % servers.len();
        let server = &mut servers[place];
        let told = Instant::now();
        server.signal(Signal::SIGTERM);
        let status = server.ended().await;
        slowest = slowest.max(told.elapsed());
        assert!(status.success(), "{status}\n{}", server.log().join("\n"));
        let stopped = server.logged("stopped").pop().unwrap();
        assert_eq!(stopped["aborted"], 0, "{stopped}");
        let address = server.address.clone();
        servers[place] = site.serve_on(&address).await;
        stops += 1;
    }
    let mut rolled = Rolled {
        accepted: HashSet::new(),
        stops,
        slowest,
        refused: 0,
    };
    for load in loads {
        let seen = load.finish().await;
        assert_eq!(seen.unexpected, Vec::<String>::new());
        assert_eq!(seen.cut_off, Vec::<String>::new());
        assert_eq!(seen.without_retry_after, 0);
        for (key, ids) in &seen.accepted {
            assert_eq!(ids.len(), 1, "{key} was accepted as {ids:?}");
        }
        rolled
            .accepted
            .extend(seen.accepted.into_values().flatten());
        rolled.refused += seen.refused + seen.unavailable;
    }
    rolled
}

async fn a_rolling_upgrade_of(count: usize) {
    let rounds = at_length(2, 20);
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(site.serve().await);
    }
    let receiver = Receiver::new();
    servers[0].create_endpoint(&receiver.url).await;

    let rolled = roll(&site, &mut servers, rounds).await;

    eventually(
        "every accepted event is delivered",
        seconds(60),
        async || rolled.accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    let feeds: Vec<Vec<String>> = futures_util::future::join_all(servers.iter().map(Server::feed))
        .await
        .iter()
        .map(|feed| ids(feed))
        .collect();
    let published: HashSet<String> = feeds[0].iter().cloned().collect();
    assert_eq!(
        published, rolled.accepted,
        "what was answered is what is there"
    );
    assert_eq!(published.len(), feeds[0].len());
    assert!(feeds[0].is_sorted());
    assert!(
        feeds.iter().all(|feed| *feed == feeds[0]),
        "one order for everybody"
    );
    // an order to stop ends what is under way, so nothing was in flight at any fault
    assert_eq!(receiver.duplicates(), 0, "{:?}", receiver.repeated());
    println!(
        "{count} servers, {} stops (slowest {:?}): {} events accepted, all delivered once; {} refusals on the way",
        rolled.stops,
        rolled.slowest,
        rolled.accepted.len(),
        rolled.refused,
    );
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_are_stopped_in_turn_under_load_lose_and_repeat_nothing() {
    a_rolling_upgrade_of(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_that_are_stopped_in_turn_under_load_lose_and_repeat_nothing() {
    a_rolling_upgrade_of(3).await;
}
