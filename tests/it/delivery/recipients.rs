//! Who gets which event.

use serde_json::{Value, json};

use crate::harness::{Receiver, TestPlatform};

fn names(receiver: &Receiver) -> Vec<String> {
    let name = |body: Value| body["event"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| name(request.json()))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_gets_what_its_patterns_match_once() {
    let platform = TestPlatform::usual().await;
    let mut receivers = Vec::new();
    for patterns in [
        &["invoice.paid"] as &[_],
        &["invoice.*"],
        &["*"],
        &[],
        &["invoice.*", "invoice.paid", "*"],
        &["other"],
    ] {
        let receiver = Receiver::answering([200]).await;
        platform
            .register(json!({ "endpoint_url": receiver.url(), "events": patterns }))
            .await;
        receivers.push(receiver);
    }

    for name in ["invoice.paid", "invoice.sent", "invoice", "invoices.paid"] {
        platform.publish(name, json!({})).await;
    }
    platform.dispatch_due().await;

    let all: &[&str] = &["invoice", "invoice.paid", "invoice.sent", "invoices.paid"];
    let wanted: [&[&str]; 6] = [
        &["invoice.paid"],
        &["invoice.paid", "invoice.sent"],
        all,
        all,
        all,
        &[],
    ];
    for (receiver, wanted) in receivers.iter().zip(wanted) {
        let mut got = names(receiver);
        // that the endpoints after it were made
        got.retain(|name| name != "audit_log.event_recorded");
        assert_eq!(got, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_an_organization_gets_that_organizations_events_only() {
    let platform = TestPlatform::usual().await;
    let make = async |name: &str| {
        let body = json!({ "name": name });
        platform
            .client()
            .post("/organizations", &body)
            .await
            .expect(201)["id"]
            .clone()
    };
    let (ours, theirs) = (make("ours").await, make("theirs").await);
    let (bound, free) = (
        Receiver::answering([200]).await,
        Receiver::answering([200]).await,
    );
    platform
        .register(json!({ "endpoint_url": bound.url(), "events": [], "organization_id": ours }))
        .await;
    platform
        .register(json!({ "endpoint_url": free.url(), "events": [] }))
        .await;

    for (name, organization) in [
        ("ours", &ours),
        ("theirs", &theirs),
        ("nobodys", &Value::Null),
    ] {
        let body = json!({ "event": name, "data": {}, "organization_id": organization });
        platform.client().post("/events", &body).await.expect(201);
    }
    platform.dispatch_due().await;

    assert_eq!(names(&bound), ["ours"]);
    assert_eq!(names(&free), ["nobodys", "ours", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_another_environment_get_nothing() {
    let platform = TestPlatform::usual().await;
    let foreign = platform.foreign_client().await;
    let receiver = Receiver::answering([200]).await;
    let body = json!({ "endpoint_url": receiver.url(), "events": [] });
    foreign.post("/webhook_endpoints", &body).await.expect(201);

    platform.publish("a", json!({})).await;

    assert_eq!(platform.dispatch_due().await, 0);
    assert!(receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_reaches_its_endpoint_alone_whatever_that_is_subscribed_to() {
    let platform = TestPlatform::usual().await;
    let (tested, other) = (
        Receiver::answering([200]).await,
        Receiver::answering([200]).await,
    );
    let endpoint = platform.create_endpoint(&tested, ["something.else"]).await;
    platform.create_endpoint(&other, ["*"]).await;
    let path = format!(
        "/webhook_endpoints/{}/test",
        endpoint["id"].as_str().unwrap()
    );

    let plain = platform.client().post(&path, &json!({})).await.expect(201);
    let custom = platform
        .client()
        .post(
            &path,
            &json!({ "event": "invoice.paid", "data": { "id": 1 } }),
        )
        .await
        .expect(201);
    platform.dispatch_due().await;

    assert_eq!(names(&tested), ["invoice.paid", "webhook_endpoint.test"]);
    assert!(other.requests().is_empty());
    assert_eq!(plain["data"]["id"], endpoint["id"]);
    assert_eq!(custom["data"], json!({ "id": 1 }));
    let feed = "/events?events=webhook_endpoint.test,invoice.paid";
    let feed = platform.client().get(feed).await.expect(200);
    assert_eq!(feed["data"], json!([plain, custom]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_cannot_be_tested() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
    platform
        .client()
        .patch(&path, &json!({ "status": "disabled" }))
        .await
        .expect(200);

    let refused = platform
        .client()
        .post(&format!("{path}/test"), &json!({}))
        .await;

    assert_eq!(refused.verdict(), (409, "endpoint_disabled".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_the_event_object_byte_for_byte() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;

    let body = r#"{"event":"a","data":{"z":1.0,"a":"é\u0000","n":12345678901234567890}}"#;
    let created = platform.client().post_text("/events", body).await;
    platform.dispatch_due().await;

    let request = receiver.requests().remove(0);
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert_eq!(request.body, created.body);
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("Tidings/"));
}
