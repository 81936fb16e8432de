//! The receiver of the demo's endpoints: one path for each, each with manners of its own.
//!
//! Invariant: a manner depends on the path and on which attempt of a delivery it is, so the story is the same every
//! time. Verifies nothing; bodies are bounded.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Context as _;
use serde_json::json;

use super::story::Manner;

const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long the slower receiver thinks.
const THOUGHT: Duration = Duration::from_millis(180);

/// Listens; serves while `run` is waited for.
pub(super) struct Receiver {
    server: Server,
    address: SocketAddr,
}

impl Receiver {
    pub(super) fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        let server = HttpServer::new(|| {
            App::new()
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .default_service(web::to(receive))
        });
        let server = server
            .workers(1)
            .shutdown_timeout(1)
            .bind(listen)
            .with_context(|| format!("cannot receive on {listen}; try another --receive-on"))?;
        let address = server.addrs().first().copied().unwrap_or(listen);
        Ok(Self {
            server: server.run(),
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a signal comes.
    pub(super) async fn run(self) -> std::io::Result<()> {
        self.server.await
    }
}

async fn receive(request: HttpRequest, _body: Bytes) -> HttpResponse {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let attempt = header("tidings-attempt")
        .and_then(|number| number.parse().ok())
        .unwrap_or(1);
    let id = header("webhook-id").unwrap_or_default();
    let manner = Manner::at(request.path());
    if manner == Some(Manner::Slow) {
        tokio::time::sleep(THOUGHT).await;
    }
    answer(manner, attempt, id)
}

fn answer(manner: Option<Manner>, attempt: u32, id: &str) -> HttpResponse {
    match manner {
        Some(Manner::Flaky) if is_refused(attempt, id) => HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "1"))
            .json(json!({ "error": "mail_queue_full", "message": "Too many mails wait. Come back later." })),
        Some(Manner::Gone) => HttpResponse::Gone()
            .json(json!({ "error": "gone", "message": "This integration was removed." })),
        Some(Manner::Well | Manner::Slow | Manner::Flaky) => {
            HttpResponse::Ok().json(json!({ "received": true, "id": id }))
        }
        Some(Manner::Dead) | None => HttpResponse::NotFound().finish(),
    }
}

/// Every second delivery is refused once, and every eighth twice: enough to be seen, too little to open a breaker.
fn is_refused(attempt: u32, id: &str) -> bool {
    let last = id.bytes().last().unwrap_or_default();
    match attempt {
        1 => last.is_multiple_of(2),
        2 => last.is_multiple_of(8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_manner() {
        let status =
            |path: &str, attempt, id: &str| answer(Manner::at(path), attempt, id).status().as_u16();

        assert_eq!(status("/billing", 1, "event_P"), 200);
        assert_eq!(status("/warehouse", 1, "event_P"), 200);
        assert_eq!(status("/partner", 1, "event_P"), 410);
        assert_eq!(status("/elsewhere", 1, "event_P"), 404);
        let flaky = [1, 2, 3].map(|attempt| status("/mail", attempt, "event_P"));
        assert_eq!(flaky, [503, 503, 200]);
        assert_eq!(status("/mail", 1, "event_Q"), 200);
    }
}
