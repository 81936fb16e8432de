//! Sender: one POST to an address that a customer chose.
//!
//! Invariant: every end is an [`Attempt`]; no redirect is followed, no proxy asked, no byte decompressed; the whole
//! of it (name, connection, answer) fits in one timeout, and what is kept of the answer in one size. A 2xx counts
//! only when its answer came to its end or to the size limit: a receiver that dribbles its body until the time is up
//! has timed out, one that breaks it off has broken, whatever its status line said. Does not retry.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::failure;
use super::policy::{Policy, Refusal, Target};
use super::resolver::{self, AskSystem, GuardedResolver, LookupLimits};
use super::retry_after;
use crate::domain::attempt::{Answer, Attempt, Outcome};

/// Windows that bound what an HTTP/2 receiver can have in flight towards us; the answer that is kept is smaller.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// The client frames the request and owns its connections; a caller's word on either could split a request in two.
const OWN_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a [`Sender`] needs to know; [`SenderSettings::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    pub policy: Arc<Policy>,
    /// For the whole POST: name, connection, request and answer.
    pub total_timeout: Duration,
    /// For the name, the connection and its TLS handshake.
    pub connect_timeout: Duration,
    pub lookup_timeout: Duration,
    /// Threads that may be in the system resolver at once.
    pub lookups_max: usize,
    /// How long the addresses of a name are used again for new connections.
    pub lookup_ttl: Duration,
    /// What is kept of an answer's body, and again of its headers.
    pub answer_bytes_max: usize,
    /// Idle connections kept open per host; what runs at once beyond this opens a connection for every POST.
    pub idle_per_host_max: usize,
    pub idle_timeout: Duration,
}

impl SenderSettings {
    /// The defaults under `policy`.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            total_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            lookup_timeout: Duration::from_secs(4),
            lookups_max: 128,
            lookup_ttl: Duration::from_secs(5),
            answer_bytes_max: 16 * 1024,
            idle_per_host_max: 256,
            // shorter than the five seconds after which common servers hang up: a POST that meets that is broken
            idle_timeout: Duration::from_secs(4),
        }
    }
}

/// Why there is no sender; only at start.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
}

/// Where a POST goes.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// Parsed on every call.
    Url(&'a str),
    /// Parsed before; judged again on every call.
    Target(&'a Target),
}

/// One POST; the body is shared, not copied.
#[derive(Debug, Clone)]
pub struct Post<'a> {
    pub to: To<'a>,
    /// Sent as they are, except those that frame the request, which the sender sets itself.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Shortens the total timeout; it never lengthens it, for leases are cut to fit it.
    pub timeout: Option<Duration>,
}

/// The only HTTP client that reaches addresses a customer chose. One for the whole process: it owns the connections.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    policy: Arc<Policy>,
    total_timeout: Duration,
    connect_timeout: Duration,
    answer_bytes_max: usize,
}

impl Sender {
    /// Builds the client.
    ///
    /// Errors: `Client` when TLS cannot be set up.
    pub fn new(settings: SenderSettings) -> Result<Self, SenderError> {
        Self::asking(resolver::ask_system, settings)
    }

    /// A sender whose names are looked up by `ask_system`.
    pub(super) fn asking(
        ask_system: AskSystem,
        settings: SenderSettings,
    ) -> Result<Self, SenderError> {
        let client = client(ask_system, &settings).map_err(SenderError::Client)?;
        Ok(Self {
            client,
            policy: settings.policy,
            total_timeout: settings.total_timeout,
            connect_timeout: settings.connect_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    /// Makes one POST and tells what it came to.
    pub async fn post(&self, post: Post<'_>) -> Attempt {
        let started = Instant::now();
        let limit = post.timeout.map_or(self.total_timeout, |timeout| {
            timeout.min(self.total_timeout)
        });
        let mut answer = None;
        let outcome = match self.request(post) {
            Err(refusal) => failure::forbidden(refusal),
            Ok(request) => {
                match tokio::time::timeout(limit, self.exchange(request, &mut answer)).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(error)) => failure::outcome_of(&error, self.connect_timeout.min(limit)),
                    Err(_elapsed) => Outcome::TimedOut { after: limit },
                }
            }
        };
        Attempt {
            outcome,
            duration: started.elapsed(),
            answer,
        }
    }

    /// The client never asks the resolver about a literal address, so the URL is judged here, every time.
    fn request(&self, post: Post<'_>) -> Result<Request, Refusal> {
        let url = match post.to {
            To::Url(url) => self.policy.check_url(url)?.into_url(),
            To::Target(target) => {
                self.policy.check_target(target)?;
                target.url().clone()
            }
        };
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = post.headers;
        for name in &OWN_HEADERS {
            request.headers_mut().remove(name);
        }
        *request.body_mut() = Some(post.body.into());
        Ok(request)
    }

    /// Fills `answer` as it comes, so that a part of it survives when the time is up.
    ///
    /// A body that is read to its end leaves its connection to the next POST; dropping the response before that
    /// closes the connection, and with it whatever the receiver still wanted to say.
    async fn exchange(
        &self,
        request: Request,
        answer: &mut Option<Answer>,
    ) -> Result<Outcome, reqwest::Error> {
        let mut response = self.client.execute(request).await?;
        let outcome = outcome_of_status(&response);
        let headers = kept_headers(response.headers(), self.answer_bytes_max);
        let body = &mut answer
            .insert(Answer {
                headers,
                body: Vec::new(),
            })
            .body;
        while let Some(chunk) = response.chunk().await? {
            let room = self.answer_bytes_max.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() >= self.answer_bytes_max {
                break;
            }
        }
        Ok(outcome)
    }
}

/// Builds the client; on a machine without root certificates, one that reaches no https address.
fn client(ask_system: AskSystem, settings: &SenderSettings) -> Result<Client, reqwest::Error> {
    builder(ask_system, settings).build().or_else(|error| {
        tracing::warn!(error = %error, "no root certificates on this machine: https deliveries will fail");
        builder(ask_system, settings).tls_certs_only([]).build()
    })
}

fn builder(ask_system: AskSystem, settings: &SenderSettings) -> reqwest::ClientBuilder {
    // the client panics without a process-wide provider; losing the race against another installer is as good
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let limits = LookupLimits {
        lookups_max: settings.lookups_max,
        timeout: settings.lookup_timeout,
        ttl: settings.lookup_ttl,
    };
    let resolver = GuardedResolver::new(Arc::clone(&settings.policy), limits, ask_system);
    #[expect(clippy::disallowed_methods, reason = "this is the outbound door")]
    let builder = Client::builder();
    builder
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .https_only(settings.policy.https_only())
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(settings.idle_per_host_max)
        .pool_idle_timeout(settings.idle_timeout)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
}

fn outcome_of_status(response: &Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Accepted {
            status: status.as_u16(),
        };
    }
    Outcome::Refused {
        status: status.as_u16(),
        retry_after: asked_delay(status, response.headers()),
    }
}

/// On a redirect the header speaks of the redirect, which is not followed.
fn asked_delay(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status.is_client_error() || status.is_server_error() {
        retry_after::parse(headers)
    } else {
        None
    }
}

fn kept_headers(headers: &HeaderMap, bytes_max: usize) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len());
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len();
        if bytes > bytes_max {
            break;
        }
        kept.push((
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        ));
    }
    kept
}
