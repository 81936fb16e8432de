//! The server is told to stop under load.

use std::collections::HashSet;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::process::{Load, Receiver, Site, eventually, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_repeats_nothing_and_cuts_nobody_off() {
    let site = Site::new();
    let mut server = site.serve().await;
    let receiver = Receiver::new();
    server.create_endpoint(&receiver.url).await;
    let load = Load::on(&server, 16);
    eventually("events are accepted", seconds(30), async || {
        (load.accepted() >= 200).then_some(())
    })
    .await;

    let told = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.ended().await;
    let took = told.elapsed();
    let seen = load.abandon();

    assert!(status.success(), "{status}");
    assert!(took <= seconds(25), "{took:?}");
    assert_eq!(seen.cut_off, Vec::<String>::new());
    assert_eq!(seen.unexpected, Vec::<String>::new());
    let last = server.log().pop().unwrap();
    let stopped: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(stopped["message"], "stopped");
    for field in ["finished", "released", "aborted"] {
        assert!(stopped[field].is_u64(), "{stopped}");
    }
    assert_eq!(stopped["aborted"], 0, "{stopped}");
    let before = receiver.ids().len();
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    let server = site.serve().await;
    eventually(
        "every accepted event is delivered",
        seconds(30),
        async || accepted.is_subset(&receiver.ids()).then_some(()),
    )
    .await;
    assert_eq!(receiver.duplicates(), 0, "{:?}", receiver.repeated());
    println!(
        "stop: took {took:?}, {} accepted, {before} delivered before the end, {} refused, {} 503; {stopped}",
        accepted.len(),
        seen.refused,
        seen.unavailable
    );
    server.stop().await;
    assert_eq!(site.postmaster(), None, "its Postgres is stopped too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_deliveries_under_way_but_not_for_ever() {
    let site = Site::new().with("TIDINGS__DELIVERY__DRAIN", "2s");
    let mut server = site.serve().await;
    let receiver = Receiver::silent();
    server.create_endpoint(&receiver.url).await;
    let event = server.publish(1).await;
    eventually("the delivery is under way", seconds(10), async || {
        (!receiver.arrivals().is_empty()).then_some(())
    })
    .await;

    let told = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.ended().await;
    let took = told.elapsed();

    assert!(status.success(), "{status}");
    assert!(took >= seconds(2) && took <= seconds(10), "{took:?}");
    let stopped = server.logged("stopped").pop().unwrap();
    assert_eq!(stopped["aborted"], 1, "{stopped}");
    receiver.answer();
    let server = site.serve().await;
    eventually(
        "it is sent again, without waiting for its lease",
        seconds(10),
        async || (receiver.repeated().get(&event) == Some(&2)).then_some(()),
    )
    .await;
    server.stop().await;
}
