//! When a delivery is tried, and when no more.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, TestPlatform, hours, minutes, seconds};

/// The default waits, in seconds.
const WAITS: [u64; 7] = [5, 20, 60, 600, 3_600, 36_000, 216_000];

fn time(object: &Value, member: &str) -> chrono::DateTime<chrono::Utc> {
    object[member].as_str().unwrap().parse().unwrap()
}

/// How long from now until the next attempt.
fn wait(platform: &TestPlatform, delivery: &Value) -> Duration {
    (time(delivery, "next_attempt_at") - platform.clock.now())
        .to_std()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_eight_times_at_its_times_and_is_then_exhausted() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    let event = platform.publish("a", json!({})).await;

    assert_eq!(platform.dispatch_due().await, 1);
    for base in WAITS {
        let delivery = platform.delivery_of(&event).await;
        let wait = wait(&platform, &delivery);
        let bounds = seconds(base).mul_f64(0.8)..=seconds(base).mul_f64(1.2);
        assert!(bounds.contains(&wait), "{base}: {wait:?}");
        assert_eq!(
            platform
                .dispatch_after(wait - Duration::from_millis(2))
                .await,
            0
        );
        assert_eq!(platform.dispatch_after(Duration::from_millis(2)).await, 1);
    }

    let delivery = platform.delivery_of(&event).await;
    assert_eq!(
        (
            &delivery["state"],
            &delivery["attempts"],
            &delivery["next_attempt_at"]
        ),
        (&json!("exhausted"), &json!(8), &Value::Null)
    );
    assert_eq!(time(&delivery, "settled_at"), platform.clock.now());
    assert_eq!(platform.dispatch_after(hours(1_000)).await, 0);
    assert_eq!(
        receiver.webhook_ids(),
        vec![event["id"].as_str().unwrap(); 8]
    );
    let numbers: Vec<_> = platform
        .attempts(&delivery)
        .await
        .iter()
        .map(|attempt| attempt["number"].clone())
        .collect();
    assert_eq!(
        numbers,
        (1..=8).map(|number| json!(number)).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_are_spread_over_the_whole_of_their_range() {
    let platform = TestPlatform::builder().retry_delays([1_000]).start().await;
    let receiver = Receiver::answering([500]).await;
    // fewer failures of each than would have it left alone
    for number in 0..12 {
        let url = receiver.url_of(&format!("/{number}"));
        platform
            .register(json!({ "endpoint_url": url, "events": ["a"] }))
            .await;
    }
    let events = vec![json!({ "event": "a", "data": {} }); 8];
    platform
        .client()
        .post("/events/batch", &json!({ "events": events }))
        .await
        .expect(201);

    platform.dispatch_due().await;

    let deliveries = platform.deliveries("").await;
    let waits: Vec<_> = deliveries
        .iter()
        .map(|delivery| wait(&platform, delivery))
        .collect();
    assert!(
        waits
            .iter()
            .all(|wait| (seconds(800)..=seconds(1_200)).contains(wait))
    );
    assert!(waits.iter().any(|wait| *wait < seconds(880)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > seconds(1_120)), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delivery_is_sent_again_after_the_first_delay() {
    let platform = TestPlatform::builder().retry_delays([5, 60]).start().await;
    let receiver = Receiver::answering([500, 200]).await;
    platform.create_endpoint(&receiver, ["invoice.paid"]).await;

    let event = platform
        .publish("invoice.paid", json!({ "amount_cents": 1200 }))
        .await;
    platform.dispatch_due().await;
    platform.dispatch_after(seconds(6)).await;

    let id = event["id"].as_str().unwrap();
    assert_eq!(receiver.webhook_ids(), [id, id]);
    assert_eq!(
        platform.outcomes(&event).await,
        ["refused 500", "accepted 200"]
    );
    let delivery = platform.delivery_of(&event).await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&json!("delivered"), &json!(2))
    );
    assert_eq!(platform.dispatch_after(hours(100)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_two_hundreds_is_accepted_and_no_other() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    for (status, outcome) in [
        (200, "accepted 200"),
        (201, "accepted 201"),
        (204, "accepted 204"),
        (299, "accepted 299"),
        (301, "refused 301"),
        (304, "refused 304"),
        (400, "refused 400"),
        (404, "refused 404"),
        (503, "refused 503"),
    ] {
        let answer = Answer::Status(status, Vec::new(), Vec::new());
        let receiver = Receiver::answering([answer]).await;
        let name = format!("s{status}");
        platform.create_endpoint(&receiver, [&name]).await;

        let event = platform.publish(&name, json!({})).await;
        platform.dispatch_due().await;

        assert_eq!(platform.outcomes(&event).await, [outcome]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_lengthens_a_wait_up_to_four_times_and_never_shortens_it() {
    let platform = TestPlatform::builder().retry_delays([100]).start().await;
    for (asked, from, to) in [
        ("1", 80, 120),
        ("200", 200, 200),
        ("399", 399, 399),
        ("100000", 400, 400),
        ("soon", 80, 120),
        ("-5", 80, 120),
    ] {
        let answer = Answer::from(503).with("retry-after", asked);
        let receiver = Receiver::answering([answer]).await;
        let name = format!(
            "retry.{}",
            receiver.url().replace(|c: char| !c.is_ascii_digit(), "")
        );
        platform.create_endpoint(&receiver, [&name]).await;

        let event = platform.publish(&name, json!({})).await;
        platform.dispatch_due().await;

        let wait = wait(&platform, &platform.delivery_of(&event).await);
        assert!(
            (seconds(from)..=seconds(to)).contains(&wait),
            "{asked}: {wait:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_may_have_its_own_waits() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([500]).await;
    let endpoint =
        json!({ "endpoint_url": receiver.url(), "events": ["a"], "retry_delays_seconds": [50] });
    let endpoint = platform.register(endpoint).await;
    let single = Receiver::answering([500]).await;
    platform
        .register(
            json!({ "endpoint_url": single.url(), "events": ["a"], "retry_delays_seconds": [] }),
        )
        .await;

    platform.publish("a", json!({})).await;
    platform.dispatch_due().await;

    assert_eq!(platform.dispatch_after(seconds(39)).await, 0);
    assert_eq!(platform.dispatch_after(seconds(22)).await, 1);
    assert_eq!(platform.dispatch_after(hours(1_000)).await, 0);
    let query = format!(
        "state=exhausted&webhook_endpoint_id={}",
        endpoint["id"].as_str().unwrap()
    );
    assert_eq!(platform.deliveries(&query).await.len(), 1);
    assert_eq!((receiver.requests().len(), single.requests().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_everything_when_it_is_back() {
    let platform = TestPlatform::builder().retry_delays([5, 60]).start().await;
    let mut receiver = Receiver::answering([200]).await;
    platform.create_endpoint(&receiver, ["a"]).await;
    receiver.stop().await;

    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    receiver.start().await;
    platform.dispatch_after(seconds(6)).await;

    assert_eq!(
        platform.outcomes(&event).await,
        ["unreachable", "accepted 200"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_in_time_is_a_timeout_and_is_tried_again() {
    let platform = TestPlatform::builder()
        .retry_delays([5])
        .configure(|config| config.delivery.timeout = Duration::from_millis(300))
        .start()
        .await;
    let receiver = Receiver::answering([Answer::Hang, 200.into()]).await;
    platform.create_endpoint(&receiver, ["a"]).await;

    let event = platform.publish("a", json!({})).await;
    platform.dispatch_due().await;
    platform.dispatch_after(minutes(1)).await;

    assert_eq!(
        platform.outcomes(&event).await,
        ["timed_out", "accepted 200"]
    );
    let attempts = platform.attempts(&platform.delivery_of(&event).await).await;
    let duration = attempts[0]["duration_ms"].as_u64().unwrap();
    assert!((300..5_000).contains(&duration), "{duration}");
    assert_eq!(attempts[0]["response"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_refusal_and_is_not_followed() {
    let platform = TestPlatform::builder().retry_delays([]).start().await;
    let elsewhere = Receiver::answering([200]).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = Answer::from(status).with("location", elsewhere.url());
        let receiver = Receiver::answering([answer]).await;
        let name = format!("r{status}");
        platform.create_endpoint(&receiver, [&name]).await;

        let event = platform.publish(&name, json!({})).await;
        platform.dispatch_due().await;

        assert_eq!(
            platform.outcomes(&event).await,
            [format!("refused {status}")]
        );
    }
    assert!(elsewhere.requests().is_empty());
}
