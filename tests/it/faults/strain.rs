//! What will hurt later is seen: a snapshot that is held, what vacuum cannot remove, the weeks that are made.

use chrono::TimeDelta;
use tidings::store::strain::{self, Strain};

use crate::harness::{TestPlatform, eventually};

const DEAD: &str = "
    INSERT INTO outbox (environment_id, id, event_id, endpoint_id, due_at, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), now()
    FROM generate_series(1, 5000);
    DELETE FROM outbox";

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_session_that_has_written_counts_though_it_has_no_snapshot() {
    let platform = TestPlatform::usual().await;
    let holder = platform.sql().await;
    holder
        .batch_execute("CREATE TABLE notes (n int); BEGIN; INSERT INTO notes VALUES (1)")
        .await
        .unwrap();

    eventually("it is seen", async || {
        (look(&platform).await.snapshot_held_s >= 1).then_some(())
    })
    .await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    eventually("and gone", async || {
        (look(&platform).await.snapshot_held_s == 0).then_some(())
    })
    .await;
}

async fn look(platform: &TestPlatform) -> Strain {
    let mut conn = platform.store().conn().await.unwrap();
    strain::look(&mut conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_snapshot_and_what_it_keeps_are_seen_and_gone_with_it() {
    let platform = TestPlatform::usual().await;
    let sql = platform.sql().await;
    let holder = platform.sql().await;
    let made = look(&platform).await.partitions_until.unwrap();
    assert!(made > platform.clock.now() + TimeDelta::days(21), "{made}");
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events")
        .await
        .unwrap();

    sql.batch_execute(DEAD).await.unwrap();

    eventually("the dead rows and the snapshot are seen", async || {
        let strain = look(&platform).await;
        (strain.outbox_dead_rows >= 5000 && strain.snapshot_held_s >= 1).then_some(())
    })
    .await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    sql.batch_execute("VACUUM outbox").await.unwrap();
    eventually("nothing is held any more", async || {
        let strain = look(&platform).await;
        (strain.outbox_dead_rows == 0 && strain.snapshot_held_s == 0).then_some(())
    })
    .await;
}
