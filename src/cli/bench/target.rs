//! The target: the server that is measured, the endpoints that are made on it, and what it says about them.
//!
//! Invariant: every endpoint that was made is deleted again, also when making the next one failed.

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::payload::event_type;
use super::receiver;
use crate::cli::client::{Client, ClientError};
use crate::cli::output::printable;
use crate::domain::signature::SigningSecret;

/// What to do about a server that does not deliver to the receiver.
const REACH_HINT: &str = "\
a server delivers to this machine and to private networks only when it is told to:
  start it with --egress-allow 127.0.0.1 (or the receiver's network; egress.allow in its settings);
  when it runs elsewhere or in a container, receive where it can reach you: --receive-on ADDR, --receive-url URL";

/// The endpoints of a run.
pub(super) struct Endpoints(Vec<String>);

#[derive(Deserialize)]
struct Created {
    id: String,
}

impl Endpoints {
    /// Makes `count` endpoints that get the events of `run` at the receiver.
    pub(super) async fn make(
        client: &Client,
        run: &str,
        count: usize,
        receiver: &Url,
        secret: &SigningSecret,
    ) -> anyhow::Result<Self> {
        let mut made = Self(Vec::with_capacity(count));
        for number in 0..count {
            match make_one(
                client,
                run,
                &receiver.join(&receiver::path(run, number))?,
                secret,
            )
            .await
            {
                Ok(created) => made.0.push(created.id),
                Err(error) => {
                    made.delete(client).await?;
                    let refused = error
                        .downcast_ref()
                        .is_some_and(|error| matches!(error, ClientError::Refused { status, .. } if status.as_u16() == 422));
                    return Err(match refused {
                        true => error.context(format!(
                            "the server takes no endpoint at {receiver}; {REACH_HINT}"
                        )),
                        false => error,
                    });
                }
            }
        }
        Ok(made)
    }

    /// Deletes them; what was still owed to them is cancelled by the server.
    pub(super) async fn delete(self, client: &Client) -> anyhow::Result<()> {
        let mut first = Ok(());
        for id in self.0 {
            let request = client.delete(&format!("/webhook_endpoints/{id}"))?;
            if let Err(error) = client.send_only(request).await {
                let error = anyhow::Error::from(error);
                let what = format!("the endpoint {} was not deleted", printable(&id));
                first = first.and(Err(error.context(what)));
            }
        }
        first
    }

    /// Why deliveries do not arrive: what the server has recorded about one, and what may be done.
    pub(super) async fn why_nothing_arrives(&self, client: &Client) -> String {
        let Some(endpoint) = self.0.first() else {
            return String::new();
        };
        let said = match last_attempt(client, endpoint).await {
            Ok(Some(attempt)) => format!("its last attempt: {attempt}"),
            Ok(None) => "it has made no attempt yet".to_owned(),
            Err(error) => format!("its attempts cannot be read: {error}"),
        };
        format!("{said}\n{REACH_HINT}")
    }
}

async fn make_one(
    client: &Client,
    run: &str,
    url: &Url,
    secret: &SigningSecret,
) -> anyhow::Result<Created> {
    let request = client.post("/webhook_endpoints")?.json(&json!({
        "endpoint_url": url.as_str(),
        "events": [event_type(run)],
        "description": "made by tidings bench; deleted when it ends",
        "secret": secret.expose(),
    }));
    Ok(client.send(request).await?)
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct DeliveryLine {
    id: String,
}

#[derive(Deserialize)]
struct AttemptLine {
    outcome: String,
    status: Option<u16>,
    detail: Option<String>,
}

/// What became of the last attempt of one delivery that has not arrived.
async fn last_attempt(client: &Client, endpoint: &str) -> anyhow::Result<Option<String>> {
    let query = [
        ("webhook_endpoint_id", endpoint.to_owned()),
        ("state", "pending".to_owned()),
        ("limit", "1".to_owned()),
    ];
    let pending: List<DeliveryLine> = client.send(client.get("/deliveries", &query)?).await?;
    let Some(delivery) = pending.data.first() else {
        return Ok(None);
    };
    let path = format!("/deliveries/{}/attempts", delivery.id);
    let attempts: List<AttemptLine> = client.send(client.get(&path, &[])?).await?;
    Ok(attempts.data.last().map(|attempt| {
        let status = attempt.status.map(|status| format!(" {status}"));
        let detail = attempt.detail.as_ref().map(|detail| format!(": {detail}"));
        let parts = [Some(attempt.outcome.clone()), status, detail];
        printable(&parts.into_iter().flatten().collect::<String>())
    }))
}
