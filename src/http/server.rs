//! The server: every route, the limits of a connection, and the listeners.
//!
//! Invariant: nothing about a connection is unbounded: heads, bodies, waits between requests and the goodbye
//! all have a limit. The server installs no signal handlers and binds no address: the runtime hands it bound
//! listeners and stops it.
//!
//! Put together by hand where `HttpServer` would do it, because that one cannot bound the head of a second
//! request (see `connection`).

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App as ActixApp;
use actix_web::Error;
use actix_web::dev::{AppConfig, Server};
use actix_web::web::{self, Data, ServiceConfig};
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::api::{Description, openapi, routes};
use super::connection::{Bounded, STALL_MAX};
use super::docs;
use super::extract::{BodyLimits, TrustedProxies};
use super::middleware::{observe, refuse_path};
use super::portal;
use super::throttle::{Throttle, ThrottleSettings};
use super::told::Told;
use crate::app::App;

/// How long the head of a connection's first request may take.
const HEAD_READ_MAX: Duration = Duration::from_secs(15);
/// How long a closing connection may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// What the server is told.
#[derive(Debug)]
pub struct ServerSettings {
    /// Bound already, so that port 0 is known before the first request.
    pub listeners: Vec<TcpListener>,
    pub workers: NonZeroUsize,
    /// Bytes of one request body.
    pub body_bytes_max: usize,
    pub throttle: ThrottleSettings,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests may go on after the server is told to stop.
    pub shutdown_grace: Duration,
    /// Once cancelled, every answer is the last on its connection.
    pub last_answers: CancellationToken,
}

/// Starts the workers; the server runs while the returned future is polled.
///
/// Errors: a listener whose address cannot be read or that cannot be used.
pub fn serve(app: App, settings: ServerSettings) -> io::Result<(Server, Vec<SocketAddr>)> {
    let shared = Shared {
        app: Data::new(app),
        limits: BodyLimits {
            bytes_max: settings.body_bytes_max,
        },
        throttle: Data::new(Throttle::new(settings.throttle)),
        proxies: Data::new(TrustedProxies(settings.trusted_proxies)),
    };
    let mut addresses = Vec::with_capacity(settings.listeners.len());
    let mut server = Server::build()
        .workers(settings.workers.get())
        .shutdown_timeout(settings.shutdown_grace.as_secs())
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let last_answers = settings.last_answers;
    for listener in settings.listeners {
        addresses.push(listener.local_addr()?);
        let (shared, stopping, last_answers) =
            (shared.clone(), stopping.clone(), last_answers.clone());
        server = server.listen("http", listener, move || {
            let (clock, stopping) = (shared.app.clock().clone(), stopping.clone());
            let last_answers = last_answers.clone();
            let routes = ActixApp::new()
                .configure(configure(shared.clone()))
                .default_service(web::to(refuse_path))
                .wrap_fn(move |request, service| observe(&clock, &last_answers, request, service))
                .into_factory()
                .map_err(|fault: Error| fault.error_response());
            let http = HttpService::build()
                // Idle connections are closed when the server stops, instead of being waited for.
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(STALL_MAX)
                .client_request_timeout(HEAD_READ_MAX)
                .client_disconnect_timeout(GOODBYE_MAX)
                .tcp_nodelay(true)
                .h1(map_config(routes, |()| AppConfig::default()));
            let clock = shared.app.clock().clone();
            fn_service(move |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                let stream = Told::new(Bounded::new(stream), clock.clone());
                ready(Ok::<_, DispatchError>((stream, peer)))
            })
            .and_then(http)
        })?;
    }
    Ok((server.run(), addresses))
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    app: Data<App>,
    limits: BodyLimits,
    throttle: Data<Throttle>,
    proxies: Data<TrustedProxies>,
}

/// Every route, and what the handlers share.
fn configure(shared: Shared) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(shared.app)
            .app_data(shared.limits)
            .app_data(shared.throttle)
            .app_data(shared.proxies)
            .app_data(Description(openapi::text()));
        config
            .configure(routes::configure)
            .configure(docs::configure)
            .configure(portal::configure);
    }
}
