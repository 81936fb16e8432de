//! Tells the story: one request after another, each with an idempotency key.
//!
//! Invariant: what was told before is answered with what it made; a server that is away for a moment is asked again,
//! a refusal ends the story with what can be done about it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::Pace;
use super::report::{EndpointLine, Report, Sight};
use super::story::{self, ENDPOINTS, Manner, ORGANIZATIONS, OrganizationPart, THE_END};
use super::trail;
use crate::cli::client::{Client, ClientError};

/// Events of one request.
const BATCH: u32 = 10;
/// How often a server that is away is asked again, and after which wait.
const ASKED_MAX: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether everything has arrived.
const LOOK: Duration = Duration::from_millis(250);

const REACH_HINT: &str = "\
the server delivers to this machine only when it is told to: start it with --egress-allow 127.0.0.1
  (egress.allow in its settings); when it runs elsewhere, receive where it can reach you: --receive-on ADDR, --receive-url URL";

pub(super) struct Teller<'a> {
    client: &'a Client,
    /// Where the endpoints point.
    receiver: Url,
}

#[derive(Deserialize)]
struct Made {
    id: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Event {}

#[derive(Deserialize)]
struct Delivery {
    id: String,
    event_id: String,
    attempts: u32,
}

#[derive(Deserialize)]
struct Link {
    url: String,
}

#[derive(Deserialize)]
struct Health {
    condition: String,
}

#[derive(Deserialize)]
struct Export {
    id: String,
    state: String,
}

impl<'a> Teller<'a> {
    pub(super) fn new(client: &'a Client, receiver: Url) -> Self {
        Self { client, receiver }
    }

    /// The whole story, from the first organization to the last delivery.
    pub(super) async fn tell(&self, pace: Pace) -> anyhow::Result<Report> {
        self.refuse_twice().await?;
        let organizations = self.organizations().await?;
        for (name, body) in story::event_types() {
            self.post("/event_types", &format!("type-{name}"), &body)
                .await?;
        }
        let endpoints = self.endpoints(&organizations).await?;
        self.trails(&organizations).await?;
        self.events(&organizations, pace).await?;
        let export = self.export(&organizations).await?;
        self.rotate(&endpoints).await?;
        self.await_deliveries(&endpoints, pace.stay).await?;
        let end = json!({ "event": THE_END, "data": { "events": pace.events } });
        self.post("/events", THE_END, &end).await?;
        self.report(pace, &organizations, &endpoints, &export).await
    }

    async fn refuse_twice(&self) -> anyhow::Result<()> {
        let query = [("events", THE_END.to_owned()), ("limit", "1".to_owned())];
        let told: List<Event> = self.get("/events", &query).await?;
        anyhow::ensure!(
            told.data.is_empty(),
            "this environment has the demo already, at {}; nothing was added\n  \
             for another one make an environment (tidings environments create demo) and a key of it",
            self.page("")
        );
        Ok(())
    }

    async fn organizations(&self) -> anyhow::Result<Vec<Made>> {
        let mut made = Vec::new();
        for part in &ORGANIZATIONS {
            let OrganizationPart {
                name,
                external_id,
                plan,
            } = part;
            let body =
                json!({ "name": name, "external_id": external_id, "metadata": { "plan": plan } });
            made.push(self.made("/organizations", external_id, &body).await?);
        }
        Ok(made)
    }

    async fn endpoints(&self, organizations: &[Made]) -> anyhow::Result<Vec<Made>> {
        let mut made = Vec::new();
        for part in &ENDPOINTS {
            let url = part.url(&self.receiver);
            let organization = part.of.and_then(|of| organizations.get(of));
            let body = json!({
                "endpoint_url": url,
                "events": part.patterns,
                "description": part.description,
                "retry_delays_seconds": part.waits,
                "organization_id": organization.map(|organization| &organization.id),
            });
            let created = self.made("/webhook_endpoints", part.path, &body).await;
            made.push(created.map_err(|error| {
                let unprocessable = |error: &ClientError| matches!(error, ClientError::Refused { status, .. } if status.as_u16() == 422);
                match error.downcast_ref().is_some_and(unprocessable) {
                    true => error.context(format!("the server takes no endpoint at {url}; {REACH_HINT}")),
                    false => error,
                }
            })?);
        }
        Ok(made)
    }

    /// The trail of each organization, and a signature under it.
    async fn trails(&self, organizations: &[Made]) -> anyhow::Result<()> {
        let path = format!("/audit_logs/actions/{}/schemas", trail::REFUND);
        self.post(&path, "refund-schema", &trail::refund_schema())
            .await?;
        for (of, organization) in organizations.iter().enumerate() {
            let entry = |number| {
                let event = trail::entry(of, number, organization.created_at);
                json!({ "organization_id": organization.id, "event": event })
            };
            let entries: Vec<_> = (0..trail::ENTRIES).map(entry).collect();
            let body = json!({ "events": entries });
            self.post("/audit_logs/events/batch", &format!("trail-{of}"), &body)
                .await?;
            let body = json!({ "organization_id": organization.id });
            self.post("/audit_logs/checkpoints", &format!("signed-{of}"), &body)
                .await?;
        }
        Ok(())
    }

    async fn events(&self, organizations: &[Made], pace: Pace) -> anyhow::Result<()> {
        let between = pace.over / pace.events.div_ceil(BATCH).max(1);
        let mut first = 0;
        while first < pace.events {
            let end = pace.events.min(first + BATCH);
            let event = |number| {
                let part = story::event(number);
                let organization = organizations.get(part.of);
                json!({
                    "event": part.event,
                    "data": part.data,
                    "context": part.context,
                    "organization_id": organization.map(|organization| &organization.id),
                })
            };
            let events: Vec<_> = (first..end).map(event).collect();
            let key = format!("events-{first}-{end}");
            self.post("/events/batch", &key, &json!({ "events": events }))
                .await?;
            first = end;
            tokio::time::sleep(between).await;
        }
        Ok(())
    }

    async fn export(&self, organizations: &[Made]) -> anyhow::Result<String> {
        let whose = organizations.first().map(|organization| &organization.id);
        let body = json!({ "organization_id": whose, "format": "ndjson" });
        let export = self.post("/audit_logs/exports", "export", &body).await?;
        let export: Export = serde_json::from_value(export)?;
        Ok(export.id)
    }

    /// Replaces the first endpoint's secret; both sign for a day.
    async fn rotate(&self, endpoints: &[Made]) -> anyhow::Result<()> {
        let Some(endpoint) = endpoints.first() else {
            return Ok(());
        };
        let path = format!("/webhook_endpoints/{}/rotate_secret", endpoint.id);
        let body = json!({ "overlap_seconds": 86_400 });
        self.post(&path, "rotate", &body).await.map(drop)
    }

    /// Waits until each endpoint is what the story says of it, or patience ends.
    async fn await_deliveries(&self, endpoints: &[Made], patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        for (part, endpoint) in ENDPOINTS.iter().zip(endpoints) {
            while !self.is_as_told(part.manner, endpoint).await? && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn is_as_told(&self, manner: Manner, endpoint: &Made) -> anyhow::Result<bool> {
        match manner {
            Manner::Well | Manner::Slow | Manner::Flaky => {
                Ok(self.deliveries(endpoint, "pending").await?.is_empty())
            }
            Manner::Dead => Ok(self.condition(endpoint).await? == "paused"),
            Manner::Gone => Ok(self.condition(endpoint).await? == "disabled"),
        }
    }

    /// How an endpoint does, in a word.
    async fn condition(&self, endpoint: &Made) -> anyhow::Result<String> {
        let path = format!("/webhook_endpoints/{}/health", endpoint.id);
        let health: Health = self.get(&path, &[]).await?;
        Ok(health.condition)
    }

    /// The last hundred deliveries to an endpoint in a state, newest first.
    async fn deliveries(&self, endpoint: &Made, state: &str) -> anyhow::Result<Vec<Delivery>> {
        let query = [
            ("webhook_endpoint_id", endpoint.id.clone()),
            ("state", state.to_owned()),
            ("limit", "100".to_owned()),
        ];
        let list: List<Delivery> = self.get("/deliveries", &query).await?;
        Ok(list.data)
    }

    async fn report(
        &self,
        pace: Pace,
        organizations: &[Made],
        endpoints: &[Made],
        export: &str,
    ) -> anyhow::Result<Report> {
        let mut lines = Vec::new();
        for (part, endpoint) in ENDPOINTS.iter().zip(endpoints) {
            lines.push(EndpointLine {
                id: endpoint.id.clone(),
                description: part.description,
                condition: self.condition(endpoint).await?,
            });
        }
        let export: Export = self
            .get(&format!("/audit_logs/exports/{export}"), &[])
            .await?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Report {
            organizations: count(organizations.len()),
            event_types: count(story::event_types().len()),
            events: pace.events,
            audit_log_events: trail::ENTRIES * count(organizations.len()),
            export: export.state,
            look_at: self.sights(organizations, endpoints).await?,
            endpoints: lines,
        })
    }

    /// What is worth looking at.
    async fn sights(
        &self,
        organizations: &[Made],
        endpoints: &[Made],
    ) -> anyhow::Result<Vec<Sight>> {
        let mut sights = vec![self.sight("how things go", "")];
        for (part, endpoint) in ENDPOINTS.iter().zip(endpoints) {
            let (state, what) = match part.manner {
                Manner::Flaky => ("delivered", "a delivery with its attempts"),
                Manner::Dead => ("pending", "a delivery that waits"),
                Manner::Well | Manner::Slow | Manner::Gone => continue,
            };
            let path = format!("/endpoints/{}", endpoint.id);
            sights.push(self.sight(part.description, &path));
            let known = self.deliveries(endpoint, state).await?;
            let chosen = match part.manner {
                Manner::Dead => known.iter().min_by_key(|delivery| delivery.attempts),
                Manner::Flaky | Manner::Well | Manner::Slow | Manner::Gone => {
                    known.iter().max_by_key(|delivery| delivery.attempts)
                }
            };
            let Some(delivery) = chosen else {
                continue;
            };
            sights.push(self.sight(what, &format!("/deliveries/{}", delivery.id)));
            if part.manner == Manner::Dead {
                let path = format!("/events/{}/why?endpoint={}", delivery.event_id, endpoint.id);
                sights.push(self.sight("why it waits", &path));
            }
        }
        if let Some(organization) = organizations.first() {
            let path = format!("/audit?trail={}", organization.id);
            sights.push(self.sight("who did what at Larkspur Bakery", &path));
            sights.push(self.sight("what is done to the platform itself", "/audit"));
            sights.push(self.sight("an export with proofs", "/audit/exports"));
            let body = json!({ "organization_id": organization.id, "role": "manager", "name": "Maren Oetker" });
            let link = self.post("/portal_links", "link", &body).await?;
            let link: Link = serde_json::from_value(link)?;
            sights.push(Sight {
                what: "come in as one of Larkspur's people; opens once",
                url: link.url,
            });
        }
        Ok(sights)
    }

    fn sight(&self, what: &'static str, path: &str) -> Sight {
        let url = self.page(path);
        Sight { what, url }
    }

    /// A page of the portal.
    fn page(&self, path: &str) -> String {
        let base = self.client.base().as_str().trim_end_matches('/');
        format!("{base}/portal{path}")
    }

    async fn made(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Made> {
        Ok(serde_json::from_value(self.post(path, key, body).await?)?)
    }

    /// Posts what the key stands for in the story.
    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let key = format!("demo-{key}");
        let mut asked = 1;
        loop {
            let request = self.client.post(path)?.header("Idempotency-Key", &key);
            match self.client.send(request.json(body)).await {
                Err(ClientError::Away { .. }) if asked < ASKED_MAX => asked += 1,
                answer => return Ok(answer?),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        Ok(self.client.send(self.client.get(path, query)?).await?)
    }
}
