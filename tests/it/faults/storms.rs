//! A storm on the locks: whatever takes several of them does so at once, on two servers, and nobody meets a deadlock.
//! `TIDINGS_TEST_LONG=1` makes it ten times as long.
//!
//! Publishers, people who change endpoints, receivers that say 410 (so that endpoints are disabled by themselves),
//! audit log events of several organizations in one batch, checkpoints, redactions of what was just recorded, replays.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Receiver, Reply, TestPlatform, chance, eventually};
use crate::process::at_length;

/// Endpoint changes of the storm; it lasts as long as they take.
const CHANGES: usize = 32;
const ORGANIZATIONS: usize = 3;

/// One storm: two servers, and whether it is over.
struct Storm<'a> {
    servers: [&'a TestPlatform; 2],
    organizations: Vec<String>,
    over: AtomicBool,
    answered: AtomicUsize,
}

impl Storm<'_> {
    fn is_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Every answer is one that the contract knows; a deadlock that reaches a caller would be a 500 or a 503.
    fn met(&self, answer: &Reply, wanted: &[u16]) {
        assert!(
            wanted.contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    async fn publish(&self, server: &TestPlatform) {
        while self.is_on() {
            let answer = server
                .client()
                .post("/events", &json!({ "event": "storm.a", "data": {} }))
                .await;
            self.met(&answer, &[201]);
        }
    }

    /// The trees of a batch are taken in the order of their ids, in whatever order the batch names them.
    async fn record(&self, server: &TestPlatform, reversed: bool) {
        let mut organizations = self.organizations.clone();
        if reversed {
            organizations.reverse();
        }
        while self.is_on() {
            let events: Vec<Value> = organizations.iter().map(|id| entry(id)).collect();
            let body = json!({ "events": events });
            let answer = server
                .client()
                .post("/audit_logs/events/batch", &body)
                .await;
            self.met(&answer, &[201]);
        }
    }

    async fn sign(&self, server: &TestPlatform) {
        while self.is_on() {
            for organization in &self.organizations {
                let body = json!({ "organization_id": organization });
                let answer = server.client().post("/audit_logs/checkpoints", &body).await;
                self.met(&answer, &[200, 201, 409]);
            }
        }
    }

    /// Endpoints are made, changed, enabled again and deleted; the receiver's 410 disables them in between.
    async fn change(&self, server: &TestPlatform, receiver: &Receiver, times: usize) {
        for _ in 0..times {
            let number = self.answered.fetch_add(1, Ordering::Relaxed);
            let url = format!("{}?{number}", receiver.url());
            let endpoint = json!({ "endpoint_url": url, "events": ["storm.*"] });
            let endpoint = server.register(endpoint).await;
            let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
            eventually("its receiver is gone, so it is disabled", async || {
                let now = server.client().get(&path).await.expect(200);
                (now["status"] == "disabled").then_some(())
            })
            .await;
            for _ in 0..2 {
                let change =
                    json!({ "status": "enabled", "description": format!("{}", chance(9)) });
                let changer = self.servers[chance(2)].client();
                self.met(&changer.patch(&path, &change).await, &[200]);
            }
            self.met(&server.client().delete(&path).await, &[204]);
        }
    }
}

fn entry(organization: &str) -> Value {
    json!({
        "organization_id": organization,
        "event": {
            "action": "user.signed_in",
            "occurred_at": "2026-01-31T12:00:00Z",
            "actor": { "id": "user_1", "type": "user" },
            "targets": [{ "id": "team_1", "type": "team" }],
            "context": { "location": "127.0.0.1" }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_locks_at_the_same_time_nobody_meets_a_deadlock() {
    let changes = at_length(CHANGES, 10 * CHANGES);
    let first = TestPlatform::builder().dispatching().start().await;
    let second = TestPlatform::builder()
        .dispatching()
        .beside(&first)
        .start()
        .await;
    let gone = Receiver::answering([410]).await;
    let well = Receiver::answering([200]).await;
    first.create_endpoint(&well, ["storm.*"]).await;
    let mut organizations = Vec::new();
    for name in 0..ORGANIZATIONS {
        let made = first
            .client()
            .post("/organizations", &json!({ "name": format!("{name}") }))
            .await;
        organizations.push(made.expect(201)["id"].as_str().unwrap().to_owned());
    }
    let storm = Storm {
        servers: [&first, &second],
        organizations,
        over: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
    };

    let changing = async {
        join_all(
            storm
                .servers
                .map(|server| storm.change(server, &gone, changes / 2)),
        )
        .await;
        storm.over.store(true, Ordering::Relaxed);
    };
    let publishing = join_all(
        storm
            .servers
            .iter()
            .cycle()
            .take(6)
            .map(|server| storm.publish(server)),
    );
    let recording = async {
        tokio::join!(storm.record(&first, false), storm.record(&second, true));
    };
    let signing = join_all(storm.servers.map(|server| storm.sign(server)));
    tokio::join!(changing, publishing, recording, signing);

    let (deadlocks, disabled) = count(&first).await;
    println!(
        "{} requests on two servers, {disabled} endpoints disabled by themselves: {deadlocks} deadlocks",
        storm.answered.load(Ordering::Relaxed)
    );
    assert_eq!(deadlocks, 0);
    assert!(
        disabled > 0,
        "no endpoint was disabled, so nothing was tried"
    );
    first.finish().await;
    second.finish().await;
}

/// How many deadlocks the database has met, and how many endpoints were disabled by themselves.
async fn count(platform: &TestPlatform) -> (i64, i64) {
    let sql = platform.sql().await;
    let deadlocks = eventually("the statistics are written", async || {
        let statistics = "SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()";
        let row = sql.query_one(statistics, &[]).await.unwrap();
        (row.get::<_, i64>(1) > 0).then(|| row.get::<_, i64>(0))
    });
    let disabled = "SELECT count(*) FROM events WHERE event_type = 'webhook_endpoint.disabled'";
    let deadlocks = deadlocks.await;
    (
        deadlocks,
        sql.query_one(disabled, &[]).await.unwrap().get(0),
    )
}
