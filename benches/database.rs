//! What the statements of one event cost, on a real Postgres with durability on: group commit, claim, settle.
//!
//! `cargo bench --bench database -- claim` runs those whose name contains the word. Uses an embedded cluster in a
//! temporary folder, or a database of its own on the server that `TIDINGS_TEST_DATABASE_URL` names. What is
//! measured is the time as the caller sees it: the round trips and the server's work, one caller at a time.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use criterion::{Criterion, Throughput};
use tempfile::TempDir;
use tidings::app::{api_keys, endpoints, environments};
use tidings::config::Config;
use tidings::config::load::{load_from, variable};
use tidings::domain::access::{Caller, Permission};
use tidings::domain::attempt::{Attempt, Outcome};
use tidings::domain::audit::Actor;
use tidings::domain::delivery::{Claim, Settlement};
use tidings::domain::endpoint::{EndpointState, NewEndpoint};
use tidings::domain::event::{Audience, EventPattern, EventType, NewEvent};
use tidings::domain::id::{EndpointId, LeaseId, WorkerId};
use tidings::domain::secret::Redacted;
use tidings::domain::time::Clock;
use tidings::ingest::NewItem;
use tidings::runtime::{Foundation, Platform, PlatformSettings, Secrets};
use tidings::store::claims::Wanted;
use tidings::store::embedded::{Embedded, EmbeddedSettings, Home};
use tidings::store::outbox::Lease;
use tidings::store::settlements::{self, Settled};
use tidings::store::{Conn, claims};
use tidings::upkeep::create_partitions;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// Deliveries that are claimed and settled at once.
const SIZES: [usize; 2] = [1, 64];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime = Runtime::new()?;
    let server = runtime.block_on(Server::start())?;
    let bench = runtime.block_on(Bench::prepare(&server.url))?;
    commit(&mut criterion, &runtime, &bench);
    claim(&mut criterion, &runtime, &bench);
    settle(&mut criterion, &runtime, &bench);
    criterion.final_summary();
    drop(bench);
    runtime.block_on(server.leave())
}

/// One transaction that records so many events of a kibibyte, each with one delivery.
fn commit(criterion: &mut Criterion, runtime: &Runtime, bench: &Bench) {
    let mut group = criterion.benchmark_group("group commit");
    for size in [1, 64, 500] {
        group.throughput(Throughput::Elements(size.try_into().unwrap_or(u64::MAX)));
        group.bench_function(format!("{size} events"), |measured| {
            measured
                .to_async(runtime)
                .iter_custom(async |times| bench.record(times, size).await.expect("recorded"));
        });
    }
    group.finish();
}

/// One statement that takes so many due deliveries, with their bodies.
fn claim(criterion: &mut Criterion, runtime: &Runtime, bench: &Bench) {
    let mut group = criterion.benchmark_group("claim");
    for size in SIZES {
        group.throughput(Throughput::Elements(size.try_into().unwrap_or(u64::MAX)));
        group.bench_function(format!("{size} deliveries"), |measured| {
            measured.to_async(runtime).iter_custom(async |times| {
                let took = bench.claim_and_settle(times, size).await.expect("claimed");
                took.claiming
            });
        });
    }
    group.finish();
}

/// One statement that records so many attempts and ends their deliveries.
fn settle(criterion: &mut Criterion, runtime: &Runtime, bench: &Bench) {
    let mut group = criterion.benchmark_group("settle");
    for size in SIZES {
        group.throughput(Throughput::Elements(size.try_into().unwrap_or(u64::MAX)));
        group.bench_function(format!("{size} deliveries"), |measured| {
            measured.to_async(runtime).iter_custom(async |times| {
                let took = bench.claim_and_settle(times, size).await.expect("settled");
                took.settling
            });
        });
    }
    group.finish();
}

/// A platform with one endpoint, which sends nothing by itself.
struct Bench {
    platform: Platform,
    caller: Caller,
    endpoint: EndpointId,
    event: NewEvent,
}

#[derive(Default)]
struct Took {
    claiming: Duration,
    settling: Duration,
}

impl Bench {
    async fn prepare(url: &str) -> anyhow::Result<Self> {
        let config = config()?;
        let secrets = Secrets::Given(Redacted::new("a key for measurements only".to_owned()));
        let foundation = Foundation::lay(&config, url, &secrets, &Clock::System).await?;
        create_partitions(&foundation.store, &Clock::System).await?;
        let settings = PlatformSettings {
            clock: Clock::System,
            public_url: "http://127.0.0.1".to_owned(),
            hand_over: false,
        };
        let platform = Platform::build(&config, foundation.store, settings)?;
        let actor = Actor::platform("bench");
        let environment = environments::create(&platform.app, "bench", &actor).await?;
        let permissions = vec![Permission::Admin];
        let (key, _text) =
            api_keys::create(&platform.app, environment.id, "bench", permissions, &actor).await?;
        let caller = Caller::new(&key);
        let endpoint = NewEndpoint {
            url: "http://127.0.0.1:9/".to_owned(),
            patterns: vec![EventPattern::Everything],
            organization: None,
            description: String::new(),
            state: EndpointState::Enabled,
            schedule: None,
            secret: None,
        };
        let endpoint = endpoints::create(&platform.app, &caller, endpoint, None).await?;
        let event = NewEvent {
            event_type: EventType::parse("event", "invoice.paid").map_err(invalid)?,
            data: format!(r#"{{"fill":"{}"}}"#, "x".repeat(1024 - 11)),
            context: "{}".to_owned(),
            organization: None,
            audience: Audience::Subscribers,
        };
        Ok(Self {
            platform,
            caller,
            endpoint: endpoint.id,
            event,
        })
    }

    async fn record(&self, times: u64, size: usize) -> anyhow::Result<Duration> {
        let (mut took, mut conn) = (Duration::ZERO, self.platform.store.dedicated().await?);
        for _ in 0..times {
            took += self.publish(size).await?;
            // Not measured: what is owed would grow from round to round.
            self.settle_all(&mut conn, size).await?;
        }
        Ok(took)
    }

    async fn claim_and_settle(&self, times: u64, size: usize) -> anyhow::Result<Took> {
        let (mut took, mut conn) = (Took::default(), self.platform.store.dedicated().await?);
        for _ in 0..times {
            self.publish(size).await?;
            let one = self.settle_all(&mut conn, size).await?;
            took.claiming += one.claiming;
            took.settling += one.settling;
        }
        Ok(took)
    }

    async fn publish(&self, count: usize) -> anyhow::Result<Duration> {
        let items = vec![NewItem::Event(self.event.clone()); count];
        let recorder = &self.platform.recorder;
        let began = Instant::now();
        recorder
            .record(self.caller.environment, items, None)
            .await?;
        Ok(began.elapsed())
    }

    /// Claims what is due, and settles it as delivered.
    async fn settle_all(&self, conn: &mut Conn, count: usize) -> anyhow::Result<Took> {
        let (environment, now) = (self.caller.environment, Clock::System.now());
        let lease = Lease {
            id: LeaseId::new(now),
            worker: WorkerId::new(now),
            lasts: Duration::from_secs(60),
        };
        let began = Instant::now();
        let wanted = [Wanted {
            endpoint: self.endpoint,
            count,
            floor: None,
        }];
        let claimed = claims::claim_due(conn, environment, None, lease, &wanted).await?;
        let claiming = began.elapsed();
        anyhow::ensure!(claimed.claims.len() == count, "not all of it was due");
        let settled: Vec<Settled> = claimed.claims.iter().map(delivered).collect();
        let began = Instant::now();
        let ended = settlements::settle(conn, environment, None, &settled).await?;
        let settling = began.elapsed();
        anyhow::ensure!(ended == count, "not all of it was settled");
        Ok(Took { claiming, settling })
    }
}

fn delivered(claim: &Claim) -> Settled {
    Settled {
        delivery: claim.delivery,
        lease: claim.lease,
        number: claim.number,
        started_at: Clock::System.now(),
        attempt: Attempt {
            outcome: Outcome::Accepted { status: 200 },
            duration: Duration::from_millis(1),
            answer: None,
        },
        settlement: Settlement::Delivered,
    }
}

fn config() -> anyhow::Result<Config> {
    let allow = (
        "TIDINGS__EGRESS__ALLOW".into(),
        "127.0.0.0/8".to_owned().into(),
    );
    Ok(load_from(None, [allow], &[])?.config)
}

fn invalid(invalid: tidings::domain::invalid::Invalid) -> anyhow::Error {
    anyhow::anyhow!(invalid.message)
}

/// The server that is measured: a cluster for this process, or a database on one that was named.
struct Server {
    url: String,
    ours: Ours,
}

enum Ours {
    Cluster(Box<Embedded>, TempDir),
    Database { server: String, name: String },
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        if let Some(server) = variable("TIDINGS_TEST_DATABASE_URL") {
            let server = server.into_string().ok().context("the URL is no text")?;
            let name = format!("tidings_bench_{}", std::process::id());
            run(&server, &format!("CREATE DATABASE {name}")).await?;
            let mut url = url::Url::parse(&server)?;
            url.set_path(&name);
            return Ok(Self {
                url: url.into(),
                ours: Ours::Database { server, name },
            });
        }
        let root = tempfile::Builder::new()
            .prefix("tidings-bench-")
            .tempdir()?;
        // As root the server runs as somebody else, who has to get through.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755))?;
        let settings = EmbeddedSettings {
            data_dir: root.path().join("data"),
            bin_dir: None,
            home: Home {
                path: variable("PATH"),
                ..Home::default()
            },
        };
        let embedded = Embedded::start(&settings).await?;
        Ok(Self {
            url: embedded.url().to_owned(),
            ours: Ours::Cluster(Box::new(embedded), root),
        })
    }

    async fn leave(self) -> anyhow::Result<()> {
        match self.ours {
            Ours::Cluster(embedded, root) => {
                embedded.stop().await?;
                Ok(root.close()?)
            }
            Ours::Database { server, name } => {
                run(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
        }
    }
}

async fn run(server: &str, statement: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    let working = async move {
        let done = client.batch_execute(statement).await;
        drop(client);
        done
    };
    let (done, ended) = tokio::join!(working, connection);
    done?;
    Ok(ended?)
}
