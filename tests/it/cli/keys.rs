//! Environments and keys, beside a running server and without one.

use serde_json::{Value, json};

use crate::process::{Site, eventually, seconds, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_creation_until_a_second_after_it_is_revoked() {
    let site = Site::new();
    let server = site.serve().await;
    let made = site
        .json(&[
            "keys",
            "create",
            "--json",
            "--name",
            "billing",
            "--permissions",
            "events:read",
        ])
        .await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let status = async || {
        let request = server.client.get(server.url("/events")).bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    let published = server.client.post(server.url("/events")).bearer_auth(key);
    let published = published
        .json(&json!({ "event": "a.b", "data": {} }))
        .send()
        .await
        .unwrap();
    assert_eq!(published.status().as_u16(), 403, "it may only read");

    let revoked = site.json(&["keys", "revoke", id, "--json"]).await;
    eventually("the key is refused", seconds(1), async || {
        (status().await == 401).then_some(())
    })
    .await;

    assert_eq!(revoked["id"], made["id"]);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    let list = site.json(&["keys", "list", "--json"]).await;
    let listed = list
        .as_array()
        .unwrap()
        .iter()
        .find(|listed| listed["id"] == made["id"])
        .unwrap();
    assert_eq!(listed["name"], "billing");
    assert!(listed["revoked_at"].is_string());
    assert!(!list.to_string().contains(key), "a key is shown once");
    let trail = "/audit_logs/events?organization_id=environment&actions=api_key.revoked";
    let trail: Value = server.get(trail).await.json().await.unwrap();
    let told = &trail["data"][0];
    assert_eq!(told["actor"]["type"], "operator");
    assert_eq!(told["targets"][0]["id"], made["id"]);
    assert!(!trail.to_string().contains(key));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_server_start_the_cluster_and_stop_it_again() {
    let site = Site::new();

    let migrated = site.run(&["migrate"]).await;
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let nowhere = site.run(&["keys", "create"]).await;
    let one = site
        .json(&["environments", "create", "one", "--json"])
        .await;
    let alone = site.run(&["keys", "create"]).await;
    site.json(&["environments", "create", "two", "--json"])
        .await;
    let between = site.run(&["keys", "create"]).await;
    let list = site.json(&["environments", "list", "--json"]).await;

    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("tidings environments create"));
    assert!(
        text(&alone.stdout).starts_with("sk_"),
        "{}",
        text(&alone.stderr)
    );
    assert_eq!(between.status.code(), Some(1));
    assert!(text(&between.stderr).contains(one["id"].as_str().unwrap()));
    let names: Vec<&Value> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(
        site.postmaster(),
        None,
        "the last command has stopped the cluster"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_exist_cannot_be_revoked() {
    let site = Site::new();
    site.json(&["environments", "create", "one", "--json"])
        .await;

    let output = site
        .run(&["keys", "revoke", "key_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
        .await;

    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("not found"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_audit_logs_are_rotated_beside_a_running_server_in_two_steps() {
    let site = Site::new();
    let server = site.serve().await;
    let signing = |keys: &Value| {
        let keys = keys.as_array().unwrap().iter();
        keys.map(|key| key["retired_at"].is_null())
            .collect::<Vec<_>>()
    };

    let first = site.json(&["audit", "keys", "list", "--json"]).await;
    let made = site.json(&["audit", "keys", "rotate", "--json"]).await;
    let twice = site.run(&["audit", "keys", "rotate"]).await;
    let during = site.json(&["audit", "keys", "list", "--json"]).await;
    let retired = site.json(&["audit", "keys", "retire", "--json"]).await;
    let after = site.json(&["audit", "keys", "list", "--json"]).await;

    assert_eq!(signing(&first), [true], "made at the server's first start");
    assert_eq!(during, json!([made[0], first[0]]));
    assert!(text(&twice.stderr).contains("retire the older one first"));
    assert_eq!(retired[0]["vkey"], first[0]["vkey"]);
    assert_eq!(after, json!([made[0], retired[0]]));
    assert_eq!(signing(&after), [true, false]);
    server.stop().await;
}
