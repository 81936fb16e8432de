//! One running server, and the little of its API that tests of the process need.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::{KEY, eventually, seconds, signal};

pub(crate) struct Server {
    child: Child,
    log: Lines,
    out: Lines,
    reading: Vec<JoinHandle<()>>,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    pub(crate) client: Client,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Server {
    pub(super) async fn start(command: Command) -> Self {
        let mut child = tokio::process::Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (log, out) = (Lines::default(), Lines::default());
        let reading = vec![
            read(child.stderr.take().unwrap(), log.clone()),
            read(child.stdout.take().unwrap(), out.clone()),
        ];
        let mut server = Self {
            child,
            log,
            out,
            reading,
            address: String::new(),
            client: client(),
        };
        server.address = eventually("the server serves", seconds(60), async || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{}", server.log().join("\n"));
            let serving = server.logged("serving").pop()?;
            Some(serving["address"].as_str().unwrap().to_owned())
        })
        .await;
        server
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// What it has written to standard output.
    pub(crate) fn printed(&self) -> String {
        self.out.lock().unwrap().join("\n")
    }

    /// The log lines with this message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        parsed
            .filter(|line: &Value| line["message"] == message)
            .collect()
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to end, and for its last words.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(seconds(60), self.child.wait()).await;
        for reading in self.reading.drain(..) {
            reading.await.unwrap();
        }
        status.expect("the server ends when it is told to").unwrap()
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

    /// The whole feed.
    pub(crate) async fn feed(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/events?limit=100{after}")).await;
            assert_eq!(page.status(), StatusCode::OK);
            let mut page: Value = page.json().await.unwrap();
            events.append(page["data"].as_array_mut().unwrap());
            match page["list_metadata"]["after"].as_str() {
                Some(cursor) => after = format!("&after={cursor}"),
                None => return events,
            }
        }
    }
}

pub(super) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn read(from: impl AsyncRead + Unpin + Send + 'static, to: Lines) -> JoinHandle<()> {
    let mut lines = BufReader::new(from).lines();
    tokio::runtime::Handle::current().spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            to.lock().unwrap().push(line);
        }
    })
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
