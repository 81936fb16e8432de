//! Starting, stopping, adopting and sharing a cluster.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use tidings::store::embedded::{Embedded, running_url};

use super::scratch::{Scratch, connect, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_creates_a_durable_cluster_and_a_second_finds_its_data() {
    let scratch = Scratch::new();

    let first = Embedded::start(&scratch.settings).await.unwrap();
    let client = connect(first.url()).await;
    for setting in [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "data_checksums",
    ] {
        assert_eq!(
            text(&client, &format!("SHOW {setting}")).await,
            "on",
            "{setting}"
        );
    }
    assert_eq!(text(&client, "SHOW listen_addresses").await, "");
    assert_ne!(text(&client, "SHOW wal_compression").await, "off");
    let encoding = "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datcollate) FROM pg_database WHERE datname = 'tidings'";
    assert_eq!(text(&client, encoding).await, "UTF8 C");
    client
        .batch_execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
        .await
        .unwrap();
    first.stop().await.unwrap();

    assert_eq!(running_url(&scratch.settings), None);
    assert_eq!(scratch.pid_in_file(), None);
    let second = Embedded::start(&scratch.settings).await.unwrap();
    let client = connect(second.url()).await;
    assert_eq!(text(&client, "SELECT word FROM kept").await, "still here");
    assert_eq!(
        running_url(&scratch.settings).as_deref(),
        Some(second.url())
    );
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_a_killed_tidings_is_adopted_with_its_connections() {
    let scratch = Scratch::new();
    let killed = Embedded::start(&scratch.settings).await.unwrap();
    let pid = killed.postmaster_pid();
    let client = connect(killed.url()).await;
    assert!(pid.is_some());

    drop(killed);
    let next = Embedded::start(&scratch.settings).await.unwrap();

    assert_eq!(next.postmaster_pid(), pid);
    assert_eq!(text(&client, "SELECT 'undisturbed'").await, "undisturbed");
    next.stop().await.unwrap();
    assert_eq!(scratch.pid_in_file(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_recovers_at_the_next_start_although_its_backends_linger() {
    let scratch = Scratch::new();
    let first = Embedded::start(&scratch.settings).await.unwrap();
    let client = connect(first.url()).await;
    client
        .batch_execute("CREATE TABLE kept AS SELECT 'committed'::text AS word")
        .await
        .unwrap();
    // one that computes does not notice that its postmaster is gone; one that waits would
    let lingering = client.query_one("SELECT sum(n) FROM generate_series(1, 8000000) AS n", &[]);
    let killing = async {
        // the query has begun when another connection sees it
        let other = connect(first.url()).await;
        let seen = "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT sum(n)%' AND state = 'active'";
        while text(&other, seen).await != "1" {}
        let pid = first.postmaster_pid().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        drop(first);
        (pid, Embedded::start(&scratch.settings).await.unwrap())
    };

    let (_, (killed, next)) = tokio::join!(lingering, killing);

    assert_ne!(next.postmaster_pid(), Some(killed));
    let client = connect(next.url()).await;
    assert_eq!(text(&client, "SELECT word FROM kept").await, "committed");
    next.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_a_server_leaves_it_running() {
    let scratch = Scratch::new();
    let server = Embedded::start(&scratch.settings).await.unwrap();

    let command = Embedded::join(&scratch.settings).await.unwrap();
    assert_eq!(command.url(), server.url());
    assert_eq!(command.postmaster_pid(), server.postmaster_pid());
    command.stop().await.unwrap();

    let client = connect(server.url()).await;
    assert_eq!(text(&client, "SELECT 'running'").await, "running");
    server.stop().await.unwrap();
    assert_eq!(scratch.pid_in_file(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_server_share_one_and_the_last_stops_it() {
    let scratch = Scratch::new();

    let (one, two, three) = tokio::join!(
        Embedded::join(&scratch.settings),
        Embedded::join(&scratch.settings),
        Embedded::start(&scratch.settings),
    );
    let (one, two, server) = (one.unwrap(), two.unwrap(), three.unwrap());
    assert_eq!(one.postmaster_pid(), two.postmaster_pid());
    assert_eq!(one.postmaster_pid(), server.postmaster_pid());

    let (stopped, served) = tokio::join!(one.stop(), server.stop());
    stopped.and(served).unwrap();
    let client = connect(two.url()).await;
    assert_eq!(
        text(&client, "SELECT 'the last one still has it'").await,
        "the last one still has it"
    );
    two.stop().await.unwrap();
    assert_eq!(scratch.pid_in_file(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_or_odd_data_path_still_has_a_socket_that_others_cannot_enter() {
    let long = "d".repeat(100);
    for name in [long.as_str(), "a b, \"c\" %41/é"] {
        let scratch = Scratch::with_data_dir(name);

        let embedded = Embedded::start(&scratch.settings).await.unwrap();
        let client = connect(embedded.url()).await;
        let quoted = text(&client, "SHOW unix_socket_directories").await;
        let socket_dir = quoted.trim_matches('"').replace("\"\"", "\"");

        let metadata = fs::metadata(&socket_dir).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
        assert_eq!(
            metadata.uid(),
            fs::metadata(scratch.cluster()).unwrap().uid()
        );
        embedded.stop().await.unwrap();
        assert_eq!(
            fs::exists(&socket_dir).unwrap(),
            name != long,
            "{socket_dir}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_has_its_own_process_group_and_none_of_our_environment() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(&scratch.settings).await.unwrap();
    let pid = embedded.postmaster_pid().unwrap();

    assert_eq!(getpgid(Some(Pid::from_raw(pid))).unwrap().as_raw(), pid);
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
    embedded.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_understands_the_same_url() {
    let scratch = Scratch::with_data_dir("a b");
    let embedded = Embedded::start(&scratch.settings).await.unwrap();

    let psql = Command::new("psql")
        .args([embedded.url(), "-Atc", "SELECT current_user"])
        .output()
        .unwrap();

    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "tidings");
    embedded.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_its_killed_creator_left_unmade_is_made_by_the_next() {
    let scratch = Scratch::new();
    let first = Embedded::start(&scratch.settings).await.unwrap();
    let maintenance = first.url().replace(":5432/tidings", ":5432/postgres");
    let client = connect(&maintenance).await;
    client
        .batch_execute("DROP DATABASE tidings WITH (FORCE)")
        .await
        .unwrap();

    drop(first);
    let next = Embedded::start(&scratch.settings).await.unwrap();

    let client = connect(next.url()).await;
    assert_eq!(
        text(&client, "SELECT current_database()::text").await,
        "tidings"
    );
    next.stop().await.unwrap();
}
