//! Names that lie, change their mind or take for ever.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::receiver::{Manner, Receiver};
use super::sender::{loopback, to};
use crate::domain::attempt::{Outcome, Unreachable};
use crate::egress::resolver::AskSystem;
use crate::egress::{Policy, Sender, SenderSettings};

const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const ACCEPTED: Outcome = Outcome::Accepted { status: 200 };

fn sender(ask: AskSystem, change: impl FnOnce(&mut SenderSettings)) -> Sender {
    let mut settings = SenderSettings::new(loopback());
    settings.lookup_ttl = Duration::ZERO;
    change(&mut settings);
    Sender::asking(ask, settings).unwrap()
}

fn addresses(list: &[&str]) -> io::Result<Vec<SocketAddr>> {
    Ok(list
        .iter()
        .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
        .collect())
}

fn forbidden(label: &str) -> Outcome {
    let reason = format!("the name was looked up, and the address is not allowed: {label}");
    Outcome::Forbidden { reason }
}

#[tokio::test]
async fn one_forbidden_address_spoils_the_whole_answer() {
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let sender = sender(
        |name| match name {
            "first.example" => addresses(&["10.0.0.5", "127.0.0.1"]),
            "last.example" => addresses(&["127.0.0.1", "::1", "10.0.0.5"]),
            // judged although it would never be tried
            "late.example" => addresses(&[&["127.0.0.1"; 20][..], &["10.0.0.5"]].concat()),
            _ => addresses(&["::ffff:10.0.0.5"]),
        },
        |_| {},
    );

    for host in [
        "first.example",
        "last.example",
        "late.example",
        "mapped.example",
    ] {
        let attempt = sender.post(to(&receiver.url("http", host))).await;
        assert_eq!(attempt.outcome, forbidden("private use"), "{host}");
    }

    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_refused_by_default() {
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let sender = sender(
        |_| addresses(&["127.0.0.1"]),
        |settings| settings.policy = Arc::new(Policy::default()),
    );

    let attempt = sender
        .post(to(&receiver.url("http", "hooks.example")))
        .await;

    assert_eq!(attempt.outcome, forbidden("loopback"));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_was_rebound_is_judged_again_for_a_new_connection() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let sender = sender(
        |_| match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => addresses(&["127.0.0.1"]),
            _ => addresses(&["169.254.169.254"]),
        },
        |_| {},
    );
    let url = receiver.url("http", "rebinding.example");

    assert_eq!(sender.post(to(&url)).await.outcome, ACCEPTED);
    assert_eq!(sender.post(to(&url)).await.outcome, forbidden("link local"));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn an_answer_is_used_again_while_it_is_fresh() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let sender = sender(
        |_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            addresses(&["127.0.0.1"])
        },
        |settings| settings.lookup_ttl = Duration::from_secs(60),
    );
    let url = receiver.url("http", "hooks.example");

    for _ in 0..3 {
        assert_eq!(sender.post(to(&url)).await.outcome, ACCEPTED);
    }

    assert_eq!(
        (receiver.connections(), ASKED.load(Ordering::SeqCst)),
        (3, 1)
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_unreachable() {
    let sender = sender(
        |name| match name {
            "empty.example" => addresses(&[]),
            _ => Err(io::Error::other("no such name")),
        },
        |_| {},
    );

    for url in ["http://empty.example/", "http://unknown.example/"] {
        let attempt = sender.post(to(url)).await;
        assert_eq!(
            attempt.outcome,
            Outcome::Unreachable {
                reason: Unreachable::Dns
            },
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_lookup_that_panics_is_a_failed_lookup() {
    let sender = sender(|_| panic!("a broken resolver"), |_| {});

    let attempt = sender.post(to("http://hooks.example/")).await;

    assert_eq!(
        attempt.outcome,
        Outcome::Unreachable {
            reason: Unreachable::Dns
        }
    );
}

#[tokio::test]
async fn a_slow_name_holds_one_thread_and_no_other_name() {
    static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let limit = Duration::from_millis(200);
    let sender = sender(
        |name| {
            if name == "slow.example" {
                ASKED.fetch_add(1, Ordering::SeqCst);
                let wait = OPEN.1.wait_timeout_while(
                    OPEN.0.lock().unwrap(),
                    Duration::from_secs(10),
                    |open| !*open,
                );
                drop(wait.unwrap());
            }
            addresses(&["127.0.0.1"])
        },
        |settings| {
            settings.lookups_max = 2;
            settings.lookup_timeout = limit;
        },
    );
    let slow = receiver.url("http", "slow.example");

    let posts = tokio::join!(
        sender.post(to(&slow)),
        sender.post(to(&slow)),
        sender.post(to(&slow))
    );
    let again = sender.post(to(&slow)).await;
    let healthy = sender
        .post(to(&receiver.url("http", "healthy.example")))
        .await;

    for outcome in [
        posts.0.outcome,
        posts.1.outcome,
        posts.2.outcome,
        again.outcome,
    ] {
        assert_eq!(outcome, Outcome::TimedOut { after: limit });
    }
    assert_eq!(healthy.outcome, ACCEPTED);
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    *OPEN.0.lock().unwrap() = true;
    OPEN.1.notify_all();
}

#[tokio::test]
async fn no_more_lookups_than_permitted_are_in_the_system_resolver() {
    static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let limit = Duration::from_millis(200);
    let sender = sender(
        |_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            let wait = OPEN.1.wait_timeout_while(
                OPEN.0.lock().unwrap(),
                Duration::from_secs(10),
                |open| !*open,
            );
            drop(wait.unwrap());
            addresses(&["127.0.0.1"])
        },
        |settings| {
            settings.lookups_max = 2;
            settings.lookup_timeout = limit;
        },
    );

    for name in ["a", "b", "c", "d"] {
        let attempt = sender.post(to(&format!("http://{name}.example/"))).await;
        assert_eq!(attempt.outcome, Outcome::TimedOut { after: limit });
    }

    // the threads are still in there, though nobody waits for them any more
    assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    *OPEN.0.lock().unwrap() = true;
    OPEN.1.notify_all();
}

#[tokio::test]
async fn names_that_take_for_ever_leave_threads_to_names_that_work() {
    static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let receiver = Receiver::start(Manner::Answer(CLOSING)).await;
    let limit = Duration::from_millis(200);
    let sender = sender(
        |name| {
            if name != "healthy.example" {
                let wait = OPEN.1.wait_timeout_while(
                    OPEN.0.lock().unwrap(),
                    Duration::from_secs(10),
                    |open| !*open,
                );
                drop(wait.unwrap());
            }
            addresses(&["127.0.0.1"])
        },
        |settings| {
            settings.lookups_max = 8;
            settings.lookup_timeout = limit;
        },
    );
    let healthy = receiver.url("http", "healthy.example");
    assert_eq!(sender.post(to(&healthy)).await.outcome, ACCEPTED);

    for number in 0..8 {
        let url = format!("http://slow-{number}.example/");
        let attempt = sender.post(to(&url)).await;
        assert_eq!(attempt.outcome, Outcome::TimedOut { after: limit });
    }

    assert_eq!(sender.post(to(&healthy)).await.outcome, ACCEPTED);
    *OPEN.0.lock().unwrap() = true;
    OPEN.1.notify_all();
}
