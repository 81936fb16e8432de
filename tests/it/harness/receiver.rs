//! Receivers: real listeners that answer from a script and keep what they were sent.
//!
//! When the script ends its last answer goes on. A receiver can hang, and can be stopped and started again on
//! the same port, as a real one would be.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status, with headers and a body.
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, with the connection kept open.
    Hang,
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self::Status(status, Vec::new(), b"noted".to_vec())
    }
}

impl Answer {
    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Status(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Status(status, headers, body)
            }
            Self::Hang => Self::Hang,
        }
    }

    pub(crate) fn saying(self, body: Vec<u8>) -> Self {
        match self {
            Self::Status(status, headers, _) => Self::Status(status, headers, body),
            Self::Hang => Self::Hang,
        }
    }
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or_else(|| panic!("no {name} in {self:?}"), |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Shared {
    /// While it is true, requests are taken and not answered.
    holding: watch::Sender<bool>,
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Request>>,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Option<JoinSet<()>>,
}

impl Receiver {
    pub(crate) async fn answering<A: Into<Answer>>(script: impl IntoIterator<Item = A>) -> Self {
        let shared = Arc::new(Shared {
            holding: watch::Sender::new(false),
            script: Mutex::default(),
            requests: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut receiver = Self {
            address: listener.local_addr().unwrap(),
            shared,
            tasks: None,
        };
        receiver.answer_now(script);
        receiver.listen(listener);
        receiver
    }

    /// Replaces what is left of the script.
    pub(crate) fn answer_now<A: Into<Answer>>(&self, script: impl IntoIterator<Item = A>) {
        *self.shared.script.lock().unwrap() = script.into_iter().map(Into::into).collect();
    }

    /// Takes requests from now on, and answers none of them before `release`.
    pub(crate) fn hold(&self) {
        self.shared.holding.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.shared.holding.send_replace(false);
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("/hook")
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The `webhook-id` of every request, in the order in which they came.
    pub(crate) fn webhook_ids(&self) -> Vec<String> {
        let requests = self.requests();
        let ids = requests.iter().map(|request| request.header("webhook-id"));
        ids.map(str::to_owned).collect()
    }

    /// Closes the port and every connection.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
    }

    /// Listens again on the same port.
    pub(crate) async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, shared.clone()));
            }
        });
        self.tasks = Some(tasks);
    }
}

/// Serves one connection until the other side closes it.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        shared.requests.lock().unwrap().push(request);
        let mut holding = shared.holding.subscribe();
        let _gone = holding.wait_for(|holding| !holding).await.map(drop);
        let answer = {
            let mut script = shared.script.lock().unwrap();
            if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().cloned()
            }
        };
        let Some(Answer::Status(status, headers, body)) = answer else {
            std::future::pending::<()>().await;
            return;
        };
        let mut head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let whole = [head.as_bytes(), &body].concat();
        if stream.write_all(&whole).await.is_err() {
            return;
        }
    }
}

/// Reads one request; `None` at the end of the connection.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..head_end + 4).collect()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, length)| length.parse().unwrap());
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    let body = buffer.drain(..length).collect();
    Some(Request {
        line,
        headers,
        body,
    })
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
