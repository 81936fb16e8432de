//! What stands around every request: its id, the access log, and the door to a handler.
//!
//! Invariant: every answer carries `X-Request-ID`, made here and never taken from the caller; a panic is
//! answered as an internal error; what a caller still sends when it has been answered is read up to a bound, so
//! that the answer is not lost in a reset. The log names the route, never a query, a header or a body.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::{Error, Handler, HttpMessage as _, HttpRequest, HttpResponse, Route, web};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{Level, debug, info};

use super::extract::Arguments;
use super::problem::{Code, Problem};
use super::throttle::Standing;
use crate::domain::id::RequestId;
use crate::domain::time::Clock;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is still read of a body that nobody wants, so that the caller gets to its answer.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Gives a request its id, passes it on, and logs how it went.
pub(super) fn observe<S, B>(
    clock: &Clock,
    last_answers: &CancellationToken,
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let started = Instant::now();
    let id = RequestId::new(clock.now());
    request.extensions_mut().insert(id);
    let answered = service.call(request);
    let last_answers = last_answers.clone();
    async move {
        let mut response = answered.await?;
        // An id is ASCII, so there is always a value.
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(id.to_string())) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let standing = response.request().extensions().get::<Standing>().copied();
        if let Some(standing) = standing {
            tell(standing, response.headers_mut());
        }
        if last_answers.is_cancelled() {
            // The next request would meet a closing connection; told so, its sender makes another one.
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        log(id, &response, started.elapsed());
        Ok(response)
    }
}

/// How the caller's key stands. Source: draft-ietf-httpapi-ratelimit-headers-05.
fn tell(standing: Standing, headers: &mut HeaderMap) {
    let reset = standing.reset.as_millis().div_ceil(1000);
    let [limit, remaining, reset] = [
        standing.limit.into(),
        standing.remaining.into(),
        u64::try_from(reset).unwrap_or(u64::MAX),
    ]
    .map(HeaderValue::from);
    headers.insert(LIMIT, limit);
    headers.insert(REMAINING, remaining);
    headers.insert(RESET, reset);
}

fn log<B>(id: RequestId, response: &ServiceResponse<B>, duration: Duration) {
    let failed = response.status().is_server_error();
    if !failed && !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let request = response.request();
    let (method, status) = (request.method(), response.status().as_u16());
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if failed {
        info!(request.id = %id, %method, route, status, duration_ms, "request failed");
    } else {
        debug!(request.id = %id, %method, route, status, duration_ms, "request answered");
    }
}

/// Mounts a handler: arguments in order, one kind of failure, no panic beyond this point.
pub(super) fn door<F, Args>(handler: F) -> Route
where
    F: Handler<Args, Output = Result<HttpResponse, Problem>>,
    Args: Arguments + 'static,
{
    web::to(move |request: HttpRequest, payload: web::Payload| {
        let handler = handler.clone();
        async move {
            let mut payload = payload.into_inner();
            let called = AssertUnwindSafe(call(&handler, &request, &mut payload))
                .catch_unwind()
                .await;
            let answer = called.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            finish(answer, &request, &mut payload).await
        }
    })
}

async fn call<F, Args>(
    handler: &F,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<HttpResponse, Problem>
where
    F: Handler<Args, Output = Result<HttpResponse, Problem>>,
    Args: Arguments,
{
    let arguments = Args::extract(request, payload).await?;
    handler.call(arguments).await
}

async fn finish(
    answer: Result<HttpResponse, Problem>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> HttpResponse {
    if !answer.as_ref().is_err_and(Problem::ends_connection) {
        drain(payload).await;
    }
    answer.unwrap_or_else(|problem| problem.respond(request))
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format!(
        "a handler panicked: {}",
        text.unwrap_or("without a word")
    ))
}

/// Reads what is left of a body; at once when there is none.
async fn drain(payload: &mut Payload) {
    if matches!(payload, Payload::None) {
        return;
    }
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = payload.next().await {
            bytes += chunk.len();
            if bytes > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    // Whoever is slower than that loses the answer, and has earned it.
    let _drained = tokio::time::timeout(DRAIN_TIME_MAX, read).await;
}

/// Answers a path that does not exist.
pub(super) async fn refuse_path(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let message = format!(
        "There is nothing at {} {}.",
        request.method(),
        request.path()
    );
    finish(
        Err(Problem::new(Code::NotFound, message)),
        &request,
        &mut payload.into_inner(),
    )
    .await
}

/// Answers a method that a path does not take; `allowed` are those that it does.
pub(super) fn refuse_method(allowed: String) -> Route {
    let allowed = HeaderValue::from_maybe_shared(bytes::Bytes::from(allowed)).ok();
    web::to(
        move |method: Method, request: HttpRequest, payload: web::Payload| {
            let allowed = allowed.clone();
            async move {
                let message = format!("{} does not take {method}.", request.path());
                let problem = Problem::new(Code::MethodNotAllowed, message);
                let mut response = finish(Err(problem), &request, &mut payload.into_inner()).await;
                if let Some(allowed) = allowed {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
        },
    )
}
