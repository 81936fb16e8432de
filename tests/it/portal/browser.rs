//! The portal in a real browser: the way in, and what a phone shows.

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
