//! An organization's people: what is there for them, and what is not.

use serde_json::{Value, json};

use super::Visitor;
use crate::harness::{Receiver, TestPlatform};

/// What one organization has, by its pages.
struct Belongings {
    organization: String,
    pages: Vec<String>,
    endpoint: String,
    delivery: String,
    replay: String,
}

async fn furnish(platform: &TestPlatform, name: &str, receiver: &Receiver) -> Belongings {
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let client = platform.client();
    let organization = client
        .post("/organizations", &json!({ "name": name }))
        .await
        .expect(201);
    let organization = id(&organization);
    let endpoint = json!({
        "endpoint_url": format!("{}/{name}", receiver.url()), "events": ["a.b"], "organization_id": organization,
    });
    let endpoint = id(&platform.register(endpoint).await);
    let event = json!({ "event": "a.b", "data": { "of": name }, "organization_id": organization });
    let event = client.post("/events", &event).await.expect(201);
    platform.dispatch_due().await;
    let delivery = id(&platform.delivery_of(&event).await);
    let event = id(&event);
    let entry = json!({
        "organization_id": organization,
        "event": {
            "action": "an.action",
            "occurred_at": "2026-01-01T00:00:00.000Z",
            "actor": { "id": "u", "type": "user" },
            "targets": [{ "id": "t", "type": "team" }],
            "context": { "location": "1.1.1.1" },
        },
    });
    let entry = id(&client.post("/audit_logs/events", &entry).await.expect(201));
    let replay =
        json!({ "webhook_endpoint_id": endpoint, "scope": "all", "range_start": "2020-01-01" });
    let replay = id(&client.post("/replays", &replay).await.expect(201));
    platform.dispatch_due().await;
    Belongings {
        pages: vec![
            format!("/portal/events/{event}"),
            format!("/portal/events/{event}/why?endpoint={endpoint}"),
            format!("/portal/endpoints/{endpoint}"),
            format!("/portal/endpoints/{endpoint}/edit"),
            format!("/portal/deliveries/{delivery}"),
            format!("/portal/replays/{replay}"),
            format!("/portal/replays/new?endpoint={endpoint}"),
            format!("/portal/audit/entries/{entry}"),
        ],
        organization,
        endpoint,
        delivery,
        replay,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_what_is_theirs_and_nothing_else() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let ours = furnish(&platform, "ours", &receiver).await;
    let theirs = furnish(&platform, "theirs", &receiver).await;
    platform.create_endpoint(&receiver, ["a.b"]).await;
    let mut member = Visitor::member(&platform, &ours.organization, "manager").await;

    for page in &ours.pages {
        assert_eq!(member.get(page).await.status, 200, "{page}");
    }
    for page in &theirs.pages {
        assert_eq!(member.get(page).await.status, 404, "{page}");
    }
    for list in [
        "/portal",
        "/portal/events",
        "/portal/endpoints",
        "/portal/deliveries",
        "/portal/replays",
        "/portal/replays/new",
        "/portal/audit",
        "/portal/audit/checkpoints",
    ] {
        let page = member.get(list).await;
        assert_eq!(page.status, 200, "{list}");
        for foreign in [
            &theirs.endpoint,
            &theirs.organization,
            &theirs.delivery,
            &theirs.replay,
        ] {
            assert!(
                !page.text.contains(foreign.as_str()),
                "{list} shows {foreign}"
            );
        }
    }
    let audit = format!("/portal/audit?trail={}", theirs.organization);
    assert!(
        !member
            .get(&audit)
            .await
            .text
            .contains(&theirs.organization[4..].to_lowercase())
    );
    let organization = format!("/portal/settings/organizations/{}", ours.organization);
    for operators in [
        "/portal/settings",
        "/portal/settings/configuration",
        "/portal/settings/keys",
        "/portal/settings/keys/new",
        "/portal/settings/organizations",
        &organization,
        "/portal/audit/exports",
        "/portal/audit/schemas",
        "/portal/audit/schemas/new",
        "/portal/audit/actions/a.b",
    ] {
        assert_eq!(member.get(operators).await.status, 403, "{operators}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_changes_nothing_of_anybody_else() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let ours = furnish(&platform, "ours", &receiver).await;
    let theirs = furnish(&platform, "theirs", &receiver).await;
    let mut member = Visitor::member(&platform, &ours.organization, "manager").await;
    let endpoint = format!("/portal/endpoints/{}", theirs.endpoint);
    let replay = format!("/portal/deliveries/{}/replay", theirs.delivery);

    for (path, act) in [
        (&endpoint, "reveal"),
        (&endpoint, "disable"),
        (&endpoint, "rotate"),
        (&endpoint, "delete"),
        (&replay, ""),
    ] {
        let form = [("act", act), ("overlap", "0")];
        let page = member.submit("/portal", path, &form).await;
        assert_eq!(page.status, 404, "{path} {act}");
    }
    let retention = format!(
        "/portal/settings/organizations/{}/retention",
        ours.organization
    );
    let key = "/portal/settings/keys/key_01ARZ3NDEKTSV4RRFFQ69G5FAV/revoke";
    for operators in [
        "/portal/settings/keys",
        key,
        &retention,
        "/portal/audit/schemas",
    ] {
        let form = [
            ("name", "x"),
            ("may", "admin"),
            ("days", "30"),
            ("sure", "yes"),
        ];
        let page = member.submit("/portal", operators, &form).await;
        assert_eq!(page.status, 403, "{operators}");
    }
    let form = [
        ("url", "http://127.0.0.1:7009/new"),
        ("organization", theirs.organization.as_str()),
    ];
    let made = member.submit("/portal", "/portal/endpoints", &form).await;

    let made = made
        .location
        .trim_start_matches("/portal/endpoints/")
        .split('?')
        .next()
        .unwrap();
    let made = platform
        .client()
        .get(&format!("/webhook_endpoints/{made}"))
        .await
        .expect(200);
    assert_eq!(made["organization_id"], json!(ours.organization));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_looks_and_changes_nothing_and_sees_no_secret() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let ours = furnish(&platform, "ours", &receiver).await;
    let mut viewer = Visitor::member(&platform, &ours.organization, "viewer").await;
    let endpoint = format!("/portal/endpoints/{}", ours.endpoint);

    assert_eq!(viewer.get(&endpoint).await.status, 200);
    for act in [
        "reveal", "disable", "enable", "rotate", "complete", "test", "delete",
    ] {
        let form = [("act", act), ("overlap", "0")];
        let page = viewer.submit("/portal", &endpoint, &form).await;
        assert_eq!(page.status, 403, "{act}");
        assert!(!page.text.contains("whsec_"), "{act}");
    }
    let replay = format!("/portal/deliveries/{}/replay", ours.delivery);
    assert_eq!(viewer.submit("/portal", &replay, &[]).await.status, 403);
    let form = [("url", "http://127.0.0.1:7009/new")];
    assert_eq!(
        viewer
            .submit("/portal", "/portal/endpoints", &form)
            .await
            .status,
        403
    );
}
