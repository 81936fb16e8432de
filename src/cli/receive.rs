//! `tidings receive`: a receiver for trying things out; prints and verifies what arrives.
//!
//! Invariant: one delivery is printed as one piece, before it is answered; bodies are bounded. No production
//! receiver: it answers as it is told, not by what it verified.

mod delivery;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::domain::signature::SigningSecret;
use crate::domain::time::Clock;
use delivery::Arrival;

pub(super) const EXAMPLES: &str = "\
Let the server deliver to this machine with --egress-allow 127.0.0.0/8, and
register http://127.0.0.1:9000 as an endpoint; the answer holds the secret.

Examples:
  tidings receive --secret whsec_…
  tidings receive --fail-first 2               see two retries of every event
  tidings receive --answer 410                 see the endpoint disabled
  tidings receive --delay 20s                  see attempts time out
  tidings receive --json | jq .body.data";

const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Deliveries whose attempts are counted; beyond, counting starts anew.
const COUNTED_MAX: usize = 10_000;

#[derive(Args)]
pub(super) struct Receive {
    // The name of the server's flag too: here it is the receiver's.
    /// Receive on this address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Verify signatures with this secret; repeat it during a rotation
    #[arg(long, value_name = "whsec_…")]
    secret: Vec<SigningSecret>,
    /// Answer everything with this status
    #[arg(long, value_name = "STATUS", default_value = "200", value_parser = status, conflicts_with = "fail_first")]
    answer: StatusCode,
    /// Answer the first N attempts of each event with 500, later ones with 200
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u32,
    /// Wait this long before answering, such as 2s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    delay: Duration,
    /// Print each delivery as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What the receiver does and has seen.
struct Receiver {
    command: Receive,
    clock: Clock,
    /// Attempts by `webhook-id`.
    seen: Mutex<HashMap<String, u32>>,
}

pub(super) async fn run(command: Receive) -> anyhow::Result<()> {
    let (listen, checked) = (command.listen, !command.secret.is_empty());
    let receiver = Data::new(Receiver {
        command,
        clock: Clock::System,
        seen: Mutex::default(),
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(receiver.clone())
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .default_service(web::to(receive))
    });
    // One worker: what arrives is printed in the order of arrival.
    let server = server
        .workers(1)
        .shutdown_timeout(1)
        .bind(listen)
        .with_context(|| format!("cannot listen on {listen}"))?;
    for address in server.addrs() {
        eprintln!(
            "receiving on http://{address}{}; Ctrl-C ends",
            if checked {
                ""
            } else {
                ", without verifying (no --secret)"
            }
        );
    }
    server.run().await.context("the receiver failed")
}

async fn receive(receiver: Data<Receiver>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let arrival = Arrival::read(
        &request,
        &body,
        &receiver.command.secret,
        receiver.clock.now(),
    );
    let attempt = receiver.count(arrival.id());
    let answer = receiver.command.answer_to(attempt);
    let text = if receiver.command.json {
        arrival.json(attempt, answer)
    } else {
        arrival.text(attempt, answer)
    };
    if let Err(error) = output::line(&text) {
        eprintln!("tidings: {error}");
    }
    tokio::time::sleep(receiver.command.delay).await;
    HttpResponse::build(answer).finish()
}

impl Receiver {
    /// Which attempt of the delivery this is, as far as this process has seen.
    fn count(&self, id: Option<&str>) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= COUNTED_MAX {
            seen.clear();
        }
        let attempts = seen.entry(id.unwrap_or_default().to_owned()).or_default();
        *attempts = attempts.saturating_add(1);
        *attempts
    }
}

impl Receive {
    fn answer_to(&self, attempt: u32) -> StatusCode {
        if attempt <= self.fail_first {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            self.answer
        }
    }
}

fn status(text: &str) -> Result<StatusCode, String> {
    let status = text
        .parse()
        .ok()
        .filter(|status: &StatusCode| (200..600).contains(&status.as_u16()));
    status.ok_or_else(|| "must be a status from 200 to 599".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(fail_first: u32) -> Receiver {
        let command = Receive {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret: Vec::new(),
            answer: StatusCode::OK,
            fail_first,
            delay: Duration::ZERO,
            json: false,
        };
        Receiver {
            command,
            clock: Clock::System,
            seen: Mutex::default(),
        }
    }

    #[test]
    fn the_first_attempts_of_each_event_fail() {
        let receiver = receiver(2);
        let answers = ["a", "a", "b", "a", "b", "b"].map(|id| {
            receiver
                .command
                .answer_to(receiver.count(Some(id)))
                .as_u16()
        });

        assert_eq!(answers, [500, 500, 500, 200, 500, 200]);
    }

    #[test]
    fn what_was_seen_is_bounded() {
        let receiver = receiver(0);
        for number in 0..=COUNTED_MAX {
            receiver.count(Some(&number.to_string()));
        }

        assert!(receiver.seen.lock().unwrap().len() <= COUNTED_MAX);
    }

    #[test]
    fn an_answer_is_a_final_status() {
        assert_eq!(status("503"), Ok(StatusCode::SERVICE_UNAVAILABLE));
        for bad in ["100", "600", "ok", ""] {
            assert!(status(bad).is_err(), "{bad}");
        }
    }
}
