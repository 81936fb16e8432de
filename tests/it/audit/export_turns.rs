//! Exports take turns: one that cannot proceed, or one tenant's many, do not keep the others from theirs.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::upkeep;

use super::trail::{DAY, Trail};
use crate::harness::Client;

fn everything(organization: &str) -> Value {
    json!({ "organization_id": organization, "range_start": "2026-01-01", "range_end": "2030-01-01" })
}

async fn ask(client: &Client, organization: &str) -> String {
    let made = client
        .post("/audit_logs/exports", &everything(organization))
        .await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn state(trail: &Trail, id: &str) -> Value {
    trail.show(id).await["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_expire_past_one_that_somebody_is_at() {
    let trail = Trail::new().await;
    let client = trail.platform.client();
    let (held, other) = (
        ask(client, &trail.name).await,
        ask(client, &trail.name).await,
    );
    trail.make().await;
    let holder = trail.platform.sql().await;
    let hold = "BEGIN; SELECT 1 FROM audit_log_exports ORDER BY id LIMIT 1 FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();
    trail.platform.clock.advance(Duration::from_secs(8 * DAY));

    let (store, clock) = (trail.platform.store(), &trail.platform.clock);
    let expired = upkeep::expire_exports(store, clock).await;

    expired.unwrap();
    let states = (state(&trail, &held).await, state(&trail, &other).await);
    assert_eq!(states, (json!("ready"), json!("expired")));
}
