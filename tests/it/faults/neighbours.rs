//! Neighbours: endpoints that do harm, and what a healthy one notices of them.
//!
//! `TIDINGS_TEST_LONG=1` makes it fifty of each kind, for a minute, held to the promised figure: meant for an optimised
//! build on a machine that has nothing else to do.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use tidings::config::load::variable;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::process::{
    Hostile, Manner, PlainPostgres, Receiver, SILENT_NAME_SERVER, Server, Site, may_mount, seconds,
};

/// How often a healthy event is published.
const EVERY: Duration = Duration::from_millis(100);
/// As often ten events go to a neighbour that is healthy and busy.
const CROWD: usize = 10;
/// For each hostile endpoint, how long until the next delivery to one of them.
const NOISE_EVERY: Duration = Duration::from_millis(30);
/// What the machine may add: in the short form, which is for builds without optimisation beside other tests, as much as
/// keeps clear of the two seconds that whoever waits for a hostile endpoint waits.
const SLACK: Duration = Duration::from_millis(50);
const SLACK_SHORT: Duration = Duration::from_secs(1);
const MEMORY_BYTES_MAX: u64 = 150 * 1024 * 1024;

/// How long events took to arrive, shortest first.
struct Times {
    /// From when they were sent to the server: what it takes to record them is part of it.
    sent: Vec<Duration>,
    /// From when the server had answered: what the dispatcher alone is to blame for.
    answered: Vec<Duration>,
}

/// Publishes at a steady rate for a while.
async fn steady(server: &Server, receiver: &Receiver, lasts: Duration) -> Times {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut sent) = (Instant::now(), HashMap::new());
    while began.elapsed() < lasts {
        ticks.tick().await;
        let at = Instant::now();
        sent.insert(server.publish(0).await, (at, Instant::now()));
    }
    crate::process::eventually("every event arrives", seconds(60), async || {
        let came = receiver.ids();
        sent.keys().all(|id| came.contains(id)).then_some(())
    })
    .await;
    let (mut from_sent, mut from_answered) = (Vec::new(), Vec::new());
    for arrival in receiver.arrivals() {
        if let Some(&(at, answered)) = sent.get(&arrival.id) {
            from_sent.push(arrival.at.saturating_duration_since(at));
            from_answered.push(arrival.at.saturating_duration_since(answered));
        }
    }
    from_sent.sort();
    from_answered.sort();
    Times {
        sent: from_sent,
        answered: from_answered,
    }
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Publishes batches of `count` events without end.
async fn make_noise(
    server: reqwest::RequestBuilder,
    every: Duration,
    event: &'static str,
    count: usize,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = vec![json!({ "event": event, "data": {} }); count];
    let body = json!({ "events": events });
    loop {
        ticks.tick().await;
        let request = server.try_clone().unwrap().json(&body);
        let _whatever = request.send().await;
    }
}

/// A figure of the process, in bytes.
fn memory(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

async fn register(server: &Server, url: &str, event: &str) -> Value {
    let body = json!({ "endpoint_url": url, "events": [event] });
    server.create("/webhook_endpoints", body).await
}

async fn health(server: &Server, endpoint: &Value) -> Value {
    let path = format!(
        "/webhook_endpoints/{}/health",
        endpoint["id"].as_str().unwrap()
    );
    server.get(&path).await.json().await.unwrap()
}

/// What attempts at a hostile endpoint come to.
const fn outcome(manner: Manner) -> &'static str {
    match manner {
        Manner::Hang | Manner::Trickle => "timed_out",
        Manner::Endless | Manner::Bomb => "accepted",
        Manner::Reset => "unreachable",
        Manner::Refuse => "refused",
    }
}

/// A server whose name server says nothing, where the test may arrange that.
async fn served(site: &Site, silent: bool) -> Server {
    if silent {
        return site.serve_without_names("127.0.0.1 localhost\n").await;
    }
    println!("left out, for want of permissions: names that are never answered");
    site.serve().await
}

/// Registers hostile endpoints; answers them with what attempts at them come to, and what keeps them there.
async fn neighbours(
    server: &Server,
    of_each: usize,
    silent: bool,
) -> (Vec<(&'static str, Value)>, Vec<Hostile>) {
    let (mut endpoints, mut receivers) = (Vec::new(), Vec::new());
    for manner in Manner::ALL {
        let receiver = Hostile::new(manner).await;
        for number in 0..of_each {
            let endpoint = register(server, &receiver.url(number), "noise.made").await;
            endpoints.push((outcome(manner), endpoint));
        }
        receivers.push(receiver);
    }
    for number in 0..if silent { of_each } else { 0 } {
        let url = format!("http://name-{number}.test/");
        endpoints.push(("timed_out", register(server, &url, "noise.made").await));
    }
    (endpoints, receivers)
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_that_do_harm_are_not_noticed() {
    let long = variable("TIDINGS_TEST_LONG").is_some();
    let (of_each, lasts) = if long {
        (50, seconds(60))
    } else {
        (4, seconds(8))
    };
    // this is about what waits for whom, and not about the disk or about passwords
    let mut postgres = PlainPostgres::create();
    postgres.start(&["fsync=off"]).await;
    // few enough for those that hang to want them all
    let (concurrency, per_endpoint) = if long { ("256", "32") } else { ("16", "8") };
    let site = Site::on_database(&postgres.url("sslmode=disable"))
        .with("TIDINGS__DATABASE__UNSAFE_DURABILITY", "true")
        .with("TIDINGS__DELIVERY__TIMEOUT", "2s")
        .with("TIDINGS__DELIVERY__CONNECT_TIMEOUT", "2s")
        .with("TIDINGS__DELIVERY__CONCURRENCY", concurrency)
        .with("TIDINGS__DELIVERY__CONCURRENCY_PER_ENDPOINT", per_endpoint)
        .with("TIDINGS__LOG__LEVEL", "warn,tidings::runtime=info");
    let name_server = UdpSocket::bind((SILENT_NAME_SERVER, 53)).ok();
    let silent = name_server.is_some() && may_mount();
    let server = served(&site, silent).await;
    let (healthy, busy) = (Receiver::new(), Receiver::new());
    server.create_endpoint(&healthy.url).await;
    register(&server, &busy.url, "crowd.made").await;
    steady(&server, &healthy, seconds(1)).await;
    let baseline = steady(&server, &healthy, lasts / 2).await;
    let memory_before = memory(&server, "VmRSS");

    let (hostile, _receivers) = neighbours(&server, of_each, silent).await;
    let mut noise = JoinSet::new();
    let batch = || server.post("/events/batch", &Value::Null);
    let every = NOISE_EVERY * u32::try_from(hostile.len()).unwrap();
    noise.spawn(make_noise(batch(), every, "noise.made", 1));
    noise.spawn(make_noise(batch(), EVERY, "crowd.made", CROWD));
    let times = steady(&server, &healthy, lasts).await;
    noise.shutdown().await;

    let grew = memory(&server, "VmHWM").saturating_sub(memory_before);
    for percent in [50, 95, 99] {
        let [before, after] = [&baseline, &times].map(|times| percentile(&times.sent, percent));
        let [idle, beside] = [&baseline, &times].map(|times| percentile(&times.answered, percent));
        println!(
            "p{percent}: {before:?} alone, {after:?} beside them; from the answer on {idle:?}, {beside:?}"
        );
    }
    let (count, crowd) = (hostile.len(), busy.arrivals().len());
    println!("{count} hostile endpoints; memory grew by {grew} bytes; {crowd} to the busy one");
    for (expected, endpoint) in hostile.iter().step_by(of_each) {
        let health = health(&server, endpoint).await;
        println!("{expected}: {}", health["condition"]);
        let seen = health["recent_attempts"][*expected].as_u64().unwrap();
        assert!(seen > 0, "{expected}: {health}");
    }
    let slack = if long { SLACK } else { SLACK_SHORT };
    let limit = percentile(&baseline.sent, 99) * 3 + slack;
    let worst = percentile(&times.sent, 99);
    assert!(worst <= limit, "{worst:?}, at most {limit:?}");
    assert!(grew <= MEMORY_BYTES_MAX, "{grew}");
    assert_eq!(healthy.duplicates(), 0);
    server.kill().await;
}
