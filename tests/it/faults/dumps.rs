//! Dumps: a backup that is under way, and vacuums beside it, delay neither the feed nor a delivery, nor do the
//! weeks that have to wait for it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidings::domain::time::Clock;
use tidings::store::{Store, strain};
use tidings::upkeep::create_partitions;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::harness::TestPlatform;
use crate::process::{Receiver, at_length, eventually, program, seconds};

/// More than a pipe holds.
const BALLAST: &str =
    "CREATE TABLE ballast AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 2000)";
const WAITS_FOR_ITS_READER: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                                    AND application_name = 'pg_dump' AND wait_event = 'ClientWrite'";
const TABLES: [&str; 6] = [
    "event_sequences",
    "events",
    "outbox",
    "deliveries",
    "attempts",
    "endpoints",
];

/// A dump whose output nobody takes: it keeps its snapshot, and its locks on every table, until it is dropped.
struct Dump(Child);

impl Dump {
    fn of(platform: &TestPlatform) -> Self {
        let mut command = Command::new(program("pg_dump"));
        command.args(["--dbname", platform.database_url()]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(child.spawn().unwrap())
    }

    /// Ends it, which must not have ended by itself.
    fn end(mut self) {
        let ended = self.0.try_wait().unwrap();
        if ended.is_some() {
            let mut said = String::new();
            let _whatever = self.0.stderr.take().unwrap().read_to_string(&mut said);
            panic!("the dump has ended: {said}");
        }
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A reader who keeps its cursor, and a receiver.
struct Scene {
    platform: TestPlatform,
    receiver: Receiver,
    after: String,
}

impl Scene {
    async fn new() -> Self {
        let platform = TestPlatform::builder().dispatching().start().await;
        let receiver = Receiver::new();
        let endpoint = json!({ "endpoint_url": receiver.url, "events": ["well"] });
        platform.register(endpoint).await;
        let after = platform.publish("first", json!({})).await;
        Self {
            platform,
            receiver,
            after: after["id"].as_str().unwrap().to_owned(),
        }
    }

    /// Publishes an event, looks for it in both places, and waits until what became of it is on record.
    async fn publish(&mut self, lags: &mut Lags) {
        let before = self.receiver.arrivals().len();
        let asked = Instant::now();
        let event = self.platform.publish("well", json!({})).await;
        let page = format!("/events?after={}", self.after);
        let page = self.platform.client().get(&page).await.expect(200);
        lags.feed.push(asked.elapsed());
        event["id"].as_str().unwrap().clone_into(&mut self.after);
        assert_eq!(page["data"], Value::Array(vec![event]), "in the feed");
        let look = async || Some(self.receiver.arrivals().get(before)?.at);
        let arrived = eventually("it arrives", seconds(20), look).await;
        lags.arrival.push(arrived - asked);
        eventually("its delivery is settled", seconds(20), async || {
            let settled = format!("state=delivered&event_id={}", self.after);
            let settled = self.platform.deliveries(&settled).await;
            (!settled.is_empty()).then_some(())
        })
        .await;
        lags.settled.push(asked.elapsed());
    }
}

/// From asking for it to be recorded: how long until an event is in the feed, has arrived, and is settled.
#[derive(Default)]
struct Lags {
    feed: Vec<Duration>,
    arrival: Vec<Duration>,
    settled: Vec<Duration>,
}

impl Lags {
    /// At most so much longer than those.
    fn are_near(&self, alone: &Self, what: &str) {
        for (name, lags, alone) in [
            ("feed", &self.feed, &alone.feed),
            ("arrival", &self.arrival, &alone.arrival),
            ("settled", &self.settled, &alone.settled),
        ] {
            let [(alone, _), (median, longest)] =
                [alone, lags].map(|lags| median_and_longest(lags));
            println!("{name}: {alone:?} alone; {what}: {median:?}, the longest {longest:?}");
            let limit = alone + Duration::from_millis(100);
            assert!(median <= limit, "{name}: {median:?}, at most {limit:?}");
            // a median would hide one wait, and one is what a lock costs
            assert!(longest <= limit + seconds(1), "{name}: {longest:?}");
        }
    }
}

fn median_and_longest(times: &[Duration]) -> (Duration, Duration) {
    let mut times = times.to_vec();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// Vacuums one table after another, for ever.
async fn vacuum(sql: &Client) {
    loop {
        for table in TABLES {
            let vacuum = format!("VACUUM (ANALYZE) {table}");
            sql.batch_execute(&vacuum).await.unwrap();
        }
    }
}

async fn weeks_until(store: &Store) -> DateTime<Utc> {
    let mut conn = store.conn().await.unwrap();
    let strain = strain::look(&mut conn).await.unwrap();
    strain.partitions_until.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_way_and_vacuums_delay_neither_the_feed_nor_a_delivery() {
    let count = at_length(40, 400);
    let mut scene = Scene::new().await;
    let sql = scene.platform.sql().await;
    sql.batch_execute(BALLAST).await.unwrap();
    let vacuums = scene.platform.sql().await;
    let mut alone = Lags::default();
    for _ in 0..count {
        scene.publish(&mut alone).await;
    }

    let dump = Dump::of(&scene.platform);
    eventually("the dump is under way", seconds(20), async || {
        let row = sql.query_one(WAITS_FOR_ITS_READER, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    let mut beside = Lags::default();
    let measured = async {
        for _ in 0..count {
            scene.publish(&mut beside).await;
        }
    };
    tokio::select! {
        () = measured => {}
        () = vacuum(&vacuums) => unreachable!("vacuums go on"),
    }
    beside.are_near(&alone, "beside a dump and vacuums");

    // five weeks later: the weeks cannot be made, for the dump has locked the tables, and are tried in vain
    let later = Clock::manual(Clock::System.now() + TimeDelta::weeks(5));
    let store = scene.platform.store().clone();
    let until = weeks_until(&store).await;
    let mut beside = Lags::default();
    let publishing = async {
        loop {
            scene.publish(&mut beside).await;
        }
    };
    tokio::select! {
        tried = create_partitions(&store, &later) => tried.unwrap(),
        () = publishing => unreachable!("it goes on"),
    }
    beside.are_near(&alone, "while weeks are tried");
    let still = weeks_until(&store).await;
    assert_eq!(still, until, "the dump was not in the way");

    dump.end();
    create_partitions(&store, &later).await.unwrap();
    assert!(weeks_until(&store).await > until + TimeDelta::weeks(4));
    scene.platform.finish().await;
}
