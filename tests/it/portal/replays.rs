//! Replays in the portal: asked for by whoever looks after endpoints, watched by all who may see them.

use serde_json::json;

use super::Visitor;
use super::browser::sign_in;
use super::driver::Browser;
use crate::harness::{Receiver, TestPlatform, eventually, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_refused_or_counted_keeps_what_was_typed_and_makes_nothing() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    platform.publish("a", json!({})).await;
    let endpoint = platform.create_endpoint(&receiver, ["a"]).await;
    let endpoint = endpoint["id"].as_str().unwrap();
    platform.clock.advance(seconds(60));
    let mut operator = Visitor::operator(&platform).await;
    let form = |act, from, rate| {
        [
            ("act", act),
            ("endpoint", endpoint),
            ("scope", "missing"),
            ("from", from),
            ("until", ""),
            ("rate", rate),
        ]
    };
    let mut send = async |form: [(&str, &str); 6]| {
        operator
            .submit("/portal/replays/new", "/portal/replays", &form)
            .await
    };

    let wrong = send(form("create", "2020-01-01T00:61", "7000")).await;
    let counted = send(form("preview", "2020-01-01T00:01", "7")).await;
    let count = platform.client().get("/replays").await.expect(200);
    let made = send(form("create", "2020-01-01T00:01", "7")).await;

    assert_eq!(wrong.status, 422);
    for part in [
        "from must be a time",
        "from 1 to 1000",
        "7000",
        "2020-01-01T00:61",
    ] {
        assert!(wrong.text.contains(part), "{part}");
    }
    assert_eq!(counted.status, 200);
    for part in [
        "This makes <strong>1</strong> delivery",
        r#"value="7""#,
        "2020-01-01T00:01",
    ] {
        assert!(counted.text.contains(part), "{part}");
    }
    assert_eq!(count["data"], json!([]));
    assert_eq!(made.status, 303);
    let page = operator.get(&made.location).await;
    assert!(page.text.contains("<progress"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_watches_a_replay_and_nobody_asks_for_one_elsewhere() {
    let platform = TestPlatform::usual().await;
    let receiver = Receiver::answering([200]).await;
    let mut of = Vec::new();
    for name in ["/ours", "/theirs"] {
        let body = json!({ "name": name });
        let organization = platform.client().post("/organizations", &body).await;
        let organization = organization.expect(201)["id"].clone();
        let endpoint = json!({
            "endpoint_url": receiver.url_of(name), "events": ["a"], "organization_id": organization,
        });
        let endpoint = platform.register(endpoint).await["id"].clone();
        let body =
            json!({ "webhook_endpoint_id": endpoint, "scope": "all", "range_start": "2020-01-01" });
        let replay = platform.client().post("/replays", &body).await;
        let replay = replay.expect(201)["id"].clone();
        of.push([organization, endpoint, replay].map(|id| id.as_str().unwrap().to_owned()));
    }
    let [ours, theirs] = &of[..] else {
        panic!("two")
    };
    let mut viewer = Visitor::member(&platform, &ours[0], "viewer").await;
    let mut manager = Visitor::member(&platform, &ours[0], "manager").await;
    let page = |of: &[String; 3]| format!("/portal/replays/{}", of[2]);
    let form = |of: &[String; 3], act: &'static str| {
        let fields = [
            ("act", act),
            ("endpoint", &of[1]),
            ("scope", "all"),
            ("from", "2020-01-01"),
            ("rate", "5"),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let mut verdicts = Vec::new();
    for visitor in [&mut viewer, &mut manager] {
        for of in [theirs, ours] {
            let cancel = format!("{}/cancel", page(of));
            let shown = visitor.get(&page(of)).await.status;
            let stopped = visitor.submit("/portal", &cancel, &[]).await.status;
            let mut asked = Vec::new();
            for act in ["preview", "create"] {
                let form = form(of, act);
                let form: Vec<_> = form
                    .iter()
                    .map(|(name, value)| (&**name, &**value))
                    .collect();
                let page = visitor.submit("/portal", "/portal/replays", &form).await;
                asked.push(page.status);
            }
            verdicts.push((shown, stopped, asked));
        }
    }

    assert_eq!(
        verdicts,
        [
            (404, 403, vec![403, 403]),
            (200, 403, vec![403, 403]),
            (404, 404, vec![404, 404]),
            (200, 303, vec![200, 303]),
        ]
    );
    let theirs = platform
        .client()
        .get(&format!("/replays/{}", theirs[2]))
        .await;
    assert_eq!(theirs.expect(200)["state"], "pending");
    platform.dispatch_due().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_replayed_in_bulk_once_the_receiver_is_put_right() {
    let platform = TestPlatform::builder()
        .retry_delays([])
        .dispatching()
        .start()
        .await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    let receiver = Receiver::answering([500, 500, 200]).await;
    let endpoint = platform.create_endpoint(&receiver, ["invoice.*"]).await;
    let endpoint = endpoint["id"].as_str().unwrap();
    sign_in(&browser, &platform).await;

    for scripts in [true, false] {
        if !scripts {
            receiver.answer_now([500, 500, 200]);
            browser.without_scripts().await;
        }
        for number in 0..2 {
            platform
                .publish("invoice.paid", json!({ "n": number }))
                .await;
        }
        let exhausted = if scripts { 2 } else { 4 };
        eventually("both have failed", async || {
            (platform.deliveries("state=exhausted").await.len() == exhausted).then_some(())
        })
        .await;

        browser.open(&format!("/portal/endpoints/{endpoint}")).await;
        browser.click("a[href^='/portal/replays/new']").await;
        browser.sees("Replay events").await;
        browser.click("button[value=preview]").await;
        browser.sees("This makes 2 deliveries").await;
        browser.click("button[value=create]").await;
        browser.sees("It begins in a moment").await;
        eventually("the replay is made", async || {
            platform.make_replays().await;
            let list = platform.client().get("/replays").await.expect(200);
            (list["data"][0]["state"] == "completed").then_some(())
        })
        .await;
        if !scripts {
            browser.open(&browser.place().await).await;
        }
        browser.sees("Every delivery is made").await;
        let arrived = exhausted;
        eventually("both have arrived", async || {
            (platform.deliveries("state=delivered").await.len() == arrived).then_some(())
        })
        .await;
    }

    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    platform.finish().await;
}
