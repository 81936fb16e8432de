//! Publishers that never give up: each event has a key and is sent again until it was accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::server::{client, id};
use super::{KEY, Server, looks, seconds};

/// What the publishers have seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// The ids that each idempotency key was answered with.
    pub(crate) accepted: HashMap<String, Vec<String>>,
    /// Answers that were neither 201 nor a refusal for the moment (503, 429).
    pub(crate) unexpected: Vec<String>,
    pub(crate) unavailable: usize,
    /// How long accepted requests took.
    pub(crate) took: Vec<Duration>,
    /// 503 without `Retry-After`.
    pub(crate) without_retry_after: usize,
    /// Requests that were cut off after they had been sent.
    pub(crate) cut_off: Vec<String>,
    /// Requests that found nobody listening.
    pub(crate) refused: usize,
}

pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    publishers: JoinSet<()>,
    stop: CancellationToken,
}

impl Load {
    pub(crate) fn on(server: &Server, publishers: usize) -> Self {
        let event = |key: &str| json!({ "event": "load.made", "data": { "key": key } });
        Self::posting(server, publishers, "/events", event)
    }

    /// Posts what `body` makes of each key; the answers have ids.
    pub(crate) fn posting(
        server: &Server,
        publishers: usize,
        path: &str,
        body: impl Fn(&str) -> Value + Send + Sync + 'static,
    ) -> Self {
        Self::begin(server, publishers, path, Naming::ByKey, body)
    }

    /// Posts without idempotency keys: what is recorded twice is there twice.
    pub(crate) fn without_keys(server: &Server, publishers: usize) -> Self {
        let event = |key: &str| json!({ "event": "load.made", "data": { "key": key } });
        Self::begin(server, publishers, "/events", Naming::None, event)
    }

    fn begin(
        server: &Server,
        publishers: usize,
        path: &str,
        naming: Naming,
        body: impl Fn(&str) -> Value + Send + Sync + 'static,
    ) -> Self {
        let body: Arc<dyn Fn(&str) -> Value + Send + Sync> = Arc::new(body);
        let (seen, stop) = (
            Arc::new(Mutex::new(Seen::default())),
            CancellationToken::new(),
        );
        let mut tasks = JoinSet::new();
        for number in 0..publishers {
            let publisher = Publisher {
                client: client(),
                url: server.url(path),
                body: body.clone(),
                naming,
                seen: seen.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(publisher.run(number));
        }
        Self {
            seen,
            publishers: tasks,
            stop,
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.seen.lock().unwrap().accepted.len()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Lets every publisher finish its event, and tells what they have seen.
    pub(crate) async fn finish(self) -> Seen {
        self.stop.cancel();
        let seen = self.seen.clone();
        let ended = tokio::time::timeout(seconds(60), self.publishers.join_all()).await;
        let seen = seen.lock().unwrap().clone();
        assert!(ended.is_ok(), "publishers are stuck: {seen:?}");
        seen
    }

    /// Ends the publishers where they are, and tells what they have seen.
    pub(crate) fn abandon(self) -> Seen {
        self.seen()
    }
}

/// Whether a request says which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    ByKey,
    None,
}

struct Publisher {
    client: Client,
    url: String,
    naming: Naming,
    body: Arc<dyn Fn(&str) -> Value + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
}

impl Publisher {
    async fn run(self, publisher: usize) {
        let (mut number, mut looks) = (0_u64, looks());
        while !self.stop.is_cancelled() {
            number += 1;
            let key = format!("publisher-{publisher}-{number}");
            let body = (self.body)(&key);
            while !self.publish(&key, &body).await {
                looks.tick().await;
            }
        }
    }

    /// One request; answers whether its event is accepted.
    async fn publish(&self, key: &str, body: &Value) -> bool {
        let began = Instant::now();
        let request = self.client.post(&self.url).bearer_auth(KEY);
        let request = match self.naming {
            Naming::ByKey => request.header("Idempotency-Key", key),
            Naming::None => request,
        };
        let answer = request.json(body).send().await;
        let read = match answer {
            Ok(answer) => {
                let (status, retry) = (
                    answer.status(),
                    answer.headers().contains_key("retry-after"),
                );
                answer.text().await.map(|text| (status, retry, text))
            }
            Err(error) => Err(error),
        };
        let mut seen = self.seen.lock().unwrap();
        match read {
            Ok((StatusCode::CREATED, _, text)) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                seen.accepted
                    .entry(key.to_owned())
                    .or_default()
                    .extend(ids(&event));
                seen.took.push(began.elapsed());
                return true;
            }
            Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, retry, _)) => {
                seen.unavailable += 1;
                seen.without_retry_after += usize::from(!retry);
            }
            Ok((status, _, text)) => seen.unexpected.push(format!("{status} {text}")),
            Err(error) if error.is_connect() => seen.refused += 1,
            Err(error) => seen.cut_off.push(format!("{error:?}")),
        }
        false
    }
}

/// The ids in an answer: of an object, or of a list of them.
fn ids(answer: &Value) -> Vec<String> {
    match answer["data"].as_array() {
        Some(objects) if answer["id"].is_null() => objects.iter().map(id).collect(),
        _ => vec![id(answer)],
    }
}
