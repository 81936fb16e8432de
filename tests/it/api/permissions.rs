//! Who may do what: the whole matrix, made from the route table, so that a new route cannot be forgotten.

use std::collections::HashMap;

use serde_json::{Value, json};
use tidings::domain::access::Permission;
use tidings::http::{Route, routes};

use crate::harness::{Client, Receiver, Reply, TestPlatform};

/// Sends what the route takes, so that a call which is let through succeeds or fails for its own reasons.
async fn call(client: &Client, route: &Route, ids: &HashMap<&str, String>) -> Reply {
    let mut segments = route.path.split('/').skip(1);
    let noun = match segments.next().unwrap() {
        "audit_logs" => segments.next().unwrap(),
        noun => noun,
    };
    let noun = if route.path.starts_with("/audit_logs/events") {
        "entries"
    } else {
        noun
    };
    let mut path = route.path.replace("{name}", "a.type");
    path = path.replace("{action}", "an.action");
    if let Some(id) = ids.get(noun) {
        path = path.replace("{id}", id);
    }
    let mut path = path.replace("{external_id}", &ids["external_id"]);
    path.push_str(&query(route, ids));
    let request = client.request(route.method.as_str().parse().unwrap(), &path);
    let body = match route.operation_id {
        "create_event" => json!({ "event": "a", "data": {} }),
        "create_event_batch" => json!({ "events": [{ "event": "a", "data": {} }] }),
        "create_webhook_endpoint" => {
            json!({ "endpoint_url": "http://127.0.0.1:7007/new", "events": [] })
        }
        "create_organization" => json!({ "name": "New" }),
        "create_event_type" => json!({ "name": "b.type" }),
        "create_audit_log_event" => entry(&ids["organizations"]),
        "create_audit_log_event_batch" => {
            json!({ "events": [entry(&ids["organizations"])] })
        }
        "create_audit_log_schema" => json!({ "targets": [{ "type": "team" }] }),
        "create_audit_log_export" => json!({
            "organization_id": ids["organizations"],
            "range_start": "2020-01-01T00:00:00.000Z",
            "range_end": "2030-01-01T00:00:00.000Z",
        }),
        "create_audit_log_checkpoint" => json!({ "organization_id": ids["organizations"] }),
        "create_audit_log_redaction" => json!({
            "organization_id": ids["organizations"], "actor_ids": ["nobody"],
        }),
        "create_replay" | "preview_replay" => json!({
            "webhook_endpoint_id": ids["webhook_endpoints"], "scope": "all",
            "range_start": "2020-01-01T00:00:00.000Z",
        }),
        "create_portal_link" => json!({ "organization_id": ids["organizations"] }),
        "update_audit_logs_retention" => json!({ "retention_period": "1_YEAR" }),
        _ => json!({}),
    };
    let takes_body = ["POST", "PUT", "PATCH"].contains(&route.method.as_str());
    client
        .send(if takes_body {
            request.json(&body)
        } else {
            request
        })
        .await
}

/// The parameters without which a route answers nothing.
fn query(route: &Route, ids: &HashMap<&str, String>) -> String {
    let trail = format!("?organization_id={}", ids["organizations"]);
    match route.operation_id {
        "list_audit_log_checkpoints" | "get_latest_audit_log_checkpoint" => trail,
        "explain_event" => format!("?endpoint={}", ids["webhook_endpoints"]),
        "get_audit_log_consistency_proof" => trail + "&from=1&to=1",
        _ => String::new(),
    }
}

/// What an audit log event of this organization takes.
fn entry(organization: &str) -> Value {
    json!({
        "organization_id": organization,
        "event": {
            "action": "an.action",
            "occurred_at": "2026-01-01T00:00:00.000Z",
            "actor": { "id": "u", "type": "user" },
            "targets": [{ "id": "t", "type": "team" }],
            "context": { "location": "1.1.1.1" },
        },
    })
}

/// One object of each noun, and their ids by the first segment of the path.
async fn furnish(platform: &TestPlatform) -> HashMap<&'static str, String> {
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let delivery = platform.delivery_of(&event).await;
    let body = json!({ "name": "Acme", "external_id": "customer-1" });
    let organization = platform
        .client()
        .post("/organizations", &body)
        .await
        .expect(201);
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let client = platform.client();
    let made =
        |path: &'static str, body: Value| async move { client.post(path, &body).await.expect(201) };
    made("/event_types", json!({ "name": "a.type" })).await;
    let schema = json!({ "targets": [{ "type": "team" }] });
    made("/audit_logs/actions/an.action/schemas", schema).await;
    let recorded = made("/audit_logs/events", entry(&id(&organization))).await;
    let range = json!({
        "organization_id": id(&organization),
        "range_start": "2020-01-01T00:00:00.000Z",
        "range_end": "2030-01-01T00:00:00.000Z",
    });
    let export = made("/audit_logs/exports", range).await;
    let trail = json!({ "organization_id": id(&organization) });
    let checkpoint = made("/audit_logs/checkpoints", trail).await;
    let nobody = json!({ "organization_id": id(&organization), "actor_ids": ["nobody"] });
    let redaction = made("/audit_logs/redactions", nobody).await;
    let all = json!({
        "webhook_endpoint_id": id(&endpoint), "scope": "all", "range_start": "2020-01-01T00:00:00.000Z",
    });
    let replay = made("/replays", all).await;
    HashMap::from([
        ("replays", id(&replay)),
        ("entries", id(&recorded)),
        ("exports", id(&export)),
        ("checkpoints", id(&checkpoint)),
        ("redactions", id(&redaction)),
        ("events", id(&event)),
        ("webhook_endpoints", id(&endpoint)),
        ("deliveries", id(&delivery)),
        ("organizations", id(&organization)),
        ("external_id", "customer-1".to_owned()),
    ])
}

/// Ids of the right kinds that name nothing anywhere.
fn unknown() -> HashMap<&'static str, String> {
    let id = |prefix: &str| format!("{prefix}_01KDWX4V00000000000000TEST");
    HashMap::from([
        ("events", id("event")),
        ("webhook_endpoints", id("we")),
        ("deliveries", id("dlv")),
        ("organizations", id("org")),
        ("entries", id("audit_log_event")),
        ("exports", id("audit_log_export")),
        ("checkpoints", id("audit_log_checkpoint")),
        ("redactions", id("audit_log_redaction")),
        ("replays", id("replay")),
        ("external_id", "nobody".to_owned()),
    ])
}

fn guarded() -> impl Iterator<Item = &'static Route> {
    routes().iter().filter(|route| route.permission.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_a_caller_without_a_valid_key() {
    let platform = TestPlatform::usual().await;
    let ids = furnish(&platform).await;
    for route in guarded() {
        for key in [
            None,
            Some("sk_wrong"),
            Some(""),
            Some("sk_0000000000000000000000000000000000000000000"),
        ] {
            let reply = call(&platform.client().with_key(key), route, &ids).await;
            assert_eq!(
                reply.verdict(),
                (401, "unauthorized".to_owned()),
                "{route:?} {key:?}"
            );
            assert!(
                reply.header("x-request-id").starts_with("req_"),
                "{route:?}"
            );
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_every_permission_but_its_own() {
    let platform = TestPlatform::usual().await;
    let ids = furnish(&platform).await;
    let mut clients = Vec::new();
    for permission in Permission::ALL {
        clients.push((permission, platform.client_who_may(&[permission]).await));
    }
    for route in guarded() {
        for (held, client) in &clients {
            if Some(*held) == route.permission || *held == Permission::Admin {
                continue;
            }
            let reply = call(client, route, &ids).await;
            assert_eq!(
                reply.verdict(),
                (403, "forbidden".to_owned()),
                "{route:?} with {held}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_its_own_permission_and_an_administrator_through() {
    let platform = TestPlatform::usual().await;
    // deletions last, or there would be nothing for the others
    let mut all: Vec<_> = guarded().collect();
    all.sort_by_key(|route| route.method == "DELETE");
    for permission in [None, Some(Permission::Admin)] {
        let platform = if permission.is_some() {
            TestPlatform::usual().await
        } else {
            TestPlatform::builder().beside(&platform).start().await
        };
        let ids = furnish(&platform).await;
        for route in &all {
            let held = permission.or(route.permission).unwrap();
            let client = platform.client_who_may(&[held]).await;
            let reply = call(&client, route, &ids).await;
            assert!(
                reply.status < 300,
                "{route:?} with {held}: {} {}",
                reply.status,
                reply.text()
            );
        }
        platform.dispatch_due().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_environment_is_answered_exactly_like_one_that_is_not_there() {
    let platform = TestPlatform::usual().await;
    let ids = furnish(&platform).await;
    let foreign = platform.foreign_client().await;
    for route in guarded().filter(|route| route.path.contains("id}")) {
        let theirs = call(&foreign, route, &ids).await;
        let nobodys = call(&foreign, route, &unknown()).await;

        assert_eq!(
            theirs.verdict(),
            (404, "entity_not_found".to_owned()),
            "{route:?}"
        );
        let blank = |reply: &Reply, ids: &HashMap<&str, String>| {
            // the longest first: an id may end as another is written
            let mut ids: Vec<_> = ids.values().collect();
            ids.sort_by_key(|id| std::cmp::Reverse(id.len()));
            ids.iter()
                .fold(reply.text().to_owned(), |text, id| text.replace(*id, "ID"))
        };
        assert_eq!(
            blank(&theirs, &ids),
            blank(&nobodys, &unknown()),
            "{route:?}"
        );
        let names = |reply: &Reply| {
            let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&theirs), names(&nobodys), "{route:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_filters_show_nothing_of_another_environment() {
    let platform = TestPlatform::usual().await;
    let ids = furnish(&platform).await;
    let foreign = platform.foreign_client().await;
    for path in [
        "/events".to_owned(),
        "/webhook_endpoints".to_owned(),
        "/deliveries".to_owned(),
        format!("/deliveries?event_id={}", ids["events"]),
        format!(
            "/deliveries?webhook_endpoint_id={}",
            ids["webhook_endpoints"]
        ),
        format!("/deliveries?order=asc&before={}", ids["deliveries"]),
        "/replays".to_owned(),
        format!("/replays?webhook_endpoint_id={}", ids["webhook_endpoints"]),
        format!("/replays?order=asc&before={}", ids["replays"]),
        "/organizations".to_owned(),
        "/organizations?search=Acme".to_owned(),
        format!("/organizations?order=asc&before={}", ids["organizations"]),
    ] {
        let list = foreign.get(&path).await;
        if list.status == 200 {
            assert_eq!(list.json()["data"], json!([]), "{path}");
        } else {
            assert_eq!(list.verdict(), (400, "invalid_cursor".to_owned()), "{path}");
        }
    }
    let bound = json!({ "event": "a", "data": {}, "organization_id": ids["organizations"] });
    foreign.post("/events", &bound).await.expect(201);
    assert_eq!(platform.deliveries("").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stops_working() {
    let platform = TestPlatform::usual().await;
    let client = platform.client_who_may(&[Permission::EventsRead]).await;
    assert_eq!(client.get("/events").await.status, 200);

    let sql = platform.sql().await;
    sql.execute("UPDATE api_keys SET revoked_at = now()", &[])
        .await
        .unwrap();

    crate::harness::eventually("the key is refused", async || {
        (client.get("/events").await.status == 401).then_some(())
    })
    .await;
}
