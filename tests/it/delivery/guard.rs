//! The outbound guard at delivery: what was allowed at registration is looked at again at every attempt.

use serde_json::json;

use crate::harness::{Receiver, TestPlatform};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_longer_allowed_is_not_called() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, []).await;
    let event = platform.publish("a", json!({})).await;

    let strict = TestPlatform::builder()
        .beside(&platform)
        .retry_delays([5])
        .configure(|config| config.egress.allow = Vec::new())
        .start()
        .await;
    assert_eq!(strict.dispatch_due().await, 1);

    assert!(receiver.requests().is_empty());
    assert_eq!(platform.outcomes(&event).await, ["forbidden"]);
    let attempt = platform
        .attempts(&platform.delivery_of(&event).await)
        .await
        .remove(0);
    assert!(
        attempt["detail"].is_string() && attempt["response"].is_null(),
        "{attempt}"
    );
    assert_eq!(platform.delivery_of(&event).await["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_forbidden_address_is_not_called() {
    let platform = TestPlatform::builder()
        .retry_delays([])
        .configure(|config| config.egress.allow = Vec::new())
        .start()
        .await;
    let receiver = Receiver::answering([200]).await;
    // written past the first look, as a name whose address changed later would be
    let endpoint = platform
        .register(json!({ "endpoint_url": "https://example.com/", "events": [] }))
        .await;
    let sql = platform.sql().await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    let changed = sql
        .execute("UPDATE endpoints SET url = $1", &[&url])
        .await
        .unwrap();
    assert_eq!(changed, 1, "{endpoint}");

    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    assert!(receiver.requests().is_empty());
    assert_eq!(platform.outcomes(&event).await, ["forbidden"]);
}
