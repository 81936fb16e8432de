//! Rates: a key that asks too often, and an address that is wrong about keys too often.

use std::time::Duration;

use serde_json::json;

use crate::harness::{TestPlatform, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_beyond_its_rate_is_told_when_to_come_back_and_others_are_not_held_up() {
    let platform = TestPlatform::builder()
        .configure(|config| config.server.rate_limit = 3)
        .start()
        .await;
    let (one, other) = (
        platform.foreign_client().await,
        platform.foreign_client().await,
    );
    let ask = || one.get("/events");

    let within = [ask().await, ask().await, ask().await];
    // as many as come back in the meantime, and one more
    let beyond = eventually("the key is refused", async || {
        let answer = ask().await;
        (answer.status != 200).then_some(answer)
    })
    .await;

    assert!(within.iter().all(|answer| answer.status == 200));
    assert_eq!(within[0].header("ratelimit-limit"), "3");
    assert_eq!(within[0].header("ratelimit-remaining"), "2");
    assert_eq!(within[0].header("ratelimit-reset"), "1");
    assert_eq!(beyond.verdict(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(beyond.header("retry-after"), "1");
    assert_eq!(beyond.header("ratelimit-remaining"), "0");
    assert_eq!(other.get("/events").await.status, 200);
    let back = tokio::time::timeout(Duration::from_secs(3), async {
        while ask().await.status != 200 {}
    });
    assert!(back.await.is_ok(), "after a while it may ask again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_nothing_is_said_of_one() {
    let platform = TestPlatform::usual().await;

    let answer = platform.client().get("/events").await;

    assert_eq!(answer.header("ratelimit-limit"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_keys_is_stopped_and_a_right_key_from_there_still_works() {
    let platform = TestPlatform::builder()
        .configure(|config| config.server.wrong_keys_max = 5)
        .start()
        .await;
    let guess = async |number: usize| {
        let key = format!("sk_guess{number}");
        let guesser = platform.client().with_key(Some(&key));
        guesser.get("/events").await.verdict()
    };

    let mut verdicts = Vec::new();
    for number in 0..8 {
        verdicts.push(guess(number).await);
    }

    let unauthorized = (401, "unauthorized".to_owned());
    assert!(verdicts[..5].iter().all(|verdict| *verdict == unauthorized));
    assert_eq!(verdicts[7], (429, "rate_limit_exceeded".to_owned()));
    let event = json!({ "event": "a", "data": {} });
    assert_eq!(platform.client().post("/events", &event).await.status, 201);
    let nobody = platform.client().with_key(None);
    assert_eq!(nobody.get("/events").await.verdict(), unauthorized);
}
