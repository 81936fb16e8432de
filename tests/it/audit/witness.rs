//! A witness: an auditor outside, who keeps public keys and checkpoints and believes nothing else.
//!
//! Invariant: what it asks for, it asks over HTTP; what it is told, it checks by itself.

use serde_json::{Value, json};
use tidings::domain::audit::{AuditEntry, Commitments, Opening, Salts};
use tidings::domain::checkpoint::{Checkpoint, VerifyingKey};
use tidings::domain::merkle::Hash;

use crate::harness::{Client, TestPlatform};

/// One trail as seen from outside.
pub(super) struct Witness {
    client: Client,
    environment: String,
    /// As `organization_id` has it.
    pub(super) trail: String,
}

impl Witness {
    /// Of a new organization.
    pub(super) async fn new(platform: &TestPlatform) -> Self {
        let body = json!({ "name": "Acme" });
        let made = platform.client().post("/organizations", &body).await;
        Self {
            client: platform.client().clone(),
            environment: platform.environment.to_string(),
            trail: made.expect(201)["id"].as_str().unwrap().to_owned(),
        }
    }

    /// Records entries in one request; answers their ids.
    pub(super) async fn record(&self, count: usize) -> Vec<String> {
        let body = json!({ "events": vec![entry(&self.trail); count] });
        let recorded = self.client.post("/audit_logs/events/batch", &body).await;
        let recorded = recorded.expect(201);
        let ids = recorded["ids"].as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Has the trail signed as it is now; something must be new.
    pub(super) async fn checkpoint(&self) -> Value {
        let body = json!({ "organization_id": self.trail });
        let made = self.client.post("/audit_logs/checkpoints", &body).await;
        made.expect(201)
    }

    /// The checkpoints of the trail, the newest first.
    pub(super) async fn checkpoints(&self) -> Vec<Value> {
        let path = format!(
            "/audit_logs/checkpoints?limit=100&organization_id={}",
            self.trail
        );
        let list = self.client.get(&path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    }

    /// What the platform serves to anybody, the newest key first.
    pub(super) async fn served_keys(&self) -> Vec<Value> {
        let path = format!("/.well-known/tidings/audit-log-keys/{}", self.environment);
        let served = self.client.with_key(None).get(&path).await.expect(200);
        served["keys"].as_array().unwrap().clone()
    }

    pub(super) async fn keys(&self) -> Vec<VerifyingKey> {
        self.served_keys().await.iter().map(key).collect()
    }

    pub(super) async fn inclusion(&self, id: &str, size: usize) -> Value {
        let path = format!("/audit_logs/events/{id}/inclusion_proof?size={size}");
        self.client.get(&path).await.expect(200)
    }

    pub(super) async fn consistency(&self, from: usize, to: usize) -> Value {
        let trail = &self.trail;
        let path =
            format!("/audit_logs/consistency_proof?organization_id={trail}&from={from}&to={to}");
        self.client.get(&path).await.expect(200)
    }
}

/// An entry of a trail, as it is sent.
pub(super) fn entry(organization: &str) -> Value {
    json!({ "organization_id": organization, "event": {
        "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z",
        "actor": { "id": "a", "type": "user", "name": "Ann" },
        "targets": [{ "id": "t", "type": "team" }],
        "context": { "location": "here" },
    } })
}

pub(super) fn key(served: &Value) -> VerifyingKey {
    served["vkey"].as_str().unwrap().parse().unwrap()
}

/// The checkpoint that the note of an object says, if one of `keys` has signed it.
pub(super) fn opened(checkpoint: &Value, keys: &[VerifyingKey]) -> Option<Checkpoint> {
    Checkpoint::parse_and_verify(checkpoint["note"].as_str().unwrap(), keys).ok()
}

pub(super) fn hash(value: &Value) -> Hash {
    value.as_str().unwrap().parse().unwrap()
}

pub(super) fn hashes(proof: &Value) -> Vec<Hash> {
    proof["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(hash)
        .collect()
}

/// What the tree of the only organization commits to, leaf by leaf, made again from the entries as they are stored:
/// only for tests that may see the database. The environment's own trail is another tree.
pub(super) async fn leaves(sql: &tokio_postgres::Client) -> Vec<Vec<u8>> {
    let rows = "SELECT object, salts, commitments FROM audit_log_entries \
                WHERE organization_id <> '00000000-0000-0000-0000-000000000000' ORDER BY leaf_index";
    let rows = sql.query(rows, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let (salts, commitments): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(1), row.get(2));
            let opening = match (salts, commitments) {
                (Some(salts), None) => Opening::Salts(Salts::from_bytes(&salts).unwrap()),
                (_, commitments) => {
                    Opening::Commitments(Commitments::from_bytes(&commitments.unwrap()).unwrap())
                }
            };
            let entry = AuditEntry::from_stored(row.get(0), opening).unwrap();
            entry.leaf_text().into_bytes()
        })
        .collect()
}
