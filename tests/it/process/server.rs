//! One running server, and the little of its API that tests of the process need.

use std::ops::{Deref, DerefMut};
use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::{KEY, Process, eventually, seconds};

pub(crate) struct Server {
    process: Process,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    pub(crate) client: Client,
}

impl Server {
    pub(super) async fn start(command: Command) -> Self {
        let mut process = Process::start(command);
        let address = eventually("the server serves", seconds(60), async || {
            if !process.is_running() {
                let status = process.ended().await;
                panic!("{status}\n{}", process.log().join("\n"));
            }
            let serving = process.logged("serving").pop()?;
            Some(serving["address"].as_str().unwrap().to_owned())
        })
        .await;
        Self {
            process,
            address,
            client: client(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.ended().await;
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}\n{}", self.log().join("\n"));
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.url(path)).bearer_auth(KEY).json(body)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client
            .get(self.url(path))
            .bearer_auth(KEY)
            .send()
            .await
            .unwrap()
    }

    /// Creates what has to be created, and reads the answer.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, &body).send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn create_endpoint(&self, url: &str) -> Value {
        let body = json!({ "endpoint_url": url, "events": ["load.*"] });
        self.create("/webhook_endpoints", body).await
    }

    /// Publishes one event and returns its id.
    pub(crate) async fn publish(&self, number: u64) -> String {
        let body = json!({ "event": "load.made", "data": { "number": number } });
        id(&self.create("/events", body).await)
    }

    /// The whole feed, but for what the platform tells of its own trail.
    pub(crate) async fn feed(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/events?limit=100{after}")).await;
            assert_eq!(page.status(), StatusCode::OK);
            let mut page: Value = page.json().await.unwrap();
            events.append(page["data"].as_array_mut().unwrap());
            match page["list_metadata"]["after"].as_str() {
                Some(cursor) => after = format!("&after={cursor}"),
                None => break,
            }
        }
        let own = ["audit_log.event_recorded", "audit_log.checkpoint_created"].map(Value::from);
        events
            .retain(|event| !own.contains(&event["event"]) || !event["organization_id"].is_null());
        events
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

pub(super) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "calls the server under test")]
pub(super) fn client() -> Client {
    let _already = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .timeout(seconds(30))
        .build()
        .unwrap()
}
