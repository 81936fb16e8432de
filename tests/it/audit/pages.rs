//! Pages of a long history: every filter finds what it would find if each entry were looked at.

use tidings::store::audit_pages::WALK;

use crate::harness::TestPlatform;

/// More than is walked from either end.
const ENTRIES: i64 = 2 * WALK + 2000;
const ACME: &str = "org_00000000000000000000000001";

/// Puts entries into the table as if they had been recorded a second apart: entry `n` is `{"n": n}`.
async fn fill(platform: &TestPlatform) {
    let sql = platform.sql().await;
    let environment = platform.environment.to_bytes();
    let environment: String = environment
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let first = "1767225600000"; // 2026-01-01T00:00:00Z
    let statement = format!(
        "INSERT INTO audit_log_entries (environment_id, id, organization_id, leaf_index, event_id, action, occurred_at, \
         actor_id, targets, object, salts, search) SELECT '{environment}', id, \
         ('00000000-0000-0000-0000-00000000000' || 1 + n % 2)::uuid, n, id, 'a.b', to_timestamp(({first} + n * 1000) / 1000.0), \
         'user_1', ARRAY['team', 'team:team_' || n % 4000], json_build_object('n', n)::text, '', \
         'word' || CASE WHEN n % 3000 = 1 THEN ' comet' ELSE '' END \
         FROM generate_series(0::bigint, {ENTRIES} - 1) AS n, \
         LATERAL (SELECT (lpad(to_hex({first} + n * 1000), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid AS id) AS made"
    );
    sql.batch_execute(&statement).await.unwrap();
}

/// The numbers of all entries that `query` finds, page by page.
async fn found(platform: &TestPlatform, query: &str, pages_max: usize) -> Vec<i64> {
    let (mut numbers, mut after) = (Vec::new(), String::new());
    for _ in 0..pages_max {
        let path = format!("/audit_logs/events?{query}{after}");
        let page = platform.client().get(&path).await.expect(200);
        let entries = page["data"].as_array().unwrap().iter();
        numbers.extend(entries.map(|entry| entry["n"].as_i64().unwrap()));
        let Some(cursor) = page["list_metadata"]["after"].as_str() else {
            break;
        };
        after = format!("&after={cursor}");
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_in_a_long_history_what_a_look_at_each_entry_would_find() {
    let platform = TestPlatform::usual().await;
    fill(&platform).await;
    let all = |wanted: fn(&i64) -> bool| -> Vec<i64> { (0..ENTRIES).filter(wanted).collect() };
    let acme = format!("organization_id={ACME}");
    let noon = "range_start=2026-01-01T00:30:00Z&range_end=2026-01-01T00:31:00Z";

    for (query, expected) in [
        ("search=comet&limit=2".to_owned(), all(|n| n % 3000 == 1)),
        ("search=comet&limit=100".to_owned(), all(|n| n % 3000 == 1)),
        ("search=nothing".to_owned(), Vec::new()),
        (format!("search=comet&{acme}&limit=1"), Vec::new()),
        (
            "target_type=team&target_id=team_7&limit=2".to_owned(),
            all(|n| n % 4000 == 7),
        ),
        (format!("{noon}&limit=7"), (1800..=1860).collect()),
        (
            format!("{noon}&{acme}&limit=7"),
            all(|n| n % 2 == 0 && (1800..=1860).contains(n)),
        ),
    ] {
        let mut found_down = found(&platform, &query, 20).await;
        found_down.reverse();
        assert_eq!(found_down, expected, "{query}, newest first");
        let query = format!("{query}&order=asc");
        assert_eq!(found(&platform, &query, 20).await, expected, "{query}");
    }
    let newest: Vec<i64> = (0..ENTRIES).rev().collect();
    assert_eq!(
        found(&platform, "search=word&limit=100", 2).await,
        newest[..200]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_one_trail_go_on_behind_any_cursor() {
    let platform = TestPlatform::usual().await;
    fill(&platform).await;
    let page = async |query: &str| {
        let path = format!("/audit_logs/events?organization_id={ACME}&limit=3&order=asc&{query}");
        let page = platform.client().get(&path).await.expect(200);
        let entries = page["data"].as_array().unwrap().iter();
        let numbers: Vec<_> = entries.map(|entry| entry["n"].as_i64().unwrap()).collect();
        (numbers, page["list_metadata"].clone())
    };

    let (first, cursors) = page("").await;
    let after = cursors["after"].as_str().unwrap();
    let (second, cursors) = page(&format!("after={after}")).await;
    let before = cursors["before"].as_str().unwrap();
    let (back, _) = page(&format!("before={before}")).await;
    let gone = platform.sql().await;
    let gone = gone.execute(
        "DELETE FROM audit_log_entries WHERE object = '{\"n\" : 4}'",
        &[],
    );
    let gone = gone.await.unwrap();
    let (without, _) = page(&format!("after={after}")).await;

    assert_eq!(
        [&first[..], &second[..], &back[..]],
        [[0, 2, 4], [6, 8, 10], [0, 2, 4]]
    );
    assert_eq!(
        (gone, without),
        (1, second),
        "the cursor's own entry has expired"
    );
}
