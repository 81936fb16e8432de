//! A receiver that counts: every `webhook-id`, every time it comes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// One arrival.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) at: Instant,
}

pub(crate) struct Receiver {
    seen: Data<Seen>,
    server: ServerHandle,
    pub(crate) url: String,
}

struct Seen {
    arrivals: Mutex<Vec<Arrival>>,
    /// Answers that may be given.
    answers: Arc<Semaphore>,
}

impl Receiver {
    /// Answers at once.
    pub(crate) fn new() -> Self {
        Self::answering(Semaphore::MAX_PERMITS)
    }

    /// Answers nobody until `answer` is called.
    pub(crate) fn silent() -> Self {
        Self::answering(0)
    }

    fn answering(count: usize) -> Self {
        let seen = Data::new(Seen {
            arrivals: Mutex::default(),
            answers: Arc::new(Semaphore::new(count)),
        });
        let shared = seen.clone();
        let app = move || {
            App::new()
                .app_data(shared.clone())
                .default_service(web::to(receive))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.addrs()[0]);
        let running = server.run();
        let server = running.handle();
        tokio::runtime::Handle::current().spawn(running);
        Self { seen, server, url }
    }

    /// Answers everybody from now on.
    pub(crate) fn answer(&self) {
        self.seen.answers.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.seen.arrivals.lock().unwrap().clone()
    }

    /// The different ids that came.
    pub(crate) fn ids(&self) -> HashSet<String> {
        self.arrivals()
            .into_iter()
            .map(|arrival| arrival.id)
            .collect()
    }

    /// How often each id came that came more than once.
    pub(crate) fn repeated(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for arrival in self.arrivals() {
            *counts.entry(arrival.id).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }

    /// Arrivals of what had come before.
    pub(crate) fn duplicates(&self) -> usize {
        self.repeated().values().map(|count| count - 1).sum()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // the message goes out at once; the answer is of no interest
        drop(self.server.stop(false));
    }
}

async fn receive(request: HttpRequest, seen: Data<Seen>) -> HttpResponse {
    let id = request.headers().get("webhook-id").unwrap();
    let id = id.to_str().unwrap().to_owned();
    seen.arrivals.lock().unwrap().push(Arrival {
        id,
        at: Instant::now(),
    });
    let permit = seen.answers.acquire().await.unwrap();
    permit.forget();
    HttpResponse::Ok().finish()
}
