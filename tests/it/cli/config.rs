//! The settings in effect, and what is wrong with them.

use std::process::Command;

use serde_json::Value;

use super::CONFIGURATION;
use crate::process::{Site, connect, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_url_is_the_one_in_use_and_opens_the_database() {
    let site = Site::new();
    let server = site.serve().await;

    let revealed = site.json(&["config", "print", "--json", "--reveal"]).await;
    let masked = site.json(&["config", "print", "--json"]).await;

    let url = revealed["database"]["url"].as_str().unwrap();
    let client = connect(url).await;
    let row = client
        .query_one("SELECT count(*) FROM environments", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    let psql = Command::new("psql")
        .args([url, "-Atc", "SELECT count(*) FROM environments"])
        .output();
    match psql {
        Ok(psql) => assert_eq!(text(&psql.stdout), "1\n", "{}", text(&psql.stderr)),
        Err(error) => println!("skipped: psql cannot be run: {error}"),
    }
    let masked_url = masked["database"]["url"].as_str().unwrap();
    assert_ne!(masked_url, url);
    assert!(masked_url.contains("********"), "{masked_url}");
    for (settings, key) in [(&revealed, crate::process::KEY), (&masked, "********")] {
        assert_eq!(settings["bootstrap"]["api_key"], key);
        assert_eq!(settings["egress"]["allow"][0], "127.0.0.0/8");
        assert_eq!(settings["server"]["workers"], 2);
    }
    server.stop().await;
}

#[tokio::test]
async fn settings_are_printed_before_the_first_start_and_start_nothing() {
    let site = Site::new();

    let output = site.run(&["config", "print", "--json"]).await;

    let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(settings["delivery"]["retry_delays"][0], "5s");
    assert!(
        text(&output.stderr).contains("not known yet"),
        "{}",
        text(&output.stderr)
    );
    assert!(!site.data_dir().exists());
}

#[tokio::test]
async fn flags_go_over_the_environment_over_the_file() {
    let site = Site::new().with("TIDINGS__SERVER__LISTEN", "127.0.0.1:2");
    let file = site.path().join("tidings.toml");
    std::fs::write(
        &file,
        "[server]\nlisten = \"127.0.0.1:1\"\n[delivery]\nlease = \"90s\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();

    let by_environment = site
        .run(&["config", "print", "--json", "--config", file])
        .await;
    let by_flag = site
        .run(&[
            "config",
            "print",
            "--json",
            "--config",
            file,
            "--listen",
            "127.0.0.1:3",
        ])
        .await;

    for (output, listen) in [(by_environment, "127.0.0.1:2"), (by_flag, "127.0.0.1:3")] {
        let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(settings["server"]["listen"], listen);
        assert_eq!(settings["delivery"]["lease"], "90s");
    }
}

#[tokio::test]
async fn a_check_tells_every_fault_at_once_and_where_it_was_set() {
    let site = Site::new()
        .with("TIDINGS__SERVER__WORKERS", "many")
        .with("TIDINGS__DELIVERY__LEASE", "-1s")
        .with("TIDINGS__NO__SUCH_KEY", "1")
        .with("TIDINGS__EGRESS__ALLOW", "localhost");
    let file = site.path().join("tidings.toml");
    std::fs::write(&file, "[events]\nretention = \"soon\"\nnonsense = 1\n").unwrap();

    let output = site
        .run(&["config", "check", "--config", file.to_str().unwrap()])
        .await;

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{said}");
    for word in [
        "server.workers",
        "delivery.lease",
        "TIDINGS__NO__SUCH_KEY",
        "egress.allow",
        "events.retention",
        "events.nonsense",
        "tidings.toml",
    ] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}

#[tokio::test]
async fn a_check_passes_what_can_be_used() {
    let site = Site::new();

    let output = site.run(&["config", "check"]).await;

    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "the configuration can be used\n");
}
