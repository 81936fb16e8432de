//! The demo: a story that is told once, with everything in it that the portal has a page for.

use serde_json::{Value, json};

use crate::process::{KEY, Server, Site, free_port, text};

async fn list(server: &Server, path: &str) -> Vec<Value> {
    let page: Value = server.get(path).await.json().await.unwrap();
    page["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_has_what_the_portal_shows_and_is_told_once() {
    let site = Site::new();
    let server = site.serve().await;
    let url = server.url("");
    let site = site.with("TIDINGS_URL", &url).with("TIDINGS_API_KEY", KEY);
    let address = format!("127.0.0.1:{}", free_port());
    let demo = ["demo", "--quick", "--json", "--receive-on", &address];

    let told = site.json(&demo).await;

    let feed = server.feed().await;
    let published = |event: &&Value| event["context"]["source"].is_string();
    assert_eq!(feed.iter().filter(published).count(), 60, "{told}");
    let ends = |feed: &[Value]| {
        feed.iter()
            .filter(|event| event["event"] == "demo.completed")
            .count()
    };
    assert_eq!(ends(&feed), 1);
    assert_eq!(list(&server, "/organizations?limit=100").await.len(), 3);
    let entries = "/audit_logs/events?limit=100&actions=user.*,member.*,invoice.refunded,report.*";
    assert!(list(&server, entries).await.len() > 20);
    let conditions: Vec<_> = told["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| {
            (
                endpoint["description"].as_str().unwrap(),
                &endpoint["condition"],
            )
        })
        .collect();
    let is = |name: &str| {
        let found = conditions
            .iter()
            .find(|(description, _)| description.starts_with(name));
        found.unwrap().1.as_str().unwrap()
    };
    assert_eq!(is("Old CRM"), "paused", "{conditions:?}");
    assert_eq!(is("Former partner"), "disabled", "{conditions:?}");
    assert_eq!(is("Billing"), "well", "{conditions:?}");
    // the flaky one has refused some, and has taken everything
    let mail = &told["endpoints"][4]["id"].as_str().unwrap();
    let mails = list(
        &server,
        &format!("/deliveries?limit=100&webhook_endpoint_id={mail}"),
    )
    .await;
    assert!(
        mails.iter().all(|mail| mail["state"] == "delivered"),
        "{mails:?}"
    );
    assert!(
        mails.iter().any(|mail| mail["attempts"] != json!(1)),
        "{mails:?}"
    );
    for sight in told["look_at"].as_array().unwrap() {
        assert!(
            sight["url"].as_str().unwrap().contains("/portal"),
            "{sight}"
        );
    }

    let again = site.run(&demo).await;

    let said = text(&again.stderr);
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("has the demo already"), "{said}");
    let feed = server.feed().await;
    assert_eq!(feed.iter().filter(published).count(), 60);
    assert_eq!(ends(&feed), 1);
    assert_eq!(list(&server, "/webhook_endpoints?limit=100").await.len(), 7);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_deliver_here_ends_the_story_with_what_to_do() {
    let site = Site::new().with("TIDINGS__EGRESS__ALLOW", "");
    let server = site.serve().await;
    let url = server.url("");
    let address = format!("127.0.0.1:{}", free_port());

    let demo = [
        "demo",
        "--quick",
        "--url",
        &url,
        "--key",
        KEY,
        "--receive-on",
        &address,
    ];
    let refused = site.run(&demo).await;

    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("--egress-allow 127.0.0.1"), "{said}");
    server.stop().await;
}
