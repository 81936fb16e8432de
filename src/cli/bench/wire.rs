//! The wire: what a producer says to the server, over a connection that it keeps.
//!
//! Invariant: one request at a time on a connection, nothing added that a server would have to read, nothing
//! copied that need not be: producers share the machine with what they measure. Plain HTTP only.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::domain::access::ApiKeyText;

/// How long an answer may take before the request counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How much of a refusal is told.
const TOLD_CHARS_MAX: usize = 300;

/// Where events go, and with which key.
#[derive(Clone)]
pub(super) struct Address {
    authority: String,
    host: HeaderValue,
    authorization: HeaderValue,
}

impl Address {
    /// Errors: a URL that is not plain HTTP.
    pub(super) fn of(base: &Url, key: &ApiKeyText) -> anyhow::Result<Self> {
        anyhow::ensure!(
            base.scheme() == "http",
            "the bench speaks plain HTTP: give it the server's own address with --url, not that of the proxy before it"
        );
        let host = base.host_str().context("--url names no host")?;
        let port = base.port_or_known_default().unwrap_or(80);
        let authority = format!("{host}:{port}");
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose()))?;
        authorization.set_sensitive(true);
        Ok(Self {
            host: HeaderValue::from_str(&authority)?,
            authority,
            authorization,
        })
    }
}

/// A connection that is made anew when it has broken. For use inside a `LocalSet`.
pub(super) struct Connection {
    address: Rc<Address>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Connects, so that the first request need not.
    pub(super) async fn open(address: Rc<Address>) -> Result<Self, String> {
        let mut connection = Self {
            address,
            sender: None,
        };
        connection.sender = Some(connection.connect().await?);
        Ok(connection)
    }

    /// Sends the body; an answer that is no 2xx is an error, as is none.
    pub(super) async fn post(&mut self, path: &'static str, body: Bytes) -> Result<(), String> {
        match tokio::time::timeout(ANSWER_WITHIN, self.exchange(path, body)).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(format!("no answer within {ANSWER_WITHIN:?}")),
        }
    }

    async fn exchange(&mut self, path: &'static str, body: Bytes) -> Result<(), String> {
        // Taken out until the answer is read: a connection in any other state is not used again.
        let mut sender = self.usable_sender().await?;
        let request = Request::post(path)
            .header(HOST, self.address.host.clone())
            .header(AUTHORIZATION, self.address.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| format!("the connection broke: {error}"))?;
        let said = read(answer).await;
        self.sender = Some(sender);
        said
    }

    async fn usable_sender(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let cannot = |error: &dyn std::fmt::Display| {
            format!("cannot connect to {}: {error}", self.address.authority)
        };
        let stream = TcpStream::connect(&self.address.authority)
            .await
            .map_err(|error| cannot(&error))?;
        stream.set_nodelay(true).map_err(|error| cannot(&error))?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cannot(&error))?;
        // Ends with its sender; what breaks it, the sender's next request tells.
        tokio::task::spawn_local(driver);
        Ok(sender)
    }
}

/// Reads the answer to its end, so that the connection can be used again.
async fn read(answer: Response<Incoming>) -> Result<(), String> {
    let status = answer.status();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|error| format!("the answer broke off: {error}"))?;
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let told: String = text.chars().take(TOLD_CHARS_MAX).collect();
    Err(format!("{status}: {told}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_spoken() {
        let key = ApiKeyText::parse("sk_0123456789").unwrap();
        let address = |url: &str| Address::of(&url.parse().unwrap(), &key).map(|it| it.authority);

        assert_eq!(address("http://[::1]:8080/x").unwrap(), "[::1]:8080");
        assert_eq!(address("http://localhost").unwrap(), "localhost:80");
        assert!(address("https://localhost").is_err());
    }
}
