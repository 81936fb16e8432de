//! `serve`: from the configuration to a running server, and back.
//!
//! Stops in this order: the listener and the requests under way, the recorder, dispatch with its grace period,
//! upkeep, presence, and last the database, if it is our own.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::banner::Banner;
use super::foundation::{Foundation, Ground};
use super::platform::{self, Platform, PlatformSettings};
use super::presence::Presence;
use crate::app::{App, AppError, api_keys, environments};
use crate::config::{Config, SetupError};
use crate::dispatch::Drained;
use crate::domain::access::{ApiKeyText, Permission};
use crate::domain::audit::Actor;
use crate::domain::environment::Environment;
use crate::domain::time::Clock;
use crate::http::ThrottleSettings;
use crate::http::server::{self, ServerSettings};
use crate::store::{Store, installation};
use crate::{telemetry, upkeep};

/// How long requests may go on after the server is told to stop.
const REQUESTS_GRACE: Duration = Duration::from_secs(5);
/// How long connections that are open may bring one more request, before those that are idle are closed.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// The name of the environment that the first start makes.
const FIRST_ENVIRONMENT: &str = "default";

/// Runs the platform until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::start(&config.log)?;
    platform::install_crypto();
    let mut stop_signals = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    // The listener first: an address in use is found out before a database is started.
    let listener = TcpListener::bind(config.server.listen)
        .with_context(|| format!("listening on {}", config.server.listen))?;
    let ground = Ground::for_server(&config).await?;
    let ran = async {
        let running = Running::start(&config, &ground, listener).await?;
        tokio::select! {
            _ = stop_signals.0.recv() => {}
            _ = stop_signals.1.recv() => {}
            () = ground.keep() => {}
        }
        tracing::info!("stopping");
        running.stop().await
    }
    .await;
    let left = ground.leave().await;
    let Drained {
        finished,
        released,
        aborted,
    } = ran?;
    left?;
    tracing::info!(finished, released, aborted, "stopped");
    Ok(())
}

/// Everything that runs.
struct Running {
    platform: Platform,
    http: actix_web::dev::ServerHandle,
    http_task: JoinHandle<std::io::Result<()>>,
    /// The same socket as the server's own.
    listener: TcpListener,
    last_answers: CancellationToken,
    dispatch: JoinHandle<Drained>,
    dispatch_stop: CancellationToken,
    background: Vec<JoinHandle<()>>,
    background_stop: CancellationToken,
}

impl Running {
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime owns these tasks and waits for them in `stop`"
    )]
    async fn start(
        config: &Config,
        ground: &Ground,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        let clock = Clock::System;
        let bound = listener.local_addr()?;
        let url = config.server.public_url(bound);
        let foundation = Foundation::lay(config, &ground.url, &ground.secrets, &clock).await?;
        for name in &foundation.applied {
            tracing::info!(migration = name, "migration applied");
        }
        let settings = PlatformSettings {
            clock: clock.clone(),
            public_url: url.clone(),
            hand_over: true,
        };
        let mut platform = Platform::build(config, foundation.store.clone(), settings)?;
        // First of all: what is recorded before its week is there keeps the week from being made.
        upkeep::create_partitions(&platform.store, &clock).await?;
        let first_key = first_start(config, &platform.app).await?;
        let keep = platform::upkeep_settings(config);
        upkeep::checkpoints::create_keys(&platform.store, &clock).await?;
        let presence = Presence::begin(
            platform.store.clone(),
            clock.clone(),
            platform.handoff.clone(),
        )
        .await?;
        // Made known first: a master key that is replaced from now on waits for this server to know it.
        check_master_key(&platform.store).await?;

        let (dispatch_stop, background_stop) = (CancellationToken::new(), CancellationToken::new());
        let dispatch = tokio::spawn(platform.dispatcher(config).run(dispatch_stop.clone()));
        let (store, stop) = (&platform.store.for_upkeep(), &background_stop);
        let exports = upkeep::exports::run(store.clone(), clock.clone(), stop.clone());
        let checkpoints = upkeep::checkpoints::run(store.clone(), clock.clone(), stop.clone());
        let redactions = upkeep::redactions::run(store.clone(), clock.clone(), stop.clone());
        let (handoff, waiting) = (platform.handoff.clone(), stop.clone());
        let replays = upkeep::replays::run(store.clone(), clock.clone(), handoff, waiting);
        let background = vec![
            tokio::spawn(presence.run(stop.clone())),
            tokio::spawn(exports),
            tokio::spawn(checkpoints),
            tokio::spawn(redactions),
            tokio::spawn(replays),
            tokio::spawn(upkeep::run(store.clone(), clock, keep, stop.clone())),
        ];
        let last_answers = CancellationToken::new();
        let settings = server_settings(config, listener.try_clone()?, &last_answers);
        let (server, _addresses) = server::serve(platform.app.clone(), settings)?;
        let http = server.handle();
        let http_task = tokio::spawn(server);
        let banner = Banner {
            config,
            url: &url,
            database: &ground.described,
            first_key: first_key
                .as_ref()
                .map(|(environment, key)| (environment.name.as_str(), key)),
        };
        println!("{}", banner.render());
        tracing::info!(address = %bound, "serving");
        Ok(Self {
            platform,
            http,
            http_task,
            listener,
            last_answers,
            dispatch,
            dispatch_stop,
            background,
            background_stop,
        })
    }

    async fn stop(self) -> anyhow::Result<Drained> {
        // Nobody new first, while whoever is connected is still served: what is on its way to a connection that
        // closes would be lost without an answer.
        self.http.pause().await;
        refuse_connections(self.listener);
        self.last_answers.cancel();
        tokio::time::sleep(LAST_REQUESTS).await;
        self.http.stop(true).await;
        self.http_task.await??;
        self.platform.recorder.finish().await;
        self.dispatch_stop.cancel();
        let drained = self.dispatch.await?;
        self.background_stop.cancel();
        for task in self.background {
            task.await?;
        }
        Ok(drained)
    }
}

/// Whether what is sealed now is sealed under a master key that this server has.
async fn check_master_key(store: &Store) -> anyhow::Result<()> {
    let mut conn = store.conn().await?;
    let sealer = installation::sealer(&mut conn, store.vault()).await?;
    let message = "the master key was replaced while this server started";
    sealer
        .map(drop)
        .ok_or_else(|| SetupError::new(message).into())
}

fn server_settings(
    config: &Config,
    listener: TcpListener,
    last_answers: &CancellationToken,
) -> ServerSettings {
    let server = &config.server;
    ServerSettings {
        listeners: vec![listener],
        workers: NonZeroUsize::new(server.worker_count()).unwrap_or(NonZeroUsize::MIN),
        body_bytes_max: server.body_bytes_max,
        throttle: ThrottleSettings {
            requests_per_second: server.rate_limit,
            wrong_keys_per_minute: server.wrong_keys_max,
        },
        trusted_proxies: server.trusted_proxies.clone(),
        shutdown_grace: REQUESTS_GRACE,
        last_answers: last_answers.clone(),
    }
}

/// Ends listening on the socket, whoever else holds it: closing one of its handles would let connections queue
/// up that nobody takes.
fn refuse_connections(listener: TcpListener) {
    let socket = TcpStream::from(OwnedFd::from(listener));
    if let Err(error) = socket.shutdown(Shutdown::Both) {
        tracing::debug!(error = %error, "connections are not refused yet, but will be when the server has stopped");
    }
}

/// Makes the first environment and a key for it; adopts the key that the operator has chosen.
async fn first_start(
    config: &Config,
    app: &App,
) -> anyhow::Result<Option<(Environment, ApiKeyText)>> {
    let actor = Actor::platform("start");
    let existing = environments::list(app).await?;
    let chosen = config.bootstrap.api_key.as_ref();
    if let Some(first) = existing.first() {
        if let Some(text) = chosen {
            api_keys::adopt(app, first.id, "bootstrap", text, &actor).await?;
        }
        return Ok(None);
    }
    let environment = match environments::create(app, FIRST_ENVIRONMENT, &actor).await {
        Ok(environment) => environment,
        // Another server that started at the same moment was first, and has printed the key.
        Err(AppError::Exists { .. }) => return Box::pin(first_start(config, app)).await,
        Err(error) => return Err(error.into()),
    };
    let text = match chosen {
        Some(text) => {
            api_keys::adopt(app, environment.id, "bootstrap", text, &actor).await?;
            text.clone()
        }
        None => {
            let may = vec![Permission::Admin];
            let created = api_keys::create(app, environment.id, "first", may, &actor).await?;
            created.1
        }
    };
    Ok(Some((environment, text)))
}
