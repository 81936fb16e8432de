//! Failed batches, by the SQLSTATE that they failed with: what is run again, what is split, what is told at once.
//!
//! The errors are the server's own: a trigger raises them, and counts in a sequence, which no rollback takes back.

use serde_json::{Value, json};

use crate::harness::{Reply, TestPlatform};
use crate::process::{eventually, seconds};

/// Raises `data.raise` for as many runs as `data.times` says.
const TRIGGER: &str = "
    CREATE SEQUENCE raised;
    CREATE FUNCTION raise_what_it_says() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE wish jsonb;
    BEGIN
        IF NEW.body NOT LIKE '%\"raise\"%' THEN RETURN NEW; END IF;
        wish := NEW.body::jsonb -> 'data';
        IF nextval('raised') <= (wish ->> 'times')::int THEN
            RAISE EXCEPTION 'as it was told' USING ERRCODE = wish ->> 'raise';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER raising BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION raise_what_it_says();";

/// Publishes an event that raises `state` in its first `times` runs, between two neighbours in one batch.
async fn publish_among_neighbours(state: &str, times: u32) -> (Reply, [Reply; 2], i64) {
    let platform = TestPlatform::usual().await;
    let sql = platform.sql().await;
    sql.batch_execute(TRIGGER).await.unwrap();
    let good = json!({ "event": "good", "data": {} });
    let bad = json!({ "event": "bad", "data": { "raise": state, "times": times } });
    let publish = |body: &Value| {
        let (client, body) = (platform.client().clone(), body.clone());
        async move { client.post("/events", &body).await }
    };

    // while the first batch waits for the lock, the next one gathers
    sql.batch_execute("BEGIN; SELECT FROM event_sequences FOR UPDATE")
        .await
        .unwrap();
    let released = async {
        let watcher = platform.sql().await;
        eventually("a batch waits for the lock", seconds(5), async || {
            let waiting = "SELECT 1 FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let rows = watcher.query(waiting, &[]).await.unwrap();
            (!rows.is_empty()).then_some(())
        })
        .await;
        let rest = async { tokio::join!(publish(&good), publish(&bad), publish(&good)) };
        let unlocked = async {
            // what was sent before these is in the queue when they are answered
            for _ in 0..20 {
                platform.client().get("/livez").await.expect(200);
            }
            sql.batch_execute("COMMIT").await.unwrap();
        };
        tokio::join!(rest, unlocked).0
    };
    let (_first, (before, answer, after)) = tokio::join!(publish(&good), released);

    let runs = platform.sql().await;
    let row = runs.query_one("SELECT last_value FROM raised", &[]).await;
    (answer, [before, after], row.unwrap().get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_another_was_in_the_way_of_is_run_again() {
    for state in ["40001", "40P01", "55P03", "57014"] {
        let (answer, neighbours, runs) = publish_among_neighbours(state, 2).await;

        assert_eq!(answer.status, 201, "{state}: {}", answer.text());
        assert_eq!(neighbours.map(|other| other.status), [201, 201], "{state}");
        assert_eq!(runs, 3, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_database_refuses_fails_its_own_request_alone_and_is_not_tried_for_long() {
    for state in ["22003", "22P05", "23514", "54000"] {
        let (answer, neighbours, runs) = publish_among_neighbours(state, 1_000).await;

        assert_eq!(answer.status, 500, "{state}: {}", answer.text());
        assert_eq!(neighbours.map(|other| other.status), [201, 201], "{state}");
        assert!(runs <= 2, "{state}: once in the batch, once alone; {runs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_is_told_at_once_and_not_tried_again() {
    for state in ["53100", "53200", "53400"] {
        let (answer, _neighbours, runs) = publish_among_neighbours(state, 1_000).await;

        assert_eq!(answer.status, 503, "{state}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), "1", "{state}");
        assert_eq!(runs, 1, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_holds_for_long_is_a_503_and_what_waits_is_recorded_when_it_is_free() {
    let platform = TestPlatform::usual().await;
    let sql = platform.sql().await;
    sql.batch_execute("BEGIN; SELECT FROM event_sequences FOR UPDATE")
        .await
        .unwrap();
    let client = platform.client();
    let (event, url) = (
        json!({ "event": "a.b", "data": {} }),
        "https://example.com/hook",
    );
    let endpoint = json!({ "endpoint_url": url, "events": ["a.*"] });

    let publishing = client.post("/events", &event);
    let changing = async {
        let refused = client.post("/webhook_endpoints", &endpoint).await;
        sql.batch_execute("COMMIT").await.unwrap();
        refused
    };
    let (published, refused) = tokio::join!(publishing, changing);

    assert_eq!(refused.verdict(), (503, "unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(published.status, 201, "{}", published.text());
}
