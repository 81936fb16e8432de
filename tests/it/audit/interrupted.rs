//! Exports that something comes in between: another worker, retention, a redaction. What comes out is intact.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::domain::audit::verify::{Extent, Verdict, verify};
use tidings::domain::time;

use super::redaction::redact;
use super::trail::{DAY, Trail};
use crate::harness::{TestPlatform, eventually};

/// Entries that make several chunks with their proofs.
const ENTRIES: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_goes_on_after_the_last_chunk() {
    let mut trail = Trail::new().await;
    trail.record(ENTRIES).await;
    let id = trail.ask(json!({})).await;
    for _ in 0..2 {
        assert!(trail.write_chunk(&id).await);
    }
    let half = trail.show(&id).await;

    let other = TestPlatform::builder()
        .beside(&trail.platform)
        .start()
        .await;
    tidings::upkeep::exports::make_pending(other.store(), &other.clock)
        .await
        .unwrap();

    let written = half["progress"]["entries"].as_u64().unwrap();
    assert!(written > 0 && written < ENTRIES, "{half}");
    assert_eq!(half["progress"]["total"], ENTRIES);
    let text = trail.fetch(&id).await;
    let trust = trail.trust(None, Extent::Whole).await;
    assert_eq!(verify(text.lines(), &trust).verdict, Verdict::Intact);
    let least = i64::try_from(text.len() / (2 * 1024 * 1024)).unwrap();
    assert!(chunks(&trail).await > least.max(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_in_between_makes_the_export_begin_anew() {
    let mut trail = Trail::new().await;
    trail.record(ENTRIES).await;
    let id = trail.ask(json!({})).await;
    let begun = trail.checkpoint().await;
    assert!(trail.write_chunk(&id).await);

    trail.expire(31).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    let trust = trail.trust(Some(&begun), Extent::Whole).await;
    let report = verify(text.lines(), &trust);
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.entries, ENTRIES + 1, "and the one that tells of it");
    let export = trail.show(&id).await;
    assert_eq!(export["progress"]["entries"], ENTRIES + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_of_what_is_not_written_yet_makes_the_export_begin_anew() {
    for more in [json!({}), json!({ "actions": ["user.*"] })] {
        let mut trail = Trail::new().await;
        trail.record(ENTRIES).await;
        let id = trail.ask(more).await;
        assert!(trail.write_chunk(&id).await);

        redact(&trail, &[1, 1_999]).await;
        trail.make().await;

        let text = trail.fetch(&id).await;
        let report = trail.verify(&text).await;
        assert_eq!(report.verdict, Verdict::Intact, "{report}");
        let redacted = text.matches("\"redacted\":true").count();
        assert_eq!(redacted, 2, "what was written before is written anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_it_was_redacted_is_not_in_the_file() {
    let mut trail = Trail::new().await;
    trail.record(ENTRIES).await;
    let id = trail.ask(json!({})).await;
    assert!(trail.write_chunk(&id).await);

    redact(&trail, &[1]).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(report.entries, ENTRIES + 1);
    assert!(text.contains("Zoë \\\"2\\\""));
    assert!(
        !text.contains("Zoë \\\"1\\\""),
        "the part that was redacted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_expires_in_between_takes_the_export_along() {
    let mut trail = Trail::new().await;
    trail.record(ENTRIES).await;
    redact(&trail, &[1, 1_999]).await;
    let id = trail.ask(json!({ "actions": ["user.*"] })).await;
    assert!(trail.write_chunk(&id).await);

    trail.expire(31).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(report.entries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_names_leaves_and_is_in_no_tree_makes_the_export_fail_aloud() {
    let mut trail = Trail::new().await;
    trail.record(20).await;
    redact(&trail, &[3]).await;
    let id = trail.ask(json!({})).await;
    let sql = trail.platform.sql().await;
    let forged = "UPDATE audit_log_entries SET leaf_index = 99 WHERE leaf_index = 20";
    sql.execute(forged, &[]).await.unwrap();

    trail.make().await;

    assert_eq!(trail.show(&id).await["state"], "error");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_both_see_a_redaction_begin_the_export_anew_once() {
    let mut trail = Trail::new().await;
    trail.record(ENTRIES).await;
    let id = trail.ask(json!({})).await;
    assert!(trail.write_chunk(&id).await);
    redact(&trail, &[1, 1_999]).await;
    let (holder, watcher) = (trail.platform.sql().await, trail.platform.sql().await);
    let hold = "BEGIN; SELECT 1 FROM event_sequences FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();
    let waits = async |workers: i64| {
        eventually("workers wait for the environment", async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                           AND datname = current_database()";
            let waiting: i64 = watcher.query_one(waiting, &[]).await.unwrap().get(0);
            (waiting == workers).then_some(())
        })
        .await;
    };

    let second = async {
        waits(1).await;
        trail.write_chunk(&id).await
    };
    let release = async {
        waits(2).await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(trail.write_chunk(&id), second, release);
    trail.make().await;

    let report = trail.verify(&trail.fetch(&id).await).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(report.entries, ENTRIES + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_before_the_range_of_an_export_leaves_it_as_it_is() {
    let mut trail = Trail::new().await;
    trail.record(10).await;
    trail.platform.clock.advance(Duration::from_secs(20 * DAY));
    let start = time::to_text(trail.platform.clock.now());
    trail.record(ENTRIES).await;
    let end = time::to_text(trail.platform.clock.now());
    let range = json!({ "range_start": start, "range_end": end, "actions": ["user.*"] });
    let id = trail.ask(range).await;
    let begun = trail.checkpoint().await;
    assert!(trail.write_chunk(&id).await);

    trail.expire(15).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    assert_eq!(checkpoint_of(&text), begun);
    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(report.entries, ENTRIES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_entry_that_expires_once_it_is_written_keeps_its_authority() {
    let mut trail = Trail::new().await;
    trail.record(10).await;
    trail.platform.clock.advance(Duration::from_secs(20 * DAY));
    trail.record(ENTRIES).await;
    redact(&trail, &[1]).await;
    let id = trail.ask(json!({ "actions": ["user.*"] })).await;
    let begun = trail.checkpoint().await;
    assert!(trail.write_chunk(&id).await);

    trail.expire(15).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    assert_eq!(checkpoint_of(&text), begun);
    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(report.entries, ENTRIES + 10);
    assert_eq!(text.matches("\"redacted\":true").count(), 1);
    assert_eq!(text.matches("{\"authority\"").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn beginning_anew_takes_nothing_in_that_was_recorded_after_the_request() {
    let mut trail = Trail::new().await;
    let start = time::to_text(trail.platform.clock.now());
    trail.record(ENTRIES).await;
    let range = json!({ "range_start": start, "range_end": "2100-01-01" });
    let id = trail.ask(range).await;
    assert!(trail.write_chunk(&id).await);

    trail.record(5).await;
    redact(&trail, &[1, 1_999]).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{report}");
    assert_eq!(text.matches("\"redacted\":true").count(), 2);
    let progress = &trail.show(&id).await["progress"];
    assert_eq!(progress, &json!({ "entries": ENTRIES, "total": ENTRIES }));
}

/// The checkpoint that a file is held against.
fn checkpoint_of(text: &str) -> String {
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    header["checkpoint"].as_str().unwrap().to_owned()
}

async fn chunks(trail: &Trail) -> i64 {
    let sql = trail.platform.sql().await;
    let chunks = "SELECT count(*) FROM audit_log_export_chunks";
    sql.query_one(chunks, &[]).await.unwrap().get(0)
}
