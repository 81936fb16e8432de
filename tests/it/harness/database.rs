//! Databases: one private cluster for the whole process, one migrated database for each test.
//!
//! The cluster is the embedded one, unless `TIDINGS_TEST_DATABASE_URL` names a server. Rust tests have no last
//! moment, so a small watcher outlives the process: it reads from a pipe that only this process holds open, and
//! when that ends it stops the server and removes its folder. All databases are made and dropped by one thread
//! with one connection; a database is dropped, whatever became of its test, when the last platform lets go.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use tidings::config::load::{load_from, variable};
use tidings::domain::secret::Redacted;
use tidings::domain::time::Clock;
use tidings::runtime::{Foundation, Secrets};
use tidings::store::embedded::{Embedded, EmbeddedSettings, Home};
use tidings::upkeep::create_partitions;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio_postgres::{Client, NoTls};

/// Databases that tests hold at a time: each has a pool of its own.
const AT_ONCE: usize = 6;
const TEMPLATE: &str = "tidings_test_template";
/// Reads until this process is gone; then stops the server, immediately, and removes everything.
const WATCHER: &str = r#"cat >/dev/null
kill -QUIT "$1"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.2; done
rm -rf "$2""#;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);
static SERVER: OnceLock<Server> = OnceLock::new();

/// The server, and the thread that makes databases on it.
struct Server {
    orders: mpsc::UnboundedSender<Order>,
    _watcher: Option<Child>,
}

enum Order {
    Make(oneshot::Sender<String>),
    /// Answers how many deliveries were left leased.
    Drop(String, std::sync::mpsc::Sender<i64>),
}

/// A migrated database; it is dropped with this value.
pub(crate) struct Database {
    url: String,
    /// Whether a lease that is left is a mistake.
    leases_must_end: Mutex<bool>,
    _turn: SemaphorePermit<'static>,
}

impl Database {
    pub(crate) async fn make() -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let (answer, made) = oneshot::channel();
        server().orders.send(Order::Make(answer)).ok().unwrap();
        Self {
            url: made.await.unwrap(),
            leases_must_end: Mutex::new(true),
            _turn: turn,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection of the test's own.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// Says that deliveries may be under way when the test ends.
    pub(crate) fn leases_may_stay(&self) {
        *self.leases_must_end.lock().unwrap() = false;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (answer, dropped) = std::sync::mpsc::channel();
        let _gone = server().orders.send(Order::Drop(self.url.clone(), answer));
        let leased = dropped.recv().unwrap_or(0);
        if *self.leases_must_end.lock().unwrap() && !std::thread::panicking() {
            assert_eq!(leased, 0, "deliveries were left leased");
        }
    }
}

/// The key that seals secrets in every test's database.
pub(crate) fn secrets() -> Secrets {
    Secrets::Given(Redacted::new("a master key for tests, 32 bytes".to_owned()))
}

fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let (orders, taken) = mpsc::unbounded_channel();
        let (started, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // migrations block a worker
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let (url, watcher) = start().await;
                started.send(watcher).unwrap();
                keep(url, taken).await;
            });
        });
        Server {
            orders,
            _watcher: ready
                .recv()
                .expect("the test server starts; its failure is told above"),
        }
    })
}

/// Starts the cluster and its watcher, or takes the server that was named.
async fn start() -> (String, Option<Child>) {
    if let Some(url) = variable("TIDINGS_TEST_DATABASE_URL") {
        return (url.into_string().unwrap(), None);
    }
    let root = tempfile::Builder::new()
        .prefix("tidings-tests-")
        .tempdir()
        .unwrap()
        .keep();
    // the user who runs the server has to get through
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = EmbeddedSettings {
        data_dir: root.join("data"),
        bin_dir: None,
        home: Home {
            path: variable("PATH"),
            ..Home::default()
        },
    };
    let embedded = Embedded::start(&settings).await.unwrap();
    let watcher = Command::new("sh")
        .args(["-c", WATCHER, "watcher"])
        .arg(embedded.postmaster_pid().unwrap().to_string())
        .arg(&root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // out of reach of a Ctrl-C that is meant for the tests
        .process_group(0)
        .spawn()
        .unwrap();
    let url = embedded.url().to_owned();
    // dropping a database writes a checkpoint, and seconds would go by for each test
    let admin = connect(&url).await;
    run(&admin, "ALTER SYSTEM SET fsync = off").await;
    run(&admin, "SELECT pg_reload_conf()").await;
    // its locks are held to the end of the process
    std::mem::forget(embedded);
    (url, Some(watcher))
}

/// Makes and drops databases until the process ends.
async fn keep(server: String, mut orders: mpsc::UnboundedReceiver<Order>) {
    let admin = connect(&server).await;
    let template = format!("{TEMPLATE}_{}", std::process::id());
    run(&admin, &format!("CREATE DATABASE {template}")).await;
    migrate(&with_database(&server, &template)).await;
    run(
        &admin,
        &format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false"),
    )
    .await;
    end_sessions(&admin, &template).await;
    let mut count = 0;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Make(answer) => {
                count += 1;
                let name = format!("test_{}_{count}", std::process::id());
                run(
                    &admin,
                    &format!("CREATE DATABASE {name} TEMPLATE {template}"),
                )
                .await;
                let _gone = answer.send(with_database(&server, &name));
            }
            Order::Drop(url, answer) => {
                let leased = leased(&url).await;
                let name = url
                    .parse::<tokio_postgres::Config>()
                    .unwrap()
                    .get_dbname()
                    .unwrap()
                    .to_owned();
                let _gone = answer.send(leased);
                let _best_effort = admin
                    .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
                    .await;
            }
        }
    }
}

async fn migrate(url: &str) {
    let mut config = load_from(None, [], &[]).unwrap().config;
    config.database.unsafe_durability = true;
    let laid = Foundation::lay(&config, url, &secrets(), &Clock::System).await;
    let kept = create_partitions(&laid.unwrap().store, &Clock::System).await;
    kept.unwrap();
}

/// A template must have no sessions; those of the migration end a moment after their pool.
async fn end_sessions(admin: &Client, database: &str) {
    super::eventually("the template's sessions end", async || {
        let query =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
        let left: i64 = admin.query_one(query, &[&database]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
}

async fn leased(url: &str) -> i64 {
    let count = "SELECT count(*) FROM outbox WHERE lease_id IS NOT NULL";
    let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await else {
        return 0;
    };
    let driver = tokio::runtime::Handle::current().spawn(connection);
    let leased = client
        .query_one(count, &[])
        .await
        .map_or(0, |row| row.get(0));
    drop(client);
    let _ended = driver.await;
    leased
}

async fn run(admin: &Client, statement: &str) {
    admin.batch_execute(statement).await.unwrap();
}

/// Connects; the connection lives as long as the runtime that this runs on.
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    client
}

/// The URL of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_path(name);
    url.into()
}
