//! A caller of the API: one key, plain HTTP, answers as they came.

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Speaks to one platform with one key, or with none.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the error's code; an answer that is no error has none.
    pub(crate) fn verdict(&self) -> (u16, String) {
        let code = self.json()["code"].as_str().unwrap_or_default().to_owned();
        (self.status, code)
    }

    /// The answer's JSON, which must have come with this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// Where the faults of a 422 are, with their rules.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let body = self.expect(422);
        let word = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
        body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| (word(fault, "field"), word(fault, "code")))
            .collect()
    }
}

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "a caller from outside, who does not go through egress"
    )]
    pub(crate) fn new(base: String, key: Option<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, base, key }
    }

    /// The same caller with another key.
    pub(crate) fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    /// The same caller, who is told of redirects instead of following them.
    #[expect(
        clippy::disallowed_methods,
        reason = "a caller from outside, who does not go through egress"
    )]
    pub(crate) fn following_nothing(&self) -> Self {
        let http = reqwest::Client::builder().no_proxy();
        let http = http.redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            ..self.clone()
        }
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Posts these bytes as JSON.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }

    /// Posts under an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path);
        let request = request.header("idempotency-key", key);
        self.send(request.json(body)).await
    }

    /// Sends a request that no client library would: the head's first line, further headers, the body's bytes.
    /// The caller's key is added, and the connection closes after the answer.
    pub(crate) async fn raw(&self, line: &str, headers: &str, body: &[u8]) -> String {
        let address = self.base.trim_start_matches("http://");
        let key = self.key.as_deref().unwrap_or("none");
        let head = format!(
            "{line}\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n{headers}\r\n"
        );
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    /// Where the platform is, and the caller's key: for those who make their own connections.
    pub(crate) fn address_and_key(&self) -> (String, String) {
        let address = self.base.trim_start_matches("http://");
        let key = self.key.as_deref().unwrap_or("none");
        (address.to_owned(), key.to_owned())
    }

    /// Sends bytes and reads until the other side closes.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let address = self.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}
