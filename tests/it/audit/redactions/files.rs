//! Redactions and the files of exports: withdrawn at once, deleted in small steps, and nobody waits for that.

use serde_json::json;
use tidings::domain::id::AuditLogRedactionId;
use tidings::upkeep::redactions;

use super::{about, ask, export, export_of, fetch, make_exports, organization, record, show};
use crate::harness::{TestPlatform, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_recorded_while_a_redaction_waits_for_an_export() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    export(&platform, &organization, &[]).await;
    let id = ask(&platform, &about(&organization, "ann")).await;
    let (writer, watcher) = (platform.sql().await, platform.sql().await);
    let write = "BEGIN; SELECT 1 FROM audit_log_exports FOR UPDATE";
    writer.batch_execute(write).await.unwrap();

    let meanwhile = async {
        eventually("the redaction waits for the export", async || {
            let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                           AND datname = current_database()";
            watcher.query_opt(waiting, &[]).await.unwrap().map(drop)
        })
        .await;
        record(&platform, &organization, "bob").await;
        writer.batch_execute("COMMIT").await.unwrap();
    };
    let (redacted, ()) = tokio::join!(
        redactions::redact_pending(platform.store(), &platform.clock),
        meanwhile
    );

    // It would have given up after ten seconds, and whoever recorded would have waited for that.
    redacted.unwrap();
    assert_eq!(show(&platform, &id).await["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_done_when_the_last_chunk_of_a_withdrawn_file_is_deleted() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    let ready = export(&platform, &organization, &["Zoë"]).await;
    make_exports(&platform).await;
    let link = export_of(&platform, &ready).await;
    let sql = platform.sql().await;
    let large = "INSERT INTO audit_log_export_chunks SELECT environment_id, id, number, 'x' \
                 FROM audit_log_exports, generate_series(1, 39) AS number";
    sql.execute(large, &[]).await.unwrap();
    let chunks = async || -> i64 {
        let count = "SELECT count(*) FROM audit_log_export_chunks";
        sql.query_one(count, &[]).await.unwrap().get(0)
    };
    let id = ask(&platform, &about(&organization, "ann")).await;
    let parsed: AuditLogRedactionId = id.parse().unwrap();
    let mut conn = platform.store().conn().await.unwrap();

    let mut seen = Vec::new();
    for _ in 0..4 {
        redactions::redact_some(&mut conn, &platform.clock, platform.environment, parsed)
            .await
            .unwrap();
        seen.push((chunks().await, show(&platform, &id).await["state"].clone()));
        let refused = fetch(&platform, &link).await.verdict();
        assert_eq!(refused, (410, "link_expired".to_owned()));
    }
    redactions::redact_pending(platform.store(), &platform.clock)
        .await
        .unwrap();

    let pending = json!("pending");
    let steps = [40, 24, 8, 0].map(|left| (left, pending.clone()));
    assert_eq!(seen, steps);
    assert_eq!(show(&platform, &id).await["state"], "done");
    assert_eq!(export_of(&platform, &ready).await["state"], "expired");
    let filter = "SELECT filter FROM audit_log_exports";
    let filter: String = sql.query_one(filter, &[]).await.unwrap().get(0);
    assert!(!filter.contains("Zoë"), "{filter}");
}
