//! A client of a running server's HTTP API, for the commands that a person or a script uses beside it.
//!
//! Invariant: talks to the operator's own server only, the one named by `--url`; deliveries never go this way.
//! Whether to try again is told apart in [`ClientError`], and decided by the command.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::config::load;
use crate::domain::access::ApiKeyText;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Which server, and with which key.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerFlags {
    /// Where the server is [env: TIDINGS_URL] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// The API key; better in the environment, where others do not see it [env: TIDINGS_API_KEY]
    #[arg(long, value_name = "sk_…", value_parser = api_key)]
    key: Option<ApiKeyText>,
}

impl ServerFlags {
    /// Whether a flag names a server; the environment is not asked.
    pub(super) fn name_a_server(&self) -> bool {
        self.url.is_some()
    }
}

/// A server and the key for it.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: ApiKeyText,
}

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody there, or not able now; the same request may succeed later.
    #[error("{url} is away: {reason}")]
    Away { url: Url, reason: String },
    /// The server said no; the same request will not succeed.
    #[error("the server answered {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the answer is not one of Tidings; is {url} the right server?")]
    Unreadable { url: Url, source: reqwest::Error },
}

/// An error as the API answers it.
#[derive(Deserialize)]
struct Problem {
    message: String,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    message: Option<String>,
    code: String,
}

impl Client {
    /// A client for the server that flags or environment name.
    pub(super) fn new(flags: ServerFlags) -> anyhow::Result<Self> {
        let variables = load::client_variables();
        let base = match (flags.url, variables.url) {
            (Some(url), _) => url,
            (None, Some(text)) => text.parse().context("TIDINGS_URL is no URL")?,
            (None, None) => DEFAULT_URL.parse()?,
        };
        let key = match (flags.key, variables.api_key) {
            (Some(key), _) => key,
            (None, Some(text)) => {
                api_key(text.expose()).map_err(|why| anyhow::anyhow!("TIDINGS_API_KEY: {why}"))?
            }
            (None, None) => anyhow::bail!(
                "no API key; the server's first start printed one, and `tidings keys create` makes another\n  \
                 set it in TIDINGS_API_KEY, or with --key"
            ),
        };
        Self::at(base, key)
    }

    /// A client for this server.
    pub(super) fn at(base: Url, key: ApiKeyText) -> anyhow::Result<Self> {
        Ok(Self {
            http: http_client(&base)?,
            base,
            key,
        })
    }

    /// Where the server is.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn key(&self) -> &ApiKeyText {
        &self.key
    }

    pub(super) fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<RequestBuilder> {
        let mut url = self.base.join(path)?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(self.http.get(url).bearer_auth(self.key.expose()))
    }

    pub(super) fn post(&self, path: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self
            .http
            .post(self.base.join(path)?)
            .bearer_auth(self.key.expose()))
    }

    pub(super) fn delete(&self, path: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self
            .http
            .delete(self.base.join(path)?)
            .bearer_auth(self.key.expose()))
    }

    /// Sends the request and reads the answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = self.accepted(request).await?;
        response
            .json()
            .await
            .map_err(|source| ClientError::Unreadable {
                url: self.base.clone(),
                source,
            })
    }

    /// Sends a request whose answer has nothing to read but that it was accepted.
    pub(super) async fn send_only(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.accepted(request).await.map(drop)
    }

    async fn accepted(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let away = |reason: String| ClientError::Away {
            url: self.base.clone(),
            reason,
        };
        let response = request
            .send()
            .await
            .map_err(|error| away(innermost(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = problem(response).await;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(away(format!("it answered {status}: {message}")));
        }
        Err(ClientError::Refused { status, message })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "calls the operator's own server; egress/ is for addresses that customers choose"
)]
fn http_client(base: &Url) -> anyhow::Result<reqwest::Client> {
    // reqwest brings no cryptography of its own; that another part has installed it already is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // The key is for this server alone.
        .redirect(reqwest::redirect::Policy::none())
        // `load` alone reads the environment.
        .no_proxy();
    if base.scheme() == "http" {
        // The system's certificates are not needed, and without this a small container that has none is refused.
        client = client.tls_certs_only([]);
    }
    client.build().context("cannot set up HTTP")
}

/// What the answer says is wrong, with each single fault.
async fn problem(response: Response) -> String {
    let request = response
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok().map(str::to_owned));
    let text = match response.json::<Problem>().await {
        Ok(problem) => told(&problem),
        Err(_) => "no reason given".to_owned(),
    };
    request.map_or_else(|| text.clone(), |id| format!("{text} ({id})"))
}

fn told(problem: &Problem) -> String {
    let mut text = problem.message.clone();
    for fault in &problem.errors {
        text.push_str("\n  ");
        text.push_str(fault.message.as_deref().unwrap_or(&fault.code));
    }
    text
}

/// The last cause: what the system said ("Connection refused"), without the layers between.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn api_key(text: &str) -> Result<ApiKeyText, String> {
    ApiKeyText::parse(text).map_err(|invalid| invalid.message.into_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

    use super::*;

    #[test]
    fn a_problem_is_told_with_each_of_its_faults() {
        let body = r#"{"message":"Invalid.","code":"x","errors":[{"code":"a","message":"data is missing."},{"code":"b"}]}"#;

        assert_eq!(
            told(&serde_json::from_str(body).unwrap()),
            "Invalid.\n  data is missing.\n  b"
        );
    }

    /// Answers with the status in the path, and with the key and the query that came.
    async fn answer(request: HttpRequest) -> HttpResponse {
        let status = request.path().trim_start_matches('/').parse().unwrap();
        let key = request.headers().get("authorization").unwrap();
        let message = format!("{} {}", key.to_str().unwrap(), request.query_string());
        let body = serde_json::json!({ "message": message, "code": "x" });
        let mut answer =
            HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
        answer.insert_header(("x-request-id", "req_1")).json(body)
    }

    /// What becomes of a request to a server that answers with `status`.
    async fn outcome(status: u16) -> String {
        let server = HttpServer::new(|| App::new().default_service(web::to(answer)));
        let server = server
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let client = Client::new(ServerFlags {
            url: Some(url.parse().unwrap()),
            key: Some(ApiKeyText::parse("sk_0123456789").unwrap()),
        });
        let client = client.unwrap();
        let request = client
            .get(&format!("/{status}"), &[("events", "a,b".to_owned())])
            .unwrap();
        let answer = tokio::select! {
            stopped = server.run() => panic!("{stopped:?}"),
            answer = client.send::<serde_json::Value>(request) => answer,
        };
        match answer {
            Ok(body) => format!("ok: {}", body["message"].as_str().unwrap()),
            Err(ClientError::Away { reason, .. }) => format!("away: {reason}"),
            Err(ClientError::Refused { message, .. }) => format!("refused: {message}"),
            Err(ClientError::Unreadable { .. }) => "unreadable".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_key_and_the_query_are_sent() {
        assert_eq!(outcome(200).await, "ok: Bearer sk_0123456789 events=a%2Cb");
    }

    #[tokio::test]
    async fn a_refusal_is_told_apart_from_absence() {
        for (status, expected) in [
            (302, "refused"),
            (401, "refused"),
            (422, "refused"),
            (429, "away"),
            (503, "away"),
        ] {
            let outcome = outcome(status).await;

            assert!(outcome.starts_with(expected), "{status}: {outcome}");
            assert!(outcome.ends_with("(req_1)"), "{status}: {outcome}");
        }
    }
}
