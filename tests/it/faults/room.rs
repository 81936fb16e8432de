//! A database without room: no connection slot, no disk.

use std::path::Path;
use std::process::Command;

use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::process::{PlainPostgres, Site, connect, eventually, seconds};

const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND application_name = 'tidings'";

#[tokio::test(flavor = "multi_thread")]
async fn when_others_have_all_connections_the_server_says_503_until_there_is_one_again() {
    let mut postgres = PlainPostgres::create();
    postgres
        .start(&["max_connections=16", "superuser_reserved_connections=0"])
        .await;
    let url = postgres.url("sslmode=disable");
    let mut server = Site::on_database(&url)
        .with("TIDINGS__DATABASE__CONNECTIONS_MAX", "8")
        .serve()
        .await;
    server.publish(1).await;

    let mut others = vec![connect(&url).await];
    // the server's connections end, and before it has new ones others take them all
    eventually("all connections are taken", seconds(20), async || {
        others[0].query_one(TERMINATE, &[]).await.unwrap();
        while let Ok((client, connection)) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await
        {
            tokio::runtime::Handle::current().spawn(connection);
            others.push(client);
        }
        (others.len() == 16).then_some(())
    })
    .await;
    let body = json!({ "event": "load.made", "data": {} });
    let refused = server.post("/events", &body).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));

    others.clear();
    let free = Instant::now();
    eventually("events are accepted again", seconds(5), async || {
        let answer = server.post("/events", &body).send().await.unwrap();
        (answer.status() == StatusCode::CREATED).then_some(())
    })
    .await;

    assert!(server.is_running());
    println!(
        "no connections: accepted again {:?} after there were some",
        free.elapsed()
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_503_and_nothing_is_lost_when_there_is_room_again() {
    let mut postgres = PlainPostgres::create();
    postgres.start(&[]).await;
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: a small disk cannot be mounted here");
        return;
    };
    postgres.give(disk.path());
    let url = postgres.url("sslmode=disable");
    let client = connect(&url).await;
    let folder = disk.path().display();
    for statement in [
        format!("CREATE TABLESPACE small LOCATION '{folder}'"),
        "ALTER DATABASE postgres SET default_tablespace = small".to_owned(),
    ] {
        client.batch_execute(&statement).await.unwrap();
    }
    let mut server = Site::on_database(&url).serve().await;
    let large = json!({ "event": "load.made", "data": { "filler": filler() } });

    let mut accepted = Vec::new();
    let refused = loop {
        let answer = server.post("/events", &large).send().await.unwrap();
        if answer.status() != StatusCode::CREATED {
            break answer;
        }
        let event: serde_json::Value = answer.json().await.unwrap();
        accepted.push(event["id"].clone());
        assert!(accepted.len() < 2_000, "the disk is never full");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(server.is_running());

    disk.grow();
    eventually("events are accepted again", seconds(5), async || {
        let answer = server.post("/events", &large).send().await.unwrap();
        (answer.status() == StatusCode::CREATED).then_some(())
    })
    .await;

    let ids: Vec<_> = server.feed().await;
    let ids: Vec<_> = ids.iter().map(|event| event["id"].clone()).collect();
    assert!(
        accepted.iter().all(|id| ids.contains(id)),
        "nothing is lost"
    );
    println!("full disk: {} events until then, all kept", accepted.len());
    server.stop().await;
}

/// 200 KiB that do not compress.
fn filler() -> String {
    let words = (0..200 * 64).map(|_| format!("{:016x}", rand::random::<u64>()));
    words.collect()
}

/// A disk of 48 MiB in memory; it is unmounted with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = disk.run(&["-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs"]);
        mounted.then_some(disk)
    }

    fn grow(&self) {
        assert!(self.run(&["-o", "remount,size=256m"]));
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let mut mount = Command::new("mount");
        let done = mount.args(arguments).arg(self.path()).output();
        done.is_ok_and(|output| output.status.success())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
