//! Reading the feed: every filter in every spelling that SDKs use, and cursors that are good or are not.

use serde_json::{Value, json};

use crate::harness::{TestPlatform, minutes};

const NAMES: [&str; 6] = [
    "invoice.paid",
    "invoice.sent",
    "invoice",
    "invoices.paid",
    "user.created",
    "invoice.line.added",
];

/// A platform with one event of each name, a minute apart, and their ids.
async fn filled() -> (TestPlatform, Vec<String>) {
    let platform = TestPlatform::usual().await;
    let mut ids = Vec::new();
    for name in NAMES {
        let event = platform.publish(name, json!({})).await;
        ids.push(event["id"].as_str().unwrap().to_owned());
        platform.clock.advance(minutes(1));
    }
    (platform, ids)
}

/// The names of the events on the page, and the cursor.
async fn page(platform: &TestPlatform, query: &str) -> (Vec<String>, Value) {
    let list = platform
        .client()
        .get(&format!("/events?{query}"))
        .await
        .expect(200);
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    let names = list["data"].as_array().unwrap().iter().map(name).collect();
    (names, list["list_metadata"]["after"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_filter_is_understood_in_all_its_encodings() {
    let (platform, _) = filled().await;
    for query in [
        "events=invoice.paid,user.created",
        "events=invoice.paid%2Cuser.created",
        "events=invoice.paid&events=user.created",
        "events[0]=invoice.paid&events[1]=user.created",
        "events%5B0%5D=user.created&events%5B1%5D=invoice.paid",
        "events[]=invoice.paid&events[]=user.created",
        "events%5B%5D=invoice.paid&events%5B%5D=user.created",
    ] {
        let (names, _) = page(&platform, query).await;
        assert_eq!(names, ["invoice.paid", "user.created"], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_takes_everything_below_its_prefix_and_nothing_beside_it() {
    let (platform, _) = filled().await;
    for (query, names) in [
        (
            "events=invoice.*",
            &["invoice.paid", "invoice.sent", "invoice.line.added"] as &[_],
        ),
        ("events=invoice.line.*", &["invoice.line.added"]),
        (
            "events=invoice.*,user.created",
            &[
                "invoice.paid",
                "invoice.sent",
                "user.created",
                "invoice.line.added",
            ],
        ),
        ("events=*", &NAMES),
        ("events=nothing.*", &[]),
        ("events=unknown.name", &[]),
        ("", &NAMES),
    ] {
        assert_eq!(page(&platform, query).await.0, names, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_empty_or_no_name_is_an_invalid_events_request() {
    let platform = TestPlatform::usual().await;
    let many = vec!["a"; 201].join(",");
    for query in [
        "events=",
        "events[]=",
        "events=,",
        "events=a%20b",
        "events=a..b",
        "events=a*",
        &format!("events={many}"),
    ] {
        let refused = platform.client().get(&format!("/events?{query}")).await;
        assert_eq!(
            refused.verdict(),
            (400, "invalid_events_request".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_holds_its_ends_and_may_be_written_in_several_ways() {
    let platform = TestPlatform::usual().await;
    let mut times = Vec::new();
    for name in ["a", "b", "c"] {
        times.push(platform.clock.now());
        platform.publish(name, json!({})).await;
        platform.clock.advance(minutes(1));
    }
    let text = |index: usize| tidings::domain::time::to_text(times[index]);
    let offset = times[1].with_timezone(&chrono::FixedOffset::east_opt(7_200).unwrap());
    let offset = offset.to_rfc3339().replace('+', "%2B");
    let one_more = tidings::domain::time::to_text(times[1] + chrono::TimeDelta::milliseconds(1));

    for (query, names) in [
        (format!("range_start={}", text(1)), &["b", "c"] as &[&str]),
        (format!("range_start={offset}"), &["b", "c"]),
        (format!("range_start={one_more}"), &["c"]),
        (format!("range_end={}", text(1)), &["a", "b"]),
        (
            format!("range_start={}&range_end={}", text(1), text(1)),
            &["b"],
        ),
        (
            format!("range_start={}&range_end={}", text(2), text(0)),
            &[],
        ),
        (
            "range_start=2020-05-04&range_end=".to_owned(),
            &["a", "b", "c"],
        ),
    ] {
        assert_eq!(page(&platform, &query).await.0, names, "{query}");
    }
    let refused = platform
        .client()
        .get("/events?range_start=soon&range_end=1&limit=0")
        .await;
    let fields: Vec<_> = refused
        .faults()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(fields, ["limit", "range_start", "range_end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_and_a_range_can_be_sent_together() {
    let (platform, ids) = filled().await;
    let query = format!("after={}&range_start=2020-01-01&limit=2", ids[1]);

    let (names, after) = page(&platform, &query).await;

    assert_eq!(names, ["invoice", "invoices.paid"]);
    assert_eq!(after, ids[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_can_be_narrowed_to_an_organization() {
    let platform = TestPlatform::usual().await;
    let organizations = [
        "org_01KDWX4V00000000000000AAAA",
        "org_01KDWX4V00000000000000BBBB",
    ];
    for (name, organization) in [
        ("a", Some(organizations[0])),
        ("b", Some(organizations[1])),
        ("c", None),
    ] {
        let body = json!({ "event": name, "data": {}, "organization_id": organization });
        platform.client().post("/events", &body).await.expect(201);
    }

    for (query, names) in [
        (
            format!("organization_id={}", organizations[1]),
            &["b"] as &[&str],
        ),
        (
            format!("organization_id={}&events=a", organizations[1]),
            &[],
        ),
        (
            "organization_id=org_01KDWX4V00000000000000CCCC".to_owned(),
            &[],
        ),
        ("organization_id=".to_owned(), &["a", "b", "c"]),
    ] {
        assert_eq!(page(&platform, &query).await.0, names, "{query}");
    }
    let refused = platform.client().get("/events?organization_id=1").await;
    assert_eq!(
        refused.faults(),
        [("organization_id".to_owned(), "invalid_id".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_and_end_with_null() {
    let (platform, ids) = filled().await;

    let (first, after) = page(&platform, "limit=4").await;
    let (second, end) = page(&platform, &format!("limit=4&after={}", ids[3])).await;
    let (nothing, still) = page(&platform, &format!("after={}", ids[5])).await;

    assert_eq!([first, second].concat(), NAMES);
    assert_eq!((after, end), (json!(ids[3]), Value::Null));
    assert_eq!((nothing.len(), still), (0, Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_ten_events_unless_another_number_up_to_a_hundred_is_asked_for() {
    let platform = TestPlatform::usual().await;
    let events = vec![json!({ "event": "a", "data": {} }); 120];
    let batch = json!({ "events": events });
    platform
        .client()
        .post("/events/batch", &batch)
        .await
        .expect(201);

    assert_eq!(page(&platform, "").await.0.len(), 10);
    assert_eq!(page(&platform, "limit=1").await.0.len(), 1);
    assert_eq!(page(&platform, "limit=100").await.0.len(), 100);
    for limit in ["0", "101", "-1", "ten", "", "1.0", "99999999999999999999"] {
        let refused = platform
            .client()
            .get(&format!("/events?limit={limit}"))
            .await;
        let faults = [("limit".to_owned(), "limit_out_of_range".to_owned())];
        assert_eq!(refused.faults(), faults, "{limit:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_and_before_and_unknown_parameters_change_nothing() {
    let (platform, ids) = filled().await;
    let plain = platform.client().get("/events?limit=3").await;
    for query in [
        "order=desc",
        "order=asc",
        "order=normal",
        "order=sideways",
        &format!("before={}", ids[1]),
        "before=nonsense",
        "unknown=1",
        "after=",
    ] {
        let reply = platform
            .client()
            .get(&format!("/events?limit=3&{query}"))
            .await;
        assert_eq!((reply.status, reply.text()), (200, plain.text()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_names_no_event_of_the_environment_is_an_invalid_cursor() {
    let (platform, ids) = filled().await;
    let foreign = platform.foreign_client().await;
    let event = json!({ "event": "a", "data": {} });
    let theirs = foreign.post("/events", &event).await.expect(201)["id"].clone();
    let unknown = format!("{}0000", &ids[0][..ids[0].len() - 4]);
    for cursor in [
        theirs.as_str().unwrap(),
        &unknown,
        "event_1",
        "nonsense",
        "%00",
        "org_01KDWX4V00000000000000TEST",
    ] {
        let refused = platform
            .client()
            .get(&format!("/events?after={cursor}"))
            .await;
        assert_eq!(
            refused.verdict(),
            (400, "invalid_cursor".to_owned()),
            "{cursor}"
        );
    }
    let lower = platform
        .client()
        .get(&format!("/events?after={}", ids[0].to_lowercase()))
        .await;
    assert!(lower.status == 200 || lower.verdict().1 == "invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_retention_has_passed_has_expired() {
    let (platform, ids) = filled().await;
    let sql = platform.sql().await;
    // what dropping a partition leaves behind
    sql.batch_execute(
        "UPDATE event_sequences SET (dropped_through_id, dropped_through_position) = \
         (SELECT id, position FROM events WHERE position = 3); DELETE FROM events WHERE position <= 3",
    )
    .await
    .unwrap();

    let expired = platform
        .client()
        .get(&format!("/events?after={}", ids[1]))
        .await;
    let last = page(&platform, &format!("after={}", ids[2])).await;

    assert_eq!(expired.verdict(), (400, "cursor_expired".to_owned()));
    assert_eq!(last.0, NAMES[3..]);
}
