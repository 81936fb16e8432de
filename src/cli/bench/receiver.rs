//! The receiver: takes deliveries, notes when they came, and checks the signatures of some.
//!
//! Invariant: answers 200 to everything, at once; an event and endpoint are known by body and path. A thread of
//! its own, so that what it does is not slowed by the producers. Every 64th event's signatures are checked, both
//! families: enough to find a server that signs wrongly, too little to cost what it measures.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ledger::Ledger;
use super::payload::number_in;
use crate::domain::signature::{SigningSecret, StandardHeaders, verify_contract, verify_standard};
use crate::domain::time::Clock;

const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Of how many events one has its signatures checked.
const CHECKED_EVERY: u32 = 64;
/// How old a signature may be: more than an attempt takes.
const TOLERANCE: Duration = Duration::from_secs(180);
/// How long the listener rests when it cannot accept, as when the process has too many files open.
const REST: Duration = Duration::from_millis(50);

/// A running receiver; it stops when it is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Receiver {
    /// Starts to listen. What arrives below `/RUN/` goes into the ledger.
    pub(super) fn start(
        listen: SocketAddr,
        run: &str,
        secret: &SigningSecret,
        ledger: Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(listen).with_context(|| format!("cannot receive on {listen}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let (stopped, prefix, secret) = (stop.clone(), format!("/{run}/"), secret.clone());
        std::thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || {
                let desk = Rc::new(Desk {
                    prefix,
                    secret,
                    ledger,
                    clock: Clock::System,
                });
                let accepting = stopped.run_until_cancelled(accept(listener, desk));
                LocalSet::new().block_on(&runtime, accepting);
            })?;
        Ok(Self {
            address,
            _stop: stop.drop_guard(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The path of an endpoint's deliveries.
pub(super) fn path(run: &str, endpoint: usize) -> String {
    format!("/{run}/{endpoint}")
}

/// Serves whoever connects. Never ends.
async fn accept(listener: TcpListener, desk: Rc<Desk>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("tidings: nothing can be received: {error}");
            return;
        }
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(REST).await;
            continue;
        };
        // An answer is one small packet; without this it is merely later.
        let _slower = stream.set_nodelay(true);
        let desk = desk.clone();
        let serve = service_fn(move |request| {
            let desk = desk.clone();
            async move { Ok::<_, Infallible>(desk.take(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), serve);
        // A connection that breaks costs a delivery, which is sent again and counted.
        tokio::task::spawn_local(connection);
    }
}

/// Where deliveries are taken in.
struct Desk {
    prefix: String,
    secret: SigningSecret,
    ledger: Arc<Ledger>,
    clock: Clock,
}

impl Desk {
    async fn take(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let (head, body) = request.into_parts();
        let endpoint = head
            .uri
            .path()
            .strip_prefix(&self.prefix)
            .and_then(|rest| rest.parse().ok());
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes);
        match (endpoint, body.ok()) {
            (Some(endpoint), Some(body)) => self.note(endpoint, &head.headers, &body),
            _ => self.ledger.counts.stranger(),
        }
        Response::new(Empty::new())
    }

    fn note(&self, endpoint: usize, headers: &HeaderMap, body: &[u8]) {
        let Some(number) = number_in(body) else {
            return self.ledger.counts.stranger();
        };
        self.ledger.receive(endpoint, number);
        if number % CHECKED_EVERY != 0 {
            return;
        }
        let counts = &self.ledger.counts;
        counts.signatures_checked.fetch_add(1, Ordering::Relaxed);
        if !self.is_signed(headers, body) {
            counts.signatures_wrong.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether both signatures are there and hold.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let now = self.clock.now();
        let standard = text("webhook-id")
            .zip(text("webhook-timestamp"))
            .zip(text("webhook-signature"))
            .is_some_and(|((id, timestamp), signature)| {
                let headers = StandardHeaders {
                    id,
                    timestamp,
                    signature,
                };
                verify_standard(&self.secret, headers, body, now.timestamp(), TOLERANCE).is_ok()
            });
        let contract = text("workos-signature").is_some_and(|header| {
            let now_ms = now.timestamp_millis();
            verify_contract(&self.secret, header, body, now_ms, TOLERANCE).is_ok()
        });
        standard && contract
    }
}
