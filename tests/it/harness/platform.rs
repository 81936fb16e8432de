//! A platform: the real runtime parts on port 0, with a clock that stands still until a test moves it.
//!
//! The HTTP server has a thread of its own, so that it goes on, and can be stopped, whatever becomes of the
//! test's runtime. Without `dispatching`, nothing is sent but by `dispatch_due`. Environments and keys are put into
//! the store: the app would tell of them in the feed, where a test should find what it did itself.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidings::app::{App, environments};
use tidings::config::ServerConfig;
use tidings::dispatch::Drained;
use tidings::domain::access::{ApiKey, ApiKeyText, Permission};
use tidings::domain::environment::Environment;
use tidings::domain::id::{ApiKeyId, EnvironmentId};
use tidings::domain::time::Clock;
use tidings::http::ThrottleSettings;
use tidings::http::server::{self, ServerSettings};
use tidings::runtime::{Foundation, Platform, PlatformSettings};
use tidings::{store, upkeep};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Builder, Client, Database, Receiver, database};

pub(crate) struct TestPlatform {
    pub(crate) clock: Clock,
    pub(crate) environment: EnvironmentId,
    client: Client,
    parts: Platform,
    http: actix_web::dev::ServerHandle,
    dispatch: Mutex<Option<(JoinHandle<Drained>, CancellationToken)>>,
    // last, so that everything else has let go of it
    pub(super) database: Arc<Database>,
}

impl TestPlatform {
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// The usual one.
    pub(crate) async fn usual() -> Self {
        Self::builder().start().await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the platform owns its dispatcher and stops it in `finish`"
    )]
    pub(super) async fn start(builder: Builder) -> Self {
        let Builder {
            config,
            clock,
            dispatching,
            database,
        } = builder;
        let database = match database {
            Some(database) => database,
            None => Arc::new(Database::make().await),
        };
        let foundation =
            Foundation::lay(&config, database.url(), &database::secrets(), &clock).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let settings = PlatformSettings {
            clock: clock.clone(),
            public_url: base.clone(),
            hand_over: dispatching,
        };
        let mut parts = Platform::build(&config, foundation.unwrap().store, settings).unwrap();
        let environment = match environments::list(&parts.app).await.unwrap().first() {
            Some(first) => first.id,
            None => new_environment(&parts, "default").await,
        };
        let http = serve(&parts.app, listener, &config.server);
        let dispatch = dispatching.then(|| {
            database.leases_may_stay();
            let stop = CancellationToken::new();
            let running = tokio::spawn(parts.dispatcher(&config).run(stop.clone()));
            (running, stop)
        });
        let key = new_key(&parts, environment, &[Permission::Admin]).await;
        Self {
            clock,
            environment,
            client: Client::new(base, Some(key)),
            parts,
            http,
            dispatch: Mutex::new(dispatch),
            database,
        }
    }

    /// Stops the dispatcher as a shutdown does: what was under way has ended and is settled.
    pub(crate) async fn finish(&self) -> Drained {
        let dispatch = self.dispatch.lock().unwrap().take();
        let (running, stop) = dispatch.expect("a dispatching platform");
        stop.cancel();
        running.await.unwrap()
    }

    /// The parts themselves, for tests below the API.
    pub(crate) fn parts(&self) -> &Platform {
        &self.parts
    }

    /// A caller who may do everything in the first environment.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A caller who may do this and nothing else.
    pub(crate) async fn client_who_may(&self, permissions: &[Permission]) -> Client {
        let key = new_key(&self.parts, self.environment, permissions).await;
        self.client.with_key(Some(&key))
    }

    /// An administrator of another environment.
    pub(crate) async fn foreign_client(&self) -> Client {
        let name = format!("foreign {}", rand::random::<u64>());
        let environment = new_environment(&self.parts, &name).await;
        let key = new_key(&self.parts, environment, &[Permission::Admin]).await;
        self.client.with_key(Some(&key))
    }

    /// For what runs in the background of a server, and is run by hand in a test.
    pub(crate) fn store(&self) -> &tidings::store::Store {
        &self.parts.store
    }

    /// For programs that are started beside it.
    pub(crate) fn database_url(&self) -> &str {
        self.database.url()
    }

    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        self.database.connect().await
    }

    /// Sends everything that is due and settles it; answers how many attempts that were.
    pub(crate) async fn dispatch_due(&self) -> usize {
        self.parts.courier.dispatch_due().await.unwrap()
    }

    /// Moves time on and sends what has become due.
    pub(crate) async fn dispatch_after(&self, wait: Duration) -> usize {
        self.clock.advance(wait);
        self.dispatch_due().await
    }

    /// Makes what replays may make now, as a server does of itself.
    pub(crate) async fn make_replays(&self) {
        let Platform { store, handoff, .. } = &self.parts;
        let made = upkeep::replays::make_due(store, &self.clock, handoff);
        made.await.unwrap();
    }

    /// Registers an endpoint for these patterns; answers it as it was shown.
    pub(crate) async fn create_endpoint<const N: usize>(
        &self,
        receiver: &Receiver,
        patterns: [&str; N],
    ) -> Value {
        self.register(json!({ "endpoint_url": receiver.url(), "events": patterns.to_vec() }))
            .await
    }

    pub(crate) async fn register(&self, endpoint: Value) -> Value {
        self.client
            .post("/webhook_endpoints", &endpoint)
            .await
            .expect(201)
    }

    /// Publishes an event; answers it as it was recorded.
    pub(crate) async fn publish(&self, event: &str, data: Value) -> Value {
        let body = json!({ "event": event, "data": data });
        self.client.post("/events", &body).await.expect(201)
    }

    /// The deliveries that a query finds, oldest first.
    pub(crate) async fn deliveries(&self, query: &str) -> Vec<Value> {
        let path = format!("/deliveries?order=asc&limit=100&{query}");
        let list = self.client.get(&path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    }

    /// The one delivery of an event.
    pub(crate) async fn delivery_of(&self, event: &Value) -> Value {
        let deliveries = self
            .deliveries(&format!("event_id={}", event["id"].as_str().unwrap()))
            .await;
        let [delivery] = &deliveries[..] else {
            panic!("one delivery expected: {deliveries:?}");
        };
        delivery.clone()
    }

    pub(crate) async fn attempts(&self, delivery: &Value) -> Vec<Value> {
        let path = format!("/deliveries/{}/attempts", delivery["id"].as_str().unwrap());
        let list = self.client.get(&path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    }

    /// What the attempts of an event's one delivery came to, such as `refused 500`.
    pub(crate) async fn outcomes(&self, event: &Value) -> Vec<String> {
        let attempts = self.attempts(&self.delivery_of(event).await).await;
        attempts
            .iter()
            .map(|attempt| match attempt["status"].as_u64() {
                Some(status) => format!("{} {status}", attempt["outcome"].as_str().unwrap()),
                None => attempt["outcome"].as_str().unwrap().to_owned(),
            })
            .collect()
    }
}

impl Drop for TestPlatform {
    fn drop(&mut self) {
        if let Some((running, stop)) = self.dispatch.lock().unwrap().take() {
            stop.cancel();
            running.abort();
        }
        // sent at once; nobody waits for its end
        drop(self.http.stop(false));
    }
}

/// Serves on a thread of its own.
fn serve(
    app: &App,
    listener: std::net::TcpListener,
    config: &ServerConfig,
) -> actix_web::dev::ServerHandle {
    let settings = ServerSettings {
        last_answers: CancellationToken::new(),
        listeners: vec![listener],
        workers: NonZeroUsize::MIN,
        body_bytes_max: config.body_bytes_max,
        throttle: ThrottleSettings {
            requests_per_second: config.rate_limit,
            wrong_keys_per_minute: config.wrong_keys_max,
        },
        trusted_proxies: config.trusted_proxies.clone(),
        shutdown_grace: Duration::from_secs(1),
    };
    let app = app.clone();
    let (started, handle) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let (server, _addresses) = server::serve(app, settings).unwrap();
            started.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    handle.recv().unwrap()
}

async fn new_environment(parts: &Platform, name: &str) -> EnvironmentId {
    let now = Clock::System.now();
    let environment = Environment {
        id: EnvironmentId::new(now),
        name: name.to_owned(),
        created_at: now,
    };
    let mut conn = parts.store.conn().await.unwrap();
    store::environments::insert(&mut conn, &environment)
        .await
        .unwrap();
    // as the app does: an environment has a key that signs from the first
    let vault = parts.store.vault();
    store::audit_signing_keys::ensure(&mut conn, vault, environment.id, now)
        .await
        .unwrap();
    environment.id
}

async fn new_key(
    parts: &Platform,
    environment: EnvironmentId,
    permissions: &[Permission],
) -> String {
    let now = Clock::System.now();
    let text = ApiKeyText::from_random(rand::random());
    let key = ApiKey {
        id: ApiKeyId::new(now),
        environment,
        name: "test".to_owned(),
        hint: text.hint(),
        permissions: permissions.to_vec(),
        created_at: now,
        revoked_at: None,
    };
    let mut conn = parts.store.conn().await.unwrap();
    store::api_keys::insert(&mut conn, &key, text.sha256())
        .await
        .unwrap();
    text.expose().to_owned()
}
