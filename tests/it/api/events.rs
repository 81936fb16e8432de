//! Events: recorded one by one and in batches, refused with every fault at once, read back as they were sent.

use serde_json::{Value, json};

use crate::harness::{Reply, TestPlatform};

/// The text of `data` in an event object.
fn data_text(reply: &Reply) -> String {
    let text = reply.text();
    let from = text.find(r#""data":"#).unwrap() + r#""data":"#.len();
    let to = text.find(r#","created_at":"#).unwrap();
    text[from..to].to_owned()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(field, code): &(&str, &str)| (field.to_owned(), code.to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_event_is_answered_whole_and_read_back_byte_for_byte() {
    let platform = TestPlatform::usual().await;
    let organization = platform
        .client()
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201)["id"]
        .clone();

    let created = platform
        .client()
        .post(
            "/events",
            &json!({
                "event": "invoice.paid", "data": { "amount_cents": 1200 },
                "organization_id": organization, "context": { "client_id": "c" },
            }),
        )
        .await;

    let event = created.expect(201);
    let id = event["id"].as_str().unwrap();
    assert!(id.starts_with("event_") && id.len() == 32, "{id}");
    assert_eq!(
        event,
        json!({
            "object": "event", "id": id, "event": "invoice.paid", "data": { "amount_cents": 1200 },
            "created_at": tidings::domain::time::to_text(platform.clock.now()), "context": { "client_id": "c" },
            "organization_id": organization,
            // after the event that tells of the organization
            "position": 2,
        })
    );
    let found = platform.client().get(&format!("/events/{id}")).await;
    assert_eq!((found.status, found.text()), (200, created.text()));
    let feed = platform.client().get("/events?events=invoice.paid").await;
    let whole = format!(
        r#"{{"object":"list","data":[{}],"list_metadata":{{"after":null}}}}"#,
        created.text()
    );
    assert_eq!((feed.status, feed.text()), (200, whole.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_comes_back_with_its_numbers_its_member_order_and_its_nulls_as_sent() {
    let platform = TestPlatform::usual().await;
    for (sent, kept) in [
        (
            r#"{"a":1.0,"b":1e300,"c":-0.0,"d":10000000000000000000000001}"#,
            None,
        ),
        (r#"{"z":1,"a":2,"10":3,"2":4}"#, None),
        (
            r#"{ "a" : [ 1 , 2 ] , "b" : { } }"#,
            Some(r#"{"a":[1,2],"b":{}}"#),
        ),
        (r#"{"nul":"\u0000","text":"é 😀"}"#, None),
        (r#"{"":null,"t":true,"f":false}"#, None),
    ] {
        let body = format!(r#"{{"event":"a.b","data":{sent}}}"#);

        let created = platform.client().post_text("/events", body).await;

        assert_eq!(created.status, 201, "{}", created.text());
        assert_eq!(data_text(&created), kept.unwrap_or(sent));
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let found = platform.client().get(&format!("/events/{id}")).await;
        assert_eq!(found.body, created.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn escapes_are_written_in_one_way_and_mean_the_same() {
    let platform = TestPlatform::usual().await;
    let sent = r#"{"a":"\u00e9\/\ud83d\ude00\u0041\t"}"#;

    let created = platform
        .client()
        .post_text("/events", format!(r#"{{"event":"a.b","data":{sent}}}"#))
        .await;

    assert_eq!(created.status, 201, "{}", created.text());
    let same: Value = serde_json::from_str(sent).unwrap();
    assert_eq!(created.json()["data"], same);
    assert_eq!(data_text(&created), r#"{"a":"é/😀A\t"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_an_event_is_told_at_once() {
    let platform = TestPlatform::usual().await;

    let refused = platform
        .client()
        .post(
            "/events",
            &json!({ "event": "a b", "data": [], "context": 1, "organization_id": "event_1" }),
        )
        .await;

    assert_eq!(
        refused.faults(),
        pairs(&[
            ("event", "invalid_event_type"),
            ("data", "object_required"),
            ("context", "object_required"),
            ("organization_id", "invalid_organization_id"),
        ])
    );
    assert_eq!(refused.verdict().1, "invalid_request_parameters");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_unknown_and_repeated_members_are_refused() {
    let platform = TestPlatform::usual().await;
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    for (body, faults) in [
        ("{}", &[("event", "required"), ("data", "required")] as &[_]),
        (
            r#"{"event":null,"data":null}"#,
            &[("event", "required"), ("data", "object_required")],
        ),
        (
            r#"{"event":"a","data":{},"dta":1}"#,
            &[("dta", "unexpected_member")],
        ),
        (
            r#"{"event":"a","event":"b","data":{}}"#,
            &[("", "unexpected_member")],
        ),
        (
            r#"{"event":"a","data":{"x":{"a":1,"a":2}}}"#,
            &[("data", "duplicate_member")],
        ),
        (
            r#"{"event":"a","data":{"a":1,"\u0061":2}}"#,
            &[("data", "duplicate_member")],
        ),
        (
            &format!(r#"{{"event":"a","data":{deep}}}"#),
            &[("data", "too_deep")],
        ),
        (
            r#"{"event":"a..b","data":{}}"#,
            &[("event", "invalid_event_type")],
        ),
        (
            r#"{"event":"a.*","data":{}}"#,
            &[("event", "invalid_event_type")],
        ),
        ("[]", &[("body", "invalid_type")]),
    ] {
        let refused = platform
            .client()
            .post_text("/events", body.to_owned())
            .await;

        assert_eq!(refused.status, 422, "{body}: {}", refused.text());
        assert_eq!(refused.faults(), pairs(faults), "{body}");
    }
    let feed = platform.client().get("/events").await.expect(200);
    assert_eq!(feed["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_recorded_in_its_order_at_neighbouring_places() {
    let platform = TestPlatform::usual().await;
    let events: Vec<_> = (0..500)
        .map(|index| json!({ "event": "batch.item", "data": { "index": index } }))
        .collect();

    let created = platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);

    let recorded = created["data"].as_array().unwrap();
    let indices: Vec<_> = recorded
        .iter()
        .map(|event| event["data"]["index"].as_i64())
        .collect();
    let positions: Vec<_> = recorded
        .iter()
        .map(|event| event["position"].as_i64())
        .collect();
    assert_eq!(created["object"], "list");
    assert_eq!(indices, (0..500).map(Some).collect::<Vec<_>>());
    assert_eq!(positions, (1..=500).map(Some).collect::<Vec<_>>());
    assert!(recorded.is_sorted_by_key(|event| event["id"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_bad_event_records_nothing_and_names_every_fault() {
    let platform = TestPlatform::usual().await;
    let batch = json!({ "events": [
        { "event": "good", "data": {} }, { "event": "", "data": 1 }, 7, { "event": "good" },
    ] });

    let refused = platform.client().post("/events/batch", &batch).await;

    assert_eq!(
        refused.faults(),
        pairs(&[
            ("events[1].event", "invalid_event_type"),
            ("events[1].data", "object_required"),
            ("events[2]", "invalid_type"),
            ("events[3].data", "required"),
        ])
    );
    let feed = platform.client().get("/events").await.expect(200);
    assert_eq!(feed["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_one_to_five_hundred_events() {
    let platform = TestPlatform::usual().await;
    let event = json!({ "event": "a", "data": {} });
    for count in [0, 501] {
        let refused = platform
            .client()
            .post(
                "/events/batch",
                &json!({ "events": vec![event.clone(); count] }),
            )
            .await;
        assert_eq!(refused.faults(), pairs(&[("events", "invalid_length")]));
    }
    for (body, code) in [
        (json!({}), "required"),
        (json!({ "events": {} }), "invalid_type"),
    ] {
        let refused = platform.client().post("/events/batch", &body).await;
        assert_eq!(refused.faults(), pairs(&[("events", code)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_name_an_organization_that_the_platform_does_not_know() {
    let platform = TestPlatform::usual().await;
    let unknown = "org_01KDWX4V00000000000000TEST";

    let created = platform
        .client()
        .post(
            "/events",
            &json!({ "event": "a", "data": {}, "organization_id": unknown }),
        )
        .await;

    assert_eq!(created.expect(201)["organization_id"], unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_there_is_not_found() {
    let platform = TestPlatform::usual().await;
    for id in [
        "event_01KDWX4V00000000000000TEST",
        "org_01KDWX4V00000000000000TEST",
        "x",
        "%00",
    ] {
        let missing = platform.client().get(&format!("/events/{id}")).await;
        assert_eq!(
            missing.verdict(),
            (404, "entity_not_found".to_owned()),
            "{id}"
        );
    }
}
