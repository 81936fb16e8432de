//! The portal in a real browser.

use serde_json::json;

use super::driver::Browser;
use crate::harness::{Receiver, TestPlatform};

pub(super) async fn sign_in(browser: &Browser, platform: &TestPlatform) {
    browser.open("/portal/sign-in").await;
    browser.fill("#key", platform.client().key()).await;
    browser.click("button[type=submit]").await;
    browser.sees("Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_watched_broken_explained_and_put_right() {
    let platform = TestPlatform::builder()
        .retry_delays([60])
        .dispatching()
        .start()
        .await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    let receiver = Receiver::answering([200, 503, 200]).await;
    sign_in(&browser, &platform).await;

    browser.open("/portal/endpoints/new").await;
    browser.fill("[name=url]", &receiver.url()).await;
    browser.fill("[name=patterns]", "invoice.*").await;
    browser.click("main form button[type=submit]").await;
    browser.sees("The endpoint is there").await;
    let endpoint = browser.place().await;

    browser.open("/portal/events").await;
    let first = platform.publish("invoice.paid", json!({ "n": 1 })).await;
    // Nobody loads the page again: it moves by itself.
    browser.sees("invoice.paid").await;
    browser
        .open(&format!("/portal/events/{}", first["id"].as_str().unwrap()))
        .await;
    browser.sees("delivered").await;

    let second = platform.publish("invoice.paid", json!({ "n": 2 })).await;
    let id = endpoint.split(['/', '?']).nth(3).unwrap();
    browser
        .open(&format!(
            "/portal/events/{}/why?endpoint={id}",
            second["id"].as_str().unwrap()
        ))
        .await;
    let delivery = crate::harness::eventually("the second was refused", async || {
        let delivery = platform.delivery_of(&second).await;
        (platform.attempts(&delivery).await.len() == 1).then_some(delivery)
    })
    .await;
    browser.open(&browser.place().await).await;
    browser.sees("the receiver answered 503").await;
    browser.sees("invoice.*").await;

    browser
        .open(&format!(
            "/portal/deliveries/{}",
            delivery["id"].as_str().unwrap()
        ))
        .await;
    browser.click("form[action$=replay] button").await;
    browser.sees("Sent again as this new delivery").await;
    browser.sees("200 OK").await;

    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_an_endpoint_is_made_tested_and_its_delivery_read() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    let receiver = Receiver::answering([200]).await;
    browser.without_scripts().await;
    sign_in(&browser, &platform).await;

    browser.open("/portal/endpoints/new").await;
    browser.fill("[name=url]", &receiver.url()).await;
    browser.click("main form button[type=submit]").await;
    browser.sees("The endpoint is there").await;
    browser.click(".actions form button").await;
    browser.sees("A sample event is on its way").await;
    crate::harness::eventually("the sample arrived", async || {
        (!receiver.webhook_ids().is_empty()).then_some(())
    })
    .await;
    crate::harness::eventually("the delivery is settled", async || {
        let deliveries = platform.deliveries("state=delivered").await;
        (!deliveries.is_empty()).then_some(())
    })
    .await;
    browser.click("tbody a[href^='/portal/deliveries/']").await;
    browser.sees("200 OK").await;

    // On a phone the pages are behind one button, which needs no script either.
    browser.narrow().await;
    browser.open("/portal").await;
    let measures = "const shown = (css) => document.querySelector(css).offsetHeight;
        return [shown('.top > nav'), shown('.top') < 80, document.documentElement.scrollWidth]";
    assert_eq!(browser.run(measures).await, json!([0, true, 390]));
    browser.click(".menu summary").await;
    browser.click(".menu a[href='/portal/settings']").await;
    browser.sees("Settings").await;

    browser.close().await;
    platform.finish().await;
}
