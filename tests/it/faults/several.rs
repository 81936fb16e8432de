//! Several servers: on one database they help each other, on one data directory the second is refused.

use serde_json::json;
use tokio::time::Instant;

use crate::process::{Cluster, Receiver, Site, eventually, seconds, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_had_in_hand_is_sent_by_the_other_long_before_the_lease_ends() {
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let (one, two) = (site.serve().await, site.serve().await);
    let receiver = Receiver::silent();
    one.create_endpoint(&receiver.url).await;
    // claimed for the server that took it, as it is made
    let event = one.publish(1).await;
    eventually("the delivery is under way", seconds(10), async || {
        (!receiver.arrivals().is_empty()).then_some(())
    })
    .await;

    one.kill().await;
    let killed = Instant::now();
    receiver.answer();

    eventually("the other server sends it", seconds(15), async || {
        (receiver.repeated().get(&event) == Some(&2)).then_some(())
    })
    .await;
    println!(
        "sent by the other server {:?} after the kill",
        killed.elapsed()
    );
    assert_eq!(
        two.logged("a worker is gone; its deliveries are due again")
            .len(),
        1
    );
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_a_data_directory_says_so_and_ends() {
    let site = Site::new();
    let server = site.serve().await;

    let second = site.run(&["serve", "--listen", "127.0.0.1:0"]).await;

    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    let folder = site.data_dir().display().to_string();
    assert!(
        said.contains(&folder) && said.contains(&server.pid().to_string()),
        "{said}"
    );
    assert!(server.get("/readyz").await.status().is_success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_beside_a_running_server() {
    let site = Site::new();
    let server = site.serve().await;

    let environment = site
        .json(&["environments", "create", "staging", "--json"])
        .await;
    let id = environment["id"].as_str().unwrap();
    let key = site
        .json(&[
            "keys",
            "create",
            "--json",
            "--environment",
            id,
            "--permissions",
            "events:write,events:read",
        ])
        .await;
    let settings = site.json(&["config", "print", "--json", "--reveal"]).await;

    assert_eq!(key["environment_id"], *id);
    assert_eq!(key["permissions"], json!(["events:write", "events:read"]));
    let event = server
        .client
        .post(server.url("/events"))
        .bearer_auth(key["key"].as_str().unwrap());
    let answer = event
        .json(&json!({ "event": "a.b", "data": {} }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    assert_eq!(
        server.feed().await.len(),
        0,
        "it is in the other environment"
    );
    let client = crate::process::connect(settings["database"]["url"].as_str().unwrap()).await;
    let count = client
        .query_one("SELECT count(*) FROM events WHERE event_type = 'a.b'", &[])
        .await
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 1);
    server.stop().await;
}
