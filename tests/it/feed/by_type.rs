//! The feed by type: what a reader of some types sees is the feed without the others.

use serde_json::{Value, json};

use crate::harness::TestPlatform;

const TYPES: [&str; 6] = ["a.one", "a.two", "a.two.half", "ab.one", "b.one", "rare"];

async fn organization(platform: &TestPlatform, name: &str) -> String {
    let created = platform
        .client()
        .post("/organizations", &json!({ "name": name }))
        .await;
    created.expect(201)["id"].as_str().unwrap().to_owned()
}

/// The whole feed by pages of `limit`.
async fn read(platform: &TestPlatform, query: &str, limit: usize) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/events?limit={limit}{query}{after}");
        let page = platform.client().get(&path).await.expect(200);
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        events.extend(data.iter().cloned());
        match page["list_metadata"]["after"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return events,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_some_types_sees_the_feed_without_the_others() {
    let platform = TestPlatform::usual().await;
    let (acme, bolt) = (
        organization(&platform, "Acme").await,
        organization(&platform, "Bolt").await,
    );
    let owners = [json!(null), json!(acme), json!(bolt)];
    let events: Vec<_> = (0..240)
        .map(|n| {
            let kind = if n == 77 { 5 } else { n * 7 % 5 };
            json!({ "event": TYPES[kind], "data": { "n": n }, "organization_id": owners[n * 11 % 3] })
        })
        .collect();
    let posted = platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await;
    posted.expect(201);
    let whole = read(&platform, "", 100).await;
    let middle = whole[120]["created_at"].as_str().unwrap().to_owned();

    for (patterns, wanted) in [
        ("a.one", &[0][..]),
        ("rare", &[5]),
        ("never.seen", &[]),
        ("a.one,rare", &[0, 5]),
        ("a.*", &[0, 1, 2]),
        ("a.two.*,b.one", &[2, 4]),
        ("*", &[0, 1, 2, 3, 4, 5]),
    ] {
        for owner in [None, Some(&acme), Some(&bolt)] {
            let expected: Vec<_> = whole
                .iter()
                .filter(|event| {
                    let known = TYPES.iter().position(|&name| event["event"] == name);
                    let kind = known.map_or(patterns == "*", |kind| wanted.contains(&kind));
                    kind && owner.is_none_or(|owner| event["organization_id"] == owner.as_str())
                })
                .cloned()
                .collect();
            let mut query = format!("&events={patterns}");
            if let Some(owner) = owner {
                query.push_str(&format!("&organization_id={owner}"));
            }
            assert_eq!(read(&platform, &query, 7).await, expected, "{query}");
            let since = format!("{query}&range_start={middle}");
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|event| event["created_at"].as_str().unwrap() >= middle.as_str())
                .collect();
            assert_eq!(read(&platform, &since, 100).await, expected, "{since}");
        }
    }
}
