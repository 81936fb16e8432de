//! Requests for redactions: who may ask, for what, and what is told of those that cannot be met.

use serde_json::json;
use tidings::domain::access::Permission;

use super::{about, ask, organization, record, redact};
use crate::harness::TestPlatform;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_must_be_an_administrator_and_an_auditor_may_look() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let body = about(&organization, "ann");
    let id = ask(&platform, &body).await;
    let writer = platform.client_who_may(&[Permission::AuditWrite]).await;
    let reader = platform.client_who_may(&[Permission::AuditRead]).await;
    let foreign = platform.foreign_client().await;
    let path = format!("/audit_logs/redactions/{id}");

    assert_eq!(
        writer.post("/audit_logs/redactions", &body).await.status,
        403
    );
    assert_eq!(
        reader.post("/audit_logs/redactions", &body).await.status,
        403
    );
    let list = reader.get("/audit_logs/redactions").await.expect(200);
    assert_eq!(list["data"][0]["id"], *id);
    assert_eq!(list["data"][0]["reason"], "request 7");
    assert_eq!(
        foreign.get(&path).await.verdict(),
        (404, "entity_not_found".to_owned())
    );
    let theirs = foreign.post("/audit_logs/redactions", &body).await;
    assert_eq!(theirs.verdict(), (404, "entity_not_found".to_owned()));
    let list = foreign.get("/audit_logs/redactions").await.expect(200);
    assert_eq!(list["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unclear_is_refused_and_the_same_request_is_made_once() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    let client = platform.client();
    let everything = json!({ "organization_id": organization, "range_start": "2026-01-01" });
    let by_name =
        json!({ "organization_id": organization, "actor_ids": ["ann"], "actor_names": ["Ann"] });
    for body in [everything, by_name, json!({ "actor_ids": ["ann"] })] {
        let reply = client.post("/audit_logs/redactions", &body).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
    }
    let body = about(&organization, "ann");
    let unknown = about("org_01KDWX4V00000000000000TEST", "ann");
    let unknown = client.post("/audit_logs/redactions", &unknown).await;
    assert_eq!(unknown.status, 404);

    let first = client
        .post_once("/audit_logs/redactions", "k", &body)
        .await
        .expect(201);
    let again = client
        .post_once("/audit_logs/redactions", "k", &body)
        .await
        .expect(201);

    assert_eq!(again["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_in_the_trail_of_a_deleted_organization_and_of_the_environment_can_be_forgotten() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    let event = record(&platform, &organization, "ann").await;
    let path = format!("/organizations/{organization}");
    assert!(platform.client().delete(&path).await.status < 300);

    let redaction = redact(&platform, &about(&organization, "ann")).await;
    let own = redact(&platform, &about("environment", "ann")).await;

    assert_eq!(redaction["progress"]["redacted"], 1);
    let path = format!("/audit_logs/events/{event}");
    let entry = platform.client().get(&path).await.expect(200);
    assert_eq!(entry["redacted"], true);
    assert_eq!(
        (&own["state"], &own["organization_id"]),
        (&json!("done"), &json!("environment"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_tampered_with_is_told_and_left() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    record(&platform, &organization, "ann").await;
    let sql = platform.sql().await;
    let edit =
        "UPDATE audit_log_entries SET object = replace(object, '\"index\":0', '\"index\":00')";
    sql.execute(edit, &[]).await.unwrap();

    let redaction = redact(&platform, &about(&organization, "ann")).await;

    assert_eq!(redaction["state"], "error");
    assert_eq!(
        redaction["progress"],
        json!({ "redacted": 1, "unreadable": 1 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_read_back_is_an_error_and_the_others_go_on() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    let unread = ask(&platform, &about(&organization, "ann")).await;
    let sql = platform.sql().await;
    let edit = "UPDATE audit_log_redactions SET filter = '{'";
    sql.execute(edit, &[]).await.unwrap();

    let done = redact(&platform, &about(&organization, "ann")).await;

    assert_eq!(done["state"], "done");
    assert_eq!(done["progress"]["redacted"], 1);
    let list = platform.client().get("/audit_logs/redactions").await;
    let list = list.expect(200);
    assert_eq!(
        (&list["data"][1]["id"], &list["data"][1]["state"]),
        (&json!(unread), &json!("error"))
    );
}
