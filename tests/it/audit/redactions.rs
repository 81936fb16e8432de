//! Redactions: what a person's entries said is gone from every place, and every proof stays.

mod files;
mod needle;
mod proofs;
mod requests;

use std::time::Duration;

use serde_json::{Value, json};
use tidings::domain::id::AuditLogRedactionId;
use tidings::upkeep::{exports, redactions};

use crate::harness::{Answer, Receiver, Reply, TestPlatform, eventually};
use needle::{NEEDLE, places_of};

async fn organization(platform: &TestPlatform) -> String {
    let body = json!({ "name": "Acme" });
    let made = platform.client().post("/organizations", &body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

/// An audit log event all of whose personal parts hold the needle.
fn entry(organization: &str, actor: &str) -> Value {
    json!({ "organization_id": organization, "event": {
        "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z",
        "actor": { "id": actor, "type": "user", "name": format!("{NEEDLE} {actor}"),
                   "metadata": { "mail": format!("{NEEDLE}@example.com") } },
        "targets": [{ "id": "t", "type": "team", "name": NEEDLE }, { "id": format!("of {actor}"), "type": "file" }],
        "context": { "location": format!("{NEEDLE} street"), "user_agent": NEEDLE },
        "metadata": { "note": format!("said {NEEDLE}") },
    } })
}

async fn record(platform: &TestPlatform, organization: &str, actor: &str) -> String {
    let body = entry(organization, actor);
    let recorded = platform.client().post("/audit_logs/events", &body).await;
    recorded.expect(201)["id"].as_str().unwrap().to_owned()
}

/// Has the receiver told of this organization's trail, and of nothing else.
async fn listen(platform: &TestPlatform, receiver: &Receiver, organization: &str) {
    let endpoint = json!({ "endpoint_url": receiver.url(), "events": ["audit_log.*"],
        "organization_id": organization });
    platform.register(endpoint).await;
}

async fn feed(platform: &TestPlatform, organization: &str) -> Value {
    let path = format!("/events?organization_id={organization}");
    platform.client().get(&path).await.expect(200)
}

fn about(organization: &str, actor: &str) -> Value {
    json!({ "organization_id": organization, "actor_ids": [actor], "reason": "request 7" })
}

async fn ask(platform: &TestPlatform, body: &Value) -> String {
    let made = platform.client().post("/audit_logs/redactions", body).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn show(platform: &TestPlatform, id: &str) -> Value {
    let path = format!("/audit_logs/redactions/{id}");
    platform.client().get(&path).await.expect(200)
}

async fn redact(platform: &TestPlatform, body: &Value) -> Value {
    let id = ask(platform, body).await;
    redactions::redact_pending(platform.store(), &platform.clock)
        .await
        .unwrap();
    show(platform, &id).await
}

async fn entries(platform: &TestPlatform, organization: &str) -> Vec<Value> {
    let path = format!("/audit_logs/events?order=asc&limit=100&organization_id={organization}");
    let list = platform.client().get(&path).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

async fn export(platform: &TestPlatform, organization: &str, names: &[&str]) -> String {
    let range = json!({ "organization_id": organization, "range_start": "2026-01-01",
        "range_end": "2030-01-01", "actor_names": names });
    let made = platform.client().post("/audit_logs/exports", &range).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn make_exports(platform: &TestPlatform) {
    exports::make_pending(platform.store(), &platform.clock)
        .await
        .unwrap();
}

async fn export_of(platform: &TestPlatform, id: &str) -> Value {
    let path = format!("/audit_logs/exports/{id}");
    platform.client().get(&path).await.expect(200)
}

async fn fetch(platform: &TestPlatform, export: &Value) -> Reply {
    let url = export["url"].as_str().unwrap();
    let path = &url[url.find("/audit_logs").unwrap()..];
    platform.client().with_key(None).get(path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_redacted_entry_said_is_left_anywhere() {
    let platform = TestPlatform::builder().retry_delays([5]).start().await;
    let organization = organization(&platform).await;
    // The receiver repeats what it is sent, as some do.
    let echo = Answer::from(500).saying(format!("I got {NEEDLE}").into_bytes());
    let receiver = Receiver::answering([echo.with("x-got", NEEDLE)]).await;
    listen(&platform, &receiver, &organization).await;
    // Several, so that the planner has something to sample; two deliveries end, and one is to be tried again.
    for _ in 0..2 {
        record(&platform, &organization, "ann").await;
    }
    platform.dispatch_due().await;
    record(&platform, &organization, "ann").await;
    platform.dispatch_after(Duration::from_secs(10)).await;
    let ready = export(&platform, &organization, &[&format!("{NEEDLE} ann")]).await;
    make_exports(&platform).await;
    let link = export_of(&platform, &ready).await;
    assert_eq!(fetch(&platform, &link).await.status, 200);
    let sql = platform.sql().await;
    sql.batch_execute("ANALYZE").await.unwrap();
    let before = places_of(&sql, NEEDLE).await;
    assert!(!before.iter().any(|found| found.starts_with("pg_stats")));
    for place in [
        "events.body",
        "audit_log_entries.object",
        "attempts.answer_headers",
        "attempts.answer_body",
        "deliveries.last_answer_headers",
        "deliveries.last_answer_body",
    ] {
        assert!(
            before.iter().any(|found| found.ends_with(place)),
            "{before:?}"
        );
    }

    let redaction = redact(&platform, &about(&organization, "ann")).await;

    assert_eq!(redaction["state"], "done", "{redaction}");
    assert_eq!(
        redaction["progress"],
        json!({ "redacted": 3, "unreadable": 0 })
    );
    let [redacted, _, _, grant] = &entries(&platform, &organization).await[..] else {
        panic!("four entries expected");
    };
    assert_eq!(redacted["redacted"], true);
    assert_eq!(redacted["actor"], json!({ "id": "ann", "type": "user" }));
    assert_eq!(grant["action"], "audit_log.redacted");
    assert_eq!(
        grant["targets"],
        json!([{ "id": redaction["id"], "type": "audit_log_redaction" }, { "id": "0-2", "type": "audit_log_leaves" }])
    );
    assert_eq!(places_of(&sql, NEEDLE).await, Vec::<String>::new());
    sql.batch_execute("ANALYZE").await.unwrap();
    assert_eq!(places_of(&sql, NEEDLE).await, Vec::<String>::new());

    let client = platform.client();
    let feed = feed(&platform, &organization).await;
    assert_eq!(feed["data"][0]["data"], *redacted);
    let single = format!("/events/{}", feed["data"][0]["id"].as_str().unwrap());
    assert_eq!(client.get(&single).await.expect(200), feed["data"][0]);
    let found = format!("/audit_logs/events?organization_id={organization}&search={NEEDLE}");
    assert_eq!(client.get(&found).await.expect(200)["data"], json!([]));
    assert_eq!(export_of(&platform, &ready).await["state"], "expired");
    assert_eq!(
        fetch(&platform, &link).await.verdict(),
        (410, "link_expired".to_owned())
    );
    let anew = export(&platform, &organization, &[]).await;
    make_exports(&platform).await;
    let anew = fetch(&platform, &export_of(&platform, &anew).await).await;
    assert_eq!(anew.text().lines().count(), 5);
    assert!(!anew.text().contains(NEEDLE));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_cancelled_and_a_replay_sends_the_redacted_form() {
    let platform = TestPlatform::builder().retry_delays([5]).start().await;
    let organization = organization(&platform).await;
    let receiver = Receiver::answering([500, 200]).await;
    listen(&platform, &receiver, &organization).await;
    record(&platform, &organization, "ann").await;
    platform.dispatch_due().await;
    let feed = feed(&platform, &organization).await;
    let event = &feed["data"][0];
    let attempts = platform.attempts(&platform.delivery_of(event).await).await;
    assert!(attempts[0].to_string().contains("webhook-signature"));

    redact(&platform, &about(&organization, "ann")).await;

    let delivery = platform.delivery_of(event).await;
    assert_eq!(delivery["state"], "cancelled");
    assert_eq!(delivery["cancel_reason"], "redacted", "{delivery}");
    let attempts = platform.attempts(&delivery).await;
    assert!(
        !attempts[0].to_string().contains("webhook-signature"),
        "{attempts:?}"
    );
    let replay = format!("/deliveries/{}/replay", delivery["id"].as_str().unwrap());
    platform
        .client()
        .post(&replay, &json!({}))
        .await
        .expect(201);
    platform.dispatch_due().await;
    let sent = receiver.requests();
    let sent: Vec<_> = sent.iter().map(|request| request.json()).collect();
    assert!(sent[0].to_string().contains(NEEDLE));
    assert_eq!(sent.len(), 3);
    for later in &sent[1..] {
        assert!(!later.to_string().contains(NEEDLE), "{later}");
    }
    assert!(
        sent[1..]
            .iter()
            .any(|later| later["data"]["redacted"] == true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_done_before_a_worker_must_have_let_go_of_what_it_was_sending() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let receiver = Receiver::answering([200]).await;
    listen(&platform, &receiver, &organization).await;
    record(&platform, &organization, "ann").await;
    let sql = platform.sql().await;
    let lease =
        "UPDATE outbox SET lease_id = id, worker_id = id, due_at = due_at + interval '30 seconds'";
    sql.batch_execute(lease).await.unwrap();

    let waiting = redact(&platform, &about(&organization, "ann")).await;
    let gone = sql
        .query("SELECT FROM outbox WHERE lease_id IS NOT NULL", &[])
        .await;
    platform.clock.advance(Duration::from_secs(31));
    redactions::redact_pending(platform.store(), &platform.clock)
        .await
        .unwrap();
    let done = show(&platform, waiting["id"].as_str().unwrap()).await;

    assert_eq!(
        (&waiting["state"], &waiting["finished_at"]),
        (&json!("pending"), &Value::Null)
    );
    assert_eq!(waiting["progress"]["redacted"], 1);
    assert!(gone.unwrap().is_empty());
    assert_eq!(done["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_export_begins_anew() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    let pending = export(&platform, &organization, &[]).await;
    let sql = platform.sql().await;
    let begun = "INSERT INTO audit_log_export_chunks SELECT environment_id, id, 0, $1 FROM audit_log_exports";
    sql.execute(begun, &[&NEEDLE.as_bytes()]).await.unwrap();
    let begun = "UPDATE audit_log_exports SET written_through = 0, entries = 1";
    sql.execute(begun, &[]).await.unwrap();

    redact(&platform, &about(&organization, "ann")).await;
    let after = export_of(&platform, &pending).await;
    make_exports(&platform).await;

    assert_eq!(
        (&after["state"], &after["progress"]["entries"]),
        (&json!("pending"), &json!(0))
    );
    let file = fetch(&platform, &export_of(&platform, &pending).await).await;
    assert_eq!(file.text().lines().count(), 2, "{}", file.text());
    assert!(!file.text().contains(NEEDLE));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_combine_and_later_entries_keep_their_parts() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let first = record(&platform, &organization, "ann").await;
    record(&platform, &organization, "ann").await;
    record(&platform, &organization, "bob").await;
    let body = json!({ "organization_id": organization, "actor_ids": ["ann", "bob"],
        "targets": [{ "type": "file", "id": "of ann" }], "event_ids": [first], "range_end": "2026-02-01" });
    let id = ask(&platform, &body).await;
    record(&platform, &organization, "ann").await;
    let all = about(&organization, "bob");

    redactions::redact_pending(platform.store(), &platform.clock)
        .await
        .unwrap();
    let done = show(&platform, &id).await;
    let nothing = redact(&platform, &body).await;
    redact(&platform, &all).await;

    assert_eq!(done["progress"]["redacted"], 1);
    assert_eq!(done["filters"]["event_ids"], json!([first]));
    assert_eq!(nothing["progress"]["redacted"], 0);
    let kept: Vec<bool> = entries(&platform, &organization)
        .await
        .iter()
        .map(|entry| entry["redacted"].is_null())
        .collect();
    // ann, ann, bob, ann, and the two entries that say so
    assert_eq!(kept, [false, true, false, true, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_that_was_broken_off_goes_on_and_two_servers_do_it_once() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let count = 3 * usize::try_from(redactions::BITE).unwrap() / 2;
    let batch: Vec<Value> = (0..50).map(|_| entry(&organization, "ann")).collect();
    for _ in 0..count / 50 {
        let body = json!({ "events": batch });
        let path = "/audit_logs/events/batch";
        platform.client().post(path, &body).await.expect(201);
    }
    let id = ask(&platform, &about(&organization, "ann")).await;
    let parsed: AuditLogRedactionId = id.parse().unwrap();
    let mut conn = platform.store().conn().await.unwrap();
    let clock = &platform.clock;
    let bite = redactions::redact_some(&mut conn, clock, platform.environment, parsed).await;
    assert!(bite.unwrap());
    drop(conn);
    let between = show(&platform, &id).await;

    let other = TestPlatform::builder().beside(&platform).start().await;
    let (one, two) = tokio::join!(
        redactions::redact_pending(platform.store(), clock),
        redactions::redact_pending(other.store(), clock),
    );

    assert_eq!(between["progress"]["redacted"], redactions::BITE);
    assert!(one.is_ok() && two.is_ok());
    let done = show(&platform, &id).await;
    assert_eq!(
        (&done["state"], &done["progress"]["redacted"]),
        (&json!("done"), &json!(count))
    );
    let grants = format!(
        "/audit_logs/events?order=asc&organization_id={organization}&actions=audit_log.redacted"
    );
    let grants = platform.client().get(&grants).await.expect(200);
    let named = grants["data"].as_array().unwrap().iter();
    let named: Vec<_> = named
        .map(|grant| grant["targets"][1]["id"].clone())
        .collect();
    assert_eq!(named, ["0-199", "200-299"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_answers_after_all_was_redacted_is_not_kept() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let echo = Answer::from(200).saying(format!("I got {NEEDLE}").into_bytes());
    // What comes later tells of the redaction.
    let script = [echo.with("x-got", NEEDLE), Answer::from(200)];
    let receiver = Receiver::answering(script).await;
    listen(&platform, &receiver, &organization).await;
    record(&platform, &organization, "a").await;
    receiver.hold();

    let redacting = async {
        eventually("the request is under way", async || {
            (!receiver.requests().is_empty()).then_some(())
        })
        .await;
        let id = ask(&platform, &about(&organization, "a")).await;
        for _ in 0..2 {
            redactions::redact_pending(platform.store(), &platform.clock)
                .await
                .unwrap();
            // Past the lease under which the request is being sent.
            platform.clock.advance(Duration::from_secs(120));
        }
        assert_eq!(show(&platform, &id).await["state"], "done");
        receiver.release();
    };
    tokio::join!(platform.dispatch_due(), redacting);

    let sql = platform.sql().await;
    let late = sql.query_one("SELECT count(*) FROM attempts", &[]).await;
    assert_eq!(late.unwrap().get::<_, i64>(0), 1);
    assert_eq!(places_of(&sql, NEEDLE).await, Vec::<String>::new());
}
