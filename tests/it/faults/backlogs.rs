//! Backlogs: what others are owed, and what vacuum cannot remove, slows nobody down.
//!
//! A replay is not handed over: it has to be found and claimed. So it shows what that takes, from asking for it to
//! its arrival: in turn on a platform that has nothing else to do, and on one with the backlog.

use std::time::Duration;

use serde_json::json;
use tidings::domain::id::EndpointId;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::harness::{TestPlatform, eventually};
use crate::process::Receiver;

const REPLAYS: usize = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    println!("95 %: {:?}", times[times.len() * 95 / 100]);
    times[times.len() / 2]
}

/// Replays in turn here and there.
async fn compare(alone: &Scene, beside: &Scene) {
    let (mut baseline, mut took) = (Vec::new(), Vec::new());
    let (first, second) = (alone.start().await, beside.start().await);
    for _ in 0..REPLAYS {
        baseline.push(first.replay().await);
        took.push(second.replay().await);
    }
    first.platform.finish().await;
    second.platform.finish().await;
    let (baseline, took) = (median(baseline), median(took));
    println!("a replay takes {baseline:?} alone, {took:?} beside the backlog");
    let limit = baseline * 2 + Duration::from_millis(50);
    assert!(took <= limit, "{took:?}, at most {limit:?}");
}

/// A platform without a dispatcher, an endpoint, and a connection.
struct Scene {
    quiet: TestPlatform,
    receiver: Receiver,
    endpoint: String,
    sql: Client,
}

impl Scene {
    async fn new() -> Self {
        let quiet = TestPlatform::builder().start().await;
        let receiver = Receiver::new();
        let endpoint = json!({ "endpoint_url": receiver.url, "events": ["well"] });
        let endpoint = quiet.register(endpoint).await;
        let id: EndpointId = endpoint["id"].as_str().unwrap().parse().unwrap();
        let sql = quiet.sql().await;
        Self {
            endpoint: uuid(id.to_bytes()),
            quiet,
            receiver,
            sql,
        }
    }

    async fn run(&self, statement: &str) {
        let statement = statement
            .replace(
                "$environment",
                &format!("'{}'::uuid", uuid(self.quiet.environment.to_bytes())),
            )
            .replace("$endpoint", &format!("'{}'::uuid", self.endpoint));
        self.sql.batch_execute(&statement).await.unwrap();
    }

    /// Starts a server that sends, and delivers a first event.
    async fn start(&self) -> Sending<'_> {
        let platform = TestPlatform::builder()
            .beside(&self.quiet)
            .dispatching()
            .start()
            .await;
        let event = platform.publish("well", json!({})).await;
        self.arrived(0).await;
        let delivery = platform.delivery_of(&event).await;
        let path = format!("/deliveries/{}/replay", delivery["id"].as_str().unwrap());
        Sending {
            scene: self,
            platform,
            path,
        }
    }

    async fn arrived(&self, number: usize) -> Instant {
        let look = async || Some(self.receiver.arrivals().get(number)?.at);
        eventually("it arrives", look).await
    }
}

/// A scene with a server that sends.
struct Sending<'a> {
    scene: &'a Scene,
    platform: TestPlatform,
    path: String,
}

impl Sending<'_> {
    async fn replay(&self) -> Duration {
        let before = self.scene.receiver.arrivals().len();
        let asked = Instant::now();
        let client = self.platform.client();
        client.post(&self.path, &json!({})).await.expect(201);
        self.scene.arrived(before).await - asked
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_vacuum_cannot_remove_do_not_slow_claims_down() {
    let alone = Scene::new().await;
    let scene = Scene::new().await;
    // an open transaction that has written something: whatever is removed from now on stays
    let holder = scene.quiet.sql().await;
    holder
        .batch_execute("BEGIN; SELECT txid_current()")
        .await
        .unwrap();
    scene
        .run(
            "INSERT INTO outbox (environment_id, id, event_id, endpoint_id, due_at, created_at) \
             SELECT $environment, gen_random_uuid(), gen_random_uuid(), $endpoint, \
                    now() - interval '20 minutes' + n * interval '1 millisecond', now() \
             FROM generate_series(1, 500000) AS n",
        )
        .await;
    scene
        .run("DELETE FROM outbox WHERE endpoint_id = $endpoint")
        .await;

    compare(&alone, &scene).await;

    holder.batch_execute("ROLLBACK").await.unwrap();
}

/// Ten thousand endpoints, half of them disabled, half of them left alone for an hour.
const OTHERS: &str = "
    INSERT INTO endpoints (environment_id, id, url, event_patterns, description, disabled_reason, secret_sealed,
                           secret_since, created_at, updated_at)
    SELECT $environment, md5(n::text)::uuid, 'http://127.0.0.1:1/' || n, ARRAY['nothing'], '',
           CASE WHEN n % 2 = 0 THEN 'failing' END, ''::bytea, now(), now(), now()
    FROM generate_series(1, 10000) AS n;
    INSERT INTO endpoint_breakers (environment_id, endpoint_id, state, since, probe_at)
    SELECT $environment, md5(n::text)::uuid, 'open', now(), now() + interval '1 hour'
    FROM generate_series(1, 10000, 2) AS n";
const OWED: &str = "
    INSERT INTO outbox (environment_id, id, event_id, endpoint_id, due_at, created_at)
    SELECT $environment, gen_random_uuid(), gen_random_uuid(), md5((1 + n % 10000)::text)::uuid,
           now() - interval '1 hour' + n * interval '1 millisecond', now() - interval '1 hour'
    FROM generate_series(1, $count) AS n";

#[tokio::test(flavor = "multi_thread")]
async fn what_dead_and_disabled_endpoints_are_owed_slows_no_other_down() {
    let long = tidings::config::load::variable("TIDINGS_TEST_LONG").is_some();
    let count = if long { 1_000_000 } else { 100_000 };
    let alone = Scene::new().await;
    alone.run(OTHERS).await;
    let scene = Scene::new().await;
    scene.run(OTHERS).await;
    scene.run(&OWED.replace("$count", &count.to_string())).await;

    compare(&alone, &scene).await;

    let touched = "SELECT count(*) FROM outbox WHERE attempts > 0 OR lease_id IS NOT NULL";
    let touched: i64 = scene.sql.query_one(touched, &[]).await.unwrap().get(0);
    let owed: i64 = scene
        .sql
        .query_one("SELECT count(*) FROM outbox", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!((touched, owed), (0, count));
}
