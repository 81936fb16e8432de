//! Pages: what stands around each, and what hostile text becomes on them.

use serde_json::json;

use super::Visitor;
use crate::harness::{Answer, Receiver, TestPlatform, seconds};

/// Text that would run if a page let it.
const HOSTILE: &str = r#""'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_strict_headers_whoever_asks_and_whatever_it_answers() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;
    let mut stranger = Visitor::stranger(&platform);

    for path in [
        "/portal",
        "/portal/events",
        "/portal/events/event_1",
        "/portal/events/event_1/body",
        "/portal/deliveries?state=pending",
        "/portal/endpoints/new",
        "/portal/replays",
        "/portal/replays/new",
        "/portal/audit",
        "/portal/audit/exports",
        "/portal/audit/checkpoints",
        "/portal/audit/schemas",
        "/portal/audit/schemas/new",
        "/portal/audit/actions/a.b",
        "/portal/settings",
        "/portal/settings/configuration",
        "/portal/settings/keys",
        "/portal/settings/keys/new",
        "/portal/settings/organizations",
        "/portal/settings/organizations/x",
    ] {
        headers_are_strict(path, &operator.get(path).await.headers);
    }
    for path in ["/portal", "/portal/sign-in", "/portal/link/x"] {
        headers_are_strict(path, &stranger.get(path).await.headers);
    }
}

fn headers_are_strict(path: &str, headers: &reqwest::header::HeaderMap) {
    let header = |name| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let policy = header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(rule), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(header("x-frame-options"), "DENY", "{path}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
    assert_eq!(header("cache-control"), "no-store", "{path}");
}

/// Puts hostile text into everything that reaches a page; answers the pages.
async fn poison(platform: &TestPlatform, receiver: &Receiver) -> Vec<String> {
    let client = platform.client();
    let organization = json!({ "name": HOSTILE, "external_id": HOSTILE });
    let organization = client
        .post("/organizations", &organization)
        .await
        .expect(201);
    let endpoint = json!({
        "endpoint_url": format!("{}/?q='-alert(1)-'", receiver.url()),
        "events": ["a.b"], "description": HOSTILE,
    });
    let endpoint = platform.register(endpoint).await;
    let event = platform.publish("a.b", json!({ HOSTILE: HOSTILE })).await;
    platform.dispatch_due().await;
    let delivery = platform.delivery_of(&event).await;
    let entry = json!({
        "organization_id": organization["id"],
        "event": {
            "action": "an.action",
            "occurred_at": "2026-01-01T00:00:00.000Z",
            "actor": { "id": HOSTILE, "type": HOSTILE, "name": HOSTILE },
            "targets": [{ "id": HOSTILE, "type": HOSTILE, "name": HOSTILE }],
            "context": { "location": HOSTILE, "user_agent": HOSTILE },
            "metadata": { "m": HOSTILE },
        },
    });
    let entry = client.post("/audit_logs/events", &entry).await.expect(201);
    platform.dispatch_due().await;
    let replay = json!({ "webhook_endpoint_id": endpoint["id"], "scope": "all", "range_start": "2020-01-01" });
    let replay = client.post("/replays", &replay).await.expect(201);
    platform.dispatch_due().await;
    let id = |object: &serde_json::Value| object["id"].as_str().unwrap().to_owned();
    let hostile: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    vec![
        "/portal".to_owned(),
        "/portal/events".to_owned(),
        format!(
            "/portal/events?type={hostile}&organization={hostile}&from={hostile}&until={hostile}&id={hostile}"
        ),
        format!("/portal/events/{}", id(&event)),
        format!("/portal/events/{hostile}"),
        format!(
            "/portal/events/{}/why?endpoint={}",
            id(&event),
            id(&endpoint)
        ),
        "/portal/endpoints".to_owned(),
        format!("/portal/endpoints?done={hostile}"),
        format!("/portal/endpoints/{}", id(&endpoint)),
        format!("/portal/endpoints/{}/edit", id(&endpoint)),
        format!(
            "/portal/deliveries?state={hostile}&outcome={hostile}&endpoint={hostile}&event={hostile}"
        ),
        format!("/portal/deliveries/{}", id(&delivery)),
        format!("/portal/replays/{}", id(&replay)),
        format!("/portal/replays?endpoint={hostile}"),
        format!(
            "/portal/replays/new?endpoint={hostile}&from={hostile}&until={hostile}&rate={hostile}"
        ),
        format!("/portal/audit?trail={}", id(&organization)),
        format!("/portal/audit?search={hostile}&action={hostile}&actor={hostile}"),
        format!("/portal/audit/entries/{}", id(&entry)),
        "/portal/settings".to_owned(),
    ]
}

/// A receiver that attacks with its answers.
async fn hostile_receiver() -> Receiver {
    let answer = Answer::from(500)
        .with("x-hostile", HOSTILE)
        .saying(HOSTILE.as_bytes().to_vec());
    Receiver::answering([answer]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_text_on_every_page() {
    let platform = TestPlatform::usual().await;
    let receiver = hostile_receiver().await;
    let pages = poison(&platform, &receiver).await;
    let mut operator = Visitor::operator(&platform).await;

    let mut shown = 0;
    for path in &pages {
        let page = operator.get(path).await;
        assert!(page.status < 500, "{path}: {}", page.status);
        for alive in ["<script>alert", "<img", "onerror=alert(1)>"] {
            assert!(!page.text.contains(alive), "{path} holds {alive}");
        }
        shown += page.text.matches("&lt;script&gt;alert(1)").count();
    }
    assert!(shown > 20, "the text was hardly on any page: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_at_the_front_door_is_led_to_the_portal_and_a_program_is_told_of_it() {
    let platform = TestPlatform::usual().await;
    let client = platform.client().with_key(None).following_nothing();
    let at = |accept: &'static str| {
        let request = client.request(reqwest::Method::GET, "/");
        client.send(request.header("accept", accept))
    };

    let browser = at("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8").await;
    let program = at("*/*").await;

    assert_eq!(
        (browser.status, browser.header("location")),
        (302, "/portal")
    );
    let links = &program.expect(200)["links"];
    assert_eq!(
        (&links["portal"], &links["documentation"]),
        (&json!("/portal"), &json!("/docs"))
    );
    // Strangers are told where the documentation is.
    let door = Visitor::stranger(&platform).get("/portal/sign-in").await;
    assert!(door.text.contains(r#"href="/docs""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_form_keeps_what_was_typed_and_says_everything_that_is_wrong() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;
    let form = [
        ("url", "http://127.0.0.1:7009/x"),
        ("patterns", "good.one bad..one"),
        ("organization", "org_nonsense"),
    ];

    let page = operator.submit("/portal", "/portal/endpoints", &form).await;

    assert_eq!(page.status, 422);
    for part in [
        "bad..one is no event type",
        "No organization has this name or id",
        "good.one",
        "http://127.0.0.1:7009/x",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_on_the_page_only_when_it_was_asked_for() {
    let platform = TestPlatform::usual().await;
    let endpoint = json!({ "endpoint_url": "http://127.0.0.1:7009/x", "events": [] });
    let endpoint = platform.register(endpoint).await;
    let secret = endpoint["secret"].as_str().unwrap();
    let mut operator = Visitor::operator(&platform).await;
    let path = format!("/portal/endpoints/{}", endpoint["id"].as_str().unwrap());

    assert!(!operator.get(&path).await.text.contains(secret));
    let revealed = operator.submit(&path, &path, &[("act", "reveal")]).await;
    assert!(revealed.text.contains(secret));
    assert_eq!(revealed.headers["cache-control"], "no-store");

    operator
        .submit(&path, &path, &[("act", "rotate"), ("overlap", "3600")])
        .await;
    let rotated = operator.get(&path).await;
    assert!(
        rotated.text.contains("Two secrets sign until"),
        "{}",
        rotated.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_verified_against_the_signed_checkpoint_and_an_edit_is_seen() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let pages = poison(&platform, &receiver).await;
    let mut operator = Visitor::operator(&platform).await;
    let entry = pages
        .iter()
        .find(|page| page.contains("/audit/entries/"))
        .unwrap();
    let trail = pages
        .iter()
        .find_map(|page| page.strip_prefix("/portal/audit?trail="))
        .unwrap();

    assert!(operator.get(entry).await.text.contains("not signed yet"));
    let signed = operator
        .submit("/portal", "/portal/audit/checkpoints", &[("trail", trail)])
        .await;
    assert_eq!(signed.status, 303, "{}", signed.text);
    assert!(operator.get(entry).await.text.contains(">verified<"));

    let sql = platform.sql().await;
    let edit = "UPDATE audit_log_nodes SET hash = sha256(hash) WHERE level = 0";
    sql.execute(edit, &[]).await.unwrap();
    assert!(operator.get(entry).await.text.contains("not verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_tells_how_its_attempts_failed_by_kind() {
    let platform = TestPlatform::builder().retry_delays([5, 5]).start().await;
    let receiver = Receiver::answering([503, 404, 200, 503, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    // The first fails twice and arrives, the second fails and is owed, and the third arrives.
    platform.publish("a", json!({})).await;
    for _ in 0..3 {
        platform.dispatch_after(seconds(10)).await;
    }
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    let other = Receiver::answering([500]).await;
    platform.create_endpoint(&other, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    let mut operator = Visitor::operator(&platform).await;
    let page = format!("/portal/endpoints/{}", endpoint["id"].as_str().unwrap());
    let page = operator.get(&page).await.text;

    let (_, table) = page.split_once("Failed attempts</th>").expect(&page);
    let rows = table.split("<tr>").skip(1).take(2);
    let rows: Vec<&str> = rows.collect();
    for (row, (kind, times)) in rows
        .iter()
        .zip([("503 Service Unavailable", 2), ("404 Not Found", 1)])
    {
        assert!(row.contains(kind), "{row}");
        assert!(
            row.contains(&format!(r#"<td class="num">{times}</td>"#)),
            "{row}"
        );
    }
    assert!(!page.contains("500 Internal"), "another endpoint's");
    assert!(!page.contains("200 OK"), "no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_filtered_by_what_their_last_attempt_came_to() {
    let platform = TestPlatform::usual().await;
    let (accepting, refusing) = (
        Receiver::answering([200]).await,
        Receiver::answering([500]).await,
    );
    let good = platform.create_endpoint(&accepting, ["a"]).await;
    let bad = platform.create_endpoint(&refusing, ["a"]).await;
    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    let mut operator = Visitor::operator(&platform).await;
    for (outcome, shown) in [
        ("accepted", [true, false]),
        ("refused", [false, true]),
        ("timed_out", [false, false]),
        ("", [true, true]),
    ] {
        let page = format!("/portal/deliveries?outcome={outcome}");
        let page = operator.get(&page).await.text;
        let found = [&good, &bad].map(|endpoint| page.contains(endpoint["id"].as_str().unwrap()));
        assert_eq!(found, shown, "{outcome}");
        let chosen = format!(r#"<option value="{outcome}" selected>"#);
        assert!(outcome.is_empty() || page.contains(&chosen), "{outcome}");
    }
}
