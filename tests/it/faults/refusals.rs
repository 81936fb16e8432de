//! What a server refuses to start on.

use std::process::Output;

use crate::process::{Cluster, Site, text};

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
/// The configuration or the machine must change first (`EX_CONFIG`).
const CONFIGURATION: i32 = 78;

fn refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_database_needs_a_master_key_and_always_the_same() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let keyless = Site::new().with("DATABASE_URL", &url);
    let site = Site::on_database(&url);
    let other = Site::new()
        .with("DATABASE_URL", &url)
        .with("TIDINGS_MASTER_KEY", "not the one that it was started with");

    refused(
        &keyless.run(SERVE).await,
        &["TIDINGS_MASTER_KEY", "TIDINGS_MASTER_KEY_FILE"],
    );
    site.serve().await.stop().await;
    refused(&other.run(SERVE).await, &["master key is not the one"]);
    site.serve().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_database_whose_master_key_was_swapped_is_refused() {
    let site = Site::new();
    site.serve().await.stop().await;

    std::fs::write(
        site.data_dir().join("master.key"),
        "another key that seals nothing",
    )
    .unwrap();

    refused(&site.run(SERVE).await, &["master key is not the one"]);
    assert_eq!(site.postmaster(), None, "its Postgres does not stay behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_lose_what_it_accepted_is_refused_unless_told_otherwise() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    client
        .batch_execute("ALTER DATABASE tidings SET synchronous_commit = off")
        .await
        .unwrap();

    let site = Site::on_database(&cluster.url());
    refused(
        &site.run(SERVE).await,
        &["synchronous_commit is off", "unsafe_durability"],
    );

    let reckless =
        Site::on_database(&cluster.url()).with("TIDINGS__DATABASE__UNSAFE_DURABILITY", "true");
    reckless.serve().await.stop().await;
}
