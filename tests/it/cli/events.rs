//! Publishing, following and receiving from the command line.

use serde_json::Value;

use crate::process::{KEY, Process, Site, eventually, free_port, seconds, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_followed_in_order_and_once() {
    let site = Site::new();
    let server = site.serve().await;
    let url = server.url("");
    let site = site.with("TIDINGS_URL", &url).with("TIDINGS_API_KEY", KEY);
    let one = site
        .json(&[
            "events",
            "publish",
            "invoice.paid",
            r#"{"b": 1.50, "a": 1}"#,
            "--json",
        ])
        .await;
    let tail =
        Process::start(site.command(&["events", "tail", "--json", "--events", "invoice.*,user.*"]));

    let two = site.run(&["events", "publish", "user.created"]).await;
    let two = text(&two.stdout).trim().to_owned();
    let key = ["--idempotency-key", "once"];
    let three = site
        .run(&[&["events", "publish", "invoice.paid"][..], &key].concat())
        .await;
    let again = site
        .run(&[&["events", "publish", "invoice.paid"][..], &key].concat())
        .await;

    assert!(three.status.success(), "{}", text(&three.stderr));
    assert_eq!(three.stdout, again.stdout, "one event for one key");
    let three = text(&three.stdout).trim().to_owned();
    let followed = eventually("three events are followed", seconds(10), async || {
        let lines = tail.printed();
        (lines.len() >= 3).then_some(lines)
    })
    .await;
    let ids: Vec<String> = followed
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids, [one["id"].as_str().unwrap(), &two, &three]);
    assert!(
        followed[0].contains(r#""data":{"b":1.50,"a":1}"#),
        "{}",
        followed[0]
    );
    let invoices = site
        .run(&[
            "events",
            "tail",
            "--no-follow",
            "--events",
            "invoice.*",
            "--after",
            &ids[0],
        ])
        .await;
    let invoices = text(&invoices.stdout);
    assert_eq!(invoices.lines().count(), 1, "{invoices}");
    assert!(invoices.contains(&three), "{invoices}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_told_what_is_wrong() {
    let site = Site::new();
    let server = site.serve().await;
    let url = server.url("");
    let wrong = Site::new().with("TIDINGS_URL", &url).with(
        "TIDINGS_API_KEY",
        "sk_test_ffffffffffffffffffffffffffffffff",
    );
    let keyless = Site::new().with("TIDINGS_URL", &url);

    for (site, arguments, word) in [
        (&wrong, &["events", "publish", "a.b"][..], "401"),
        (&keyless, &["events", "publish", "a.b"], "TIDINGS_API_KEY"),
        (&wrong, &["events", "publish", "a.b", "[1]"], "JSON object"),
        (&wrong, &["events", "tail"], "401"),
    ] {
        let output = site.run(arguments).await;

        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_verifies_both_signatures_of_every_attempt() {
    let site = Site::new().with("TIDINGS__DELIVERY__RETRY_DELAYS", "1s,1s,1s");
    let server = site.serve().await;
    // the secret is known when the endpoint is, and the endpoint when the address is
    let address = format!("127.0.0.1:{}", free_port());
    let endpoint = server
        .create_endpoint(&format!("http://{address}/hook"))
        .await;
    let secret = endpoint["secret"].as_str().unwrap();
    let arguments = [
        "receive",
        "--json",
        "--listen",
        &address,
        "--secret",
        secret,
        "--fail-first",
        "2",
    ];
    let receiver = Process::start(site.command(&arguments));
    eventually("it receives", seconds(10), async || {
        receiver
            .log()
            .iter()
            .any(|line| line.starts_with("receiving on"))
            .then_some(())
    })
    .await;

    let event = server.publish(7).await;
    let arrivals = eventually("three attempts", seconds(20), async || {
        let lines = receiver.printed();
        (lines.len() >= 3).then_some(lines)
    })
    .await;

    for (number, line) in arrivals.iter().enumerate() {
        let arrival: Value = serde_json::from_str(line).unwrap();
        assert_eq!(arrival["webhook_id"], *event);
        assert_eq!(arrival["attempt_seen"], number + 1);
        assert_eq!(arrival["answer"], if number < 2 { 500 } else { 200 });
        assert_eq!(arrival["webhook_signature"], "verified", "{line}");
        assert_eq!(arrival["workos_signature"], "verified", "{line}");
        assert_eq!(arrival["body"]["data"]["number"], 7);
    }
    let path = format!("/deliveries?event_id={event}");
    let delivered = eventually("it is delivered", seconds(10), async || {
        let page: Value = server.get(&path).await.json().await.unwrap();
        (page["data"][0]["state"] == "delivered").then_some(page)
    })
    .await;
    assert_eq!(delivered["data"].as_array().unwrap().len(), 1);
    server.stop().await;
}
