//! The master key, replaced while servers go on.

use std::process::Output;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::{Cluster, Process, Receiver, Server, Site, eventually, seconds, text};

const OLD: &str = "the master key of the first years";
const NEW: &str = "the master key that comes after it";
const REWRAP: &[&str] = &["keys", "rewrap", "--json"];

/// Servers and commands with a new master key, an old one, or one of them.
fn site(cluster: &Cluster, key: &str, old: Option<&str>) -> Site {
    let site = Site::new()
        .with("DATABASE_URL", &cluster.url())
        .with("TIDINGS_MASTER_KEY", key);
    match old {
        Some(old) => site.with("TIDINGS_OLD_MASTER_KEY", old),
        None => site,
    }
}

async fn endpoint(server: &Server, url: &str) -> Value {
    let body = json!({ "endpoint_url": url, "events": ["load.*"] });
    server.create("/webhook_endpoints", body).await
}

/// Whether the server can open these endpoints' secrets.
async fn opens(server: &Server, endpoints: &[&Value]) {
    for endpoint in endpoints {
        let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        let shown: Value = server.get(&path).await.json().await.unwrap();
        assert_eq!(shown["secret"], endpoint["secret"], "{shown}");
    }
}

async fn refuses_to_start(site: &Site, words: &str) {
    refused(
        &site.run(&["serve", "--listen", "127.0.0.1:0"]).await,
        words,
    );
}

fn refused(output: &Output, words: &str) {
    let said = text(&output.stderr);
    assert!(said.contains(words), "{words} is not in: {said}");
    assert!(!output.status.success());
    assert!(!said.contains(OLD) && !said.contains(NEW), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_replaced_while_servers_go_on() {
    let cluster = Cluster::start().await;
    let (before, both) = (site(&cluster, OLD, None), site(&cluster, NEW, Some(OLD)));
    let after = site(&cluster, NEW, None);
    let receiver = Receiver::new();
    let first = before.serve().await;
    let one = endpoint(&first, &receiver.url).await;

    // One by one the servers get both keys; nothing is sealed under the new one before all have it.
    let second = both.serve().await;
    let two = endpoint(&second, &format!("{}two", receiver.url)).await;
    opens(&first, &[&one, &two]).await;
    opens(&second, &[&one, &two]).await;
    refused(
        &both.run(REWRAP).await,
        "does not have the new master key yet",
    );
    refused(
        &before.run(REWRAP).await,
        "the new master key and the old one",
    );
    refuses_to_start(&after, "TIDINGS_OLD_MASTER_KEY").await;
    first.stop().await;

    let done = both.json(REWRAP).await;

    assert_eq!(done["webhook_endpoints"], 2, "{done}");
    assert_eq!(done["audit_log_keys"], 1, "{done}");
    assert_eq!(done["unreadable"], json!([]));
    let three = endpoint(&second, &format!("{}three", receiver.url)).await;
    let trail = "/audit_logs/events?organization_id=environment&actions=master_key.replaced";
    let trail: Value = second.get(trail).await.json().await.unwrap();
    assert_eq!(trail["data"][0]["actor"]["type"], "operator", "{trail}");
    refuses_to_start(&before, "is not the one").await;

    let third = after.serve().await;
    opens(&third, &[&one, &two, &three]).await;
    let trail = json!({ "organization_id": "environment" });
    // 200 where the server's own round was first with it.
    let signed = third.post("/audit_logs/checkpoints", &trail).send().await;
    let signed: Value = signed.unwrap().json().await.unwrap();
    assert!(signed["note"].is_string(), "{signed}");
    second.stop().await;
    third.publish(1).await;
    eventually("it is sent to all three", seconds(10), async || {
        (receiver.arrivals().len() == 3).then_some(())
    })
    .await;
    let again = both.json(REWRAP).await;
    assert_eq!(again["webhook_endpoints"], 0, "nothing is left to do");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrap_that_is_killed_is_run_again() {
    let cluster = Cluster::start().await;
    let (before, both) = (site(&cluster, OLD, None), site(&cluster, NEW, Some(OLD)));
    let after = site(&cluster, NEW, None);
    let server = before.serve().await;
    let one = endpoint(&server, "http://127.0.0.1:1234/one").await;
    server.stop().await;
    let mut sql = cluster.client().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("SELECT FROM endpoints FOR UPDATE")
        .await
        .unwrap();

    let mut rewrap = Process::start(both.command(REWRAP));
    let watch = cluster.client().await;
    eventually(
        "the rewrap waits for an endpoint",
        seconds(30),
        async || {
            let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            (!watch.query(waits, &[]).await.unwrap().is_empty()).then_some(())
        },
    )
    .await;
    rewrap.signal(Signal::SIGKILL);
    rewrap.ended().await;
    held.rollback().await.unwrap();

    // The installation names the new key, and some secrets need the old one.
    refuses_to_start(&before, "the master key was replaced").await;
    refuses_to_start(&after, "still sealed with the old master key").await;
    let exchanged = site(&cluster, OLD, Some(NEW));
    refused(&exchanged.run(REWRAP).await, "the master key was replaced");
    let server = both.serve().await;
    let two = endpoint(&server, "http://127.0.0.1:1234/two").await;
    opens(&server, &[&one, &two]).await;
    let done = both.json(REWRAP).await;
    assert_eq!(done["webhook_endpoints"], 1, "{done}");
    server.stop().await;
    let server = after.serve().await;
    opens(&server, &[&one, &two]).await;
    server.stop().await;
}
