//! A trail under test: entries recorded through the API, exports made and fetched, and what an auditor keeps.

use std::time::Duration;

use diesel_async::AsyncConnection as _;
use serde_json::{Value, json};
use tidings::domain::audit::verify::{Extent, Report, Retained, Trust, verify};
use tidings::domain::id::OrganizationId;
use tidings::ingest::checkpoint_within;
use tidings::store::audit_logs::NO_ORGANIZATION;
use tidings::store::{Conn, StoreError, audit_signing_keys, events};
use tidings::upkeep;

use crate::harness::TestPlatform;

pub(super) const DAY: u64 = 24 * 3600;

/// The audit log of one organization, or the environment's own.
pub(super) struct Trail {
    pub(super) platform: TestPlatform,
    /// As it is named on the wire.
    pub(super) name: String,
    recorded: u64,
}

impl Trail {
    pub(super) async fn new() -> Self {
        let platform = TestPlatform::usual().await;
        let body = json!({ "name": "Acme" });
        let made = platform.client().post("/organizations", &body).await;
        let name = made.expect(201)["id"].as_str().unwrap().to_owned();
        Self {
            platform,
            name,
            recorded: 0,
        }
    }

    /// The organization as the store names it.
    pub(super) fn organization(&self) -> OrganizationId {
        self.name.parse().unwrap_or(NO_ORGANIZATION)
    }

    /// Records so many entries, each unlike the others.
    pub(super) async fn record(&mut self, count: u64) {
        let events: Vec<Value> = (0..count)
            .map(|more| self.entry(self.recorded + more))
            .collect();
        for events in events.chunks(100) {
            let body = json!({ "events": events });
            let path = "/audit_logs/events/batch";
            self.platform.client().post(path, &body).await.expect(201);
        }
        self.recorded += count;
    }

    fn entry(&self, number: u64) -> Value {
        let targets: Vec<Value> = (0..=number % 3)
            .map(|target| json!({ "id": format!("t{target}"), "type": "team", "name": format!("Team {target}") }))
            .collect();
        let mut event = json!({
            "action": format!("user.action_{}", number % 4), "occurred_at": "2026-01-15T00:00:00Z",
            "actor": { "id": format!("u{}", number % 7), "type": "user", "name": format!("Zoë \"{number}\""),
                "metadata": { "number": number, "ratio": 1.50 } },
            "targets": targets,
            "context": { "location": "127.0.0.1", "user_agent": "Browser/1.0" },
        });
        if number.is_multiple_of(2) {
            event["metadata"] = json!({ "amount": "12.30", "ok": true });
        }
        json!({ "organization_id": self.name, "event": event })
    }

    /// Asks for an NDJSON export of everything, with what `more` adds.
    pub(super) async fn ask(&self, more: Value) -> String {
        let mut body = json!({ "organization_id": self.name, "format": "ndjson" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = self
            .platform
            .client()
            .post("/audit_logs/exports", &body)
            .await;
        made.expect(201)["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn show(&self, id: &str) -> Value {
        let path = format!("/audit_logs/exports/{id}");
        self.platform.client().get(&path).await.expect(200)
    }

    /// Writes the next chunk of an export; answers whether it was there to be taken.
    pub(super) async fn write_chunk(&self, id: &str) -> bool {
        let store = self.platform.store();
        let mut conn = store.conn().await.unwrap();
        let environment = self.platform.environment;
        let clock = &self.platform.clock;
        let id = id.parse().unwrap();
        let written = upkeep::exports::write_chunk(&mut conn, store, clock, environment, id);
        written.await.unwrap()
    }

    pub(super) async fn make(&self) {
        let (store, clock) = (self.platform.store(), &self.platform.clock);
        upkeep::exports::make_pending(store, clock).await.unwrap();
    }

    /// Fetches an export that is ready.
    pub(super) async fn fetch(&self, id: &str) -> String {
        let export = self.show(id).await;
        assert_eq!(export["state"], "ready", "{export}");
        let url = export["url"].as_str().unwrap();
        let path = &url[url.find("/audit_logs").unwrap()..];
        let reply = self.platform.client().with_key(None).get(path).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        let name = format!("attachment; filename=\"{id}.ndjson\"");
        assert_eq!(reply.header("content-disposition"), name);
        reply.text().to_owned()
    }

    /// Asks, makes and fetches.
    pub(super) async fn export(&self, more: Value) -> String {
        let id = self.ask(more).await;
        self.make().await;
        self.fetch(&id).await
    }

    /// The checkpoint of this moment, as an auditor would keep it.
    pub(super) async fn checkpoint(&self) -> String {
        let store = self.platform.store();
        let mut loan = store.conn().await.unwrap();
        let conn: &mut Conn = &mut loan;
        let now = self.platform.clock.for_database();
        let turn = conn.turn(self.platform.environment).await;
        let taken = conn.transaction::<_, StoreError, _>(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            checkpoint_within(conn, &lock, now, store.vault(), self.organization()).await
        });
        taken.await.unwrap().expect("a trail with entries").note
    }

    /// What an auditor holds exports against.
    pub(super) async fn trust(&self, retained: Option<&str>, extent: Extent) -> Trust {
        let mut conn = self.platform.store().conn().await.unwrap();
        let keys = audit_signing_keys::all(&mut conn, self.platform.environment);
        let keys = keys.await.unwrap();
        Trust {
            keys: keys
                .iter()
                .map(|key| key.verifier.parse().unwrap())
                .collect(),
            retained: retained.map(|note| Retained {
                note: note.to_owned(),
                consistency: None,
            }),
            extent,
        }
    }

    /// Verifies as stated, without a retained checkpoint.
    pub(super) async fn verify(&self, text: &str) -> Report {
        verify(text.lines(), &self.trust(None, Extent::AsStated).await)
    }

    /// Lets `days` go by, and retention of a month run.
    pub(super) async fn expire(&self, days: u64) {
        let path = format!("/organizations/{}/audit_logs_retention", self.name);
        let month = json!({ "retention_period": "1_MONTH" });
        self.platform.client().put(&path, &month).await.expect(200);
        let (store, clock) = (self.platform.store(), &self.platform.clock);
        clock.advance(Duration::from_secs(days * DAY));
        upkeep::audit_retention::expire_entries(store, clock)
            .await
            .unwrap();
    }

    /// The leaves whose entries are there.
    pub(super) async fn kept_leaves(&self) -> Vec<i64> {
        let sql = self.platform.sql().await;
        let leaves = "SELECT leaf_index FROM audit_log_entries ORDER BY leaf_index";
        let leaves = sql.query(leaves, &[]).await.unwrap();
        leaves.iter().map(|row| row.get(0)).collect()
    }

    /// Says the trail is the environment's own from now on.
    pub(super) fn of_environment(mut self) -> Self {
        "environment".clone_into(&mut self.name);
        self
    }
}
