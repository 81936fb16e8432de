//! A server is killed in the middle of an export, again and again; the next one goes on where it was.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Cluster, Server, Site, eventually, seconds, text};

const ENTRIES: usize = 10_000;
const BATCH: usize = 100;
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_after_the_server_was_killed_and_is_intact() {
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let mut server = site.serve().await;
    let organization = server
        .create("/organizations", json!({ "name": "Acme" }))
        .await;
    let organization = organization["id"].as_str().unwrap().to_owned();
    record(&server, &organization).await;
    let body = json!({ "organization_id": organization, "format": "ndjson" });
    let export = server.create("/audit_logs/exports", body).await;
    let id = export["id"].as_str().unwrap().to_owned();

    let mut reached = Vec::new();
    for _ in 0..KILLS {
        let before = reached.last().copied().unwrap_or(0);
        let entries = eventually("the export moves on", seconds(60), async || {
            let export = show(&server, &id).await;
            let entries = export["progress"]["entries"].as_u64().unwrap();
            (entries > before || export["state"] == "ready").then_some(entries)
        })
        .await;
        reached.push(entries);
        server.kill().await;
        server = site.serve().await;
    }
    let export = eventually("the export is ready", seconds(120), async || {
        let export = show(&server, &id).await;
        (export["state"] == "ready").then_some(export)
    })
    .await;

    println!("killed after {reached:?} of {ENTRIES} entries");
    assert!(
        reached[0] < ENTRIES as u64,
        "the first kill came in between"
    );
    assert_eq!(export["progress"]["entries"], ENTRIES);
    let file = download(&server, &export).await;
    let key = verifier(&cluster).await;
    verify(&site, &file, &key).await;
    server.stop().await;
}

async fn download(server: &Server, export: &Value) -> String {
    let url = export["url"].as_str().unwrap();
    let path = &url[url.find("/audit_logs").unwrap()..];
    let file = server.client.get(server.url(path)).send().await.unwrap();
    file.text().await.unwrap()
}

/// Verifies the file with the real program, as it is and with an entry left out.
async fn verify(site: &Site, file: &str, key: &str) {
    let log = site.path().join("log.ndjson");
    let log = log.to_str().unwrap();
    let arguments = ["audit", "verify", log, "--whole", "--json", "--key", key];
    fs::write(log, file).unwrap();
    let verified = site.run(&arguments).await;
    let (report, told) = (text(&verified.stdout), text(&verified.stderr));
    assert_eq!(verified.status.code(), Some(0), "{report}{told}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["verdict"], "intact");
    assert_eq!(report["covered"], ENTRIES);

    let mut lines: Vec<&str> = file.lines().collect();
    lines.remove(4_321);
    fs::write(log, lines.join("\n")).unwrap();
    let broken = site.run(&arguments).await;
    let report = text(&broken.stdout);
    assert_eq!(broken.status.code(), Some(65), "{report}");
    assert!(report.contains("entry 4320 is missing"), "{report}");
}

async fn record(server: &Server, organization: &str) {
    let event = json!({
        "action": "user.read", "occurred_at": "2026-01-15T00:00:00Z",
        "actor": { "id": "u1", "type": "user", "name": "Zoë" },
        "targets": [{ "id": "t1", "type": "team" }],
        "context": { "location": "127.0.0.1" }, "metadata": { "amount": 12.50 },
    });
    let events = vec![json!({ "organization_id": organization, "event": event }); BATCH];
    for _ in 0..ENTRIES / BATCH {
        let body = json!({ "events": events });
        server.create("/audit_logs/events/batch", body).await;
    }
}

async fn show(server: &Server, id: &str) -> Value {
    let path = format!("/audit_logs/exports/{id}");
    server.get(&path).await.json().await.unwrap()
}

/// The public key, as the database has it.
async fn verifier(cluster: &Cluster) -> String {
    let key = "SELECT verifier FROM audit_log_signing_keys";
    cluster
        .client()
        .await
        .query_one(key, &[])
        .await
        .unwrap()
        .get(0)
}
