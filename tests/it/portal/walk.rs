//! The whole way in a real browser: make an endpoint, see it fail, find out why, put it right; then the audit log.
//!
//! Replays in bulk have tests of their own. It is gone twice, with scripts and without: where a page moves by itself nobody loads it again, and where it does
//! not somebody does.

use serde_json::json;
use tidings::upkeep::exports;

use super::browser::sign_in;
use super::driver::Browser;
use crate::harness::{Receiver, TestPlatform, eventually};

/// Somebody who walks through the portal.
struct Walker {
    browser: Browser,
    platform: TestPlatform,
    scripts: bool,
}

impl Walker {
    /// Waits until the page says so, which it does by itself where scripts run.
    async fn comes(&self, words: &str) {
        if self.scripts {
            return self.browser.sees(words).await;
        }
        let place = self.browser.place().await;
        eventually(words, async || {
            self.browser.open(&place).await;
            self.browser.text().await.contains(words).then_some(())
        })
        .await;
    }

    async fn make_an_endpoint(&self, receiver: &Receiver) {
        let browser = &self.browser;
        browser.open("/portal/endpoints/new").await;
        browser.fill("[name=url]", &receiver.url()).await;
        browser.fill("[name=patterns]", "invoice.*").await;
        browser.click("main form button[type=submit]").await;
        browser.sees("The endpoint is there").await;
    }

    async fn see_a_delivery_arrive(&self) {
        let browser = &self.browser;
        browser.open("/portal/events").await;
        let data = json!({ "n": 1 });
        self.platform.publish("invoice.paid", data).await;
        self.comes("invoice.paid").await;
        browser.click("tbody a[href^='/portal/events/']").await;
        self.comes("delivered").await;
    }

    async fn find_out_why_one_failed(&self) {
        let browser = &self.browser;
        let event = self.platform.publish("invoice.late", json!({})).await;
        let page = format!("/portal/events/{}", event["id"].as_str().unwrap());
        browser.open(&page).await;
        self.comes("exhausted").await;
        browser.click("tbody a[href*='/why?']").await;
        browser.sees("the receiver answered 503").await;
        browser.sees("invoice.*").await;
    }

    async fn replay_it(&self) {
        let browser = &self.browser;
        browser.open("/portal/deliveries?state=exhausted").await;
        browser.click("tbody a[href^='/portal/deliveries/']").await;
        browser.click("form[action$=replay] button").await;
        browser.sees("Sent again as this new delivery").await;
        self.comes("200 OK").await;
    }

    async fn verify_and_export_an_audit_log(&self) {
        let (browser, client) = (&self.browser, self.platform.client());
        let organization = json!({ "name": "Acme" });
        let organization = client.post("/organizations", &organization).await;
        let organization = organization.expect(201)["id"].clone();
        let entry = json!({ "organization_id": organization, "event": {
            "action": "user.signed_in", "occurred_at": "2026-01-01T00:00:00.000Z",
            "actor": { "id": "u", "type": "user" }, "targets": [{ "id": "t", "type": "team" }],
            "context": { "location": "1.1.1.1" },
        } });
        client.post("/audit_logs/events", &entry).await.expect(201);
        let organization = organization.as_str().unwrap();

        browser
            .open(&format!("/portal/audit?trail={organization}"))
            .await;
        browser.click("form[action$=checkpoints] button").await;
        browser.sees("The log was signed as it is now").await;
        browser
            .click("tbody a[href^='/portal/audit/entries/']")
            .await;
        browser
            .sees("Its leaf is in the log of 1 entries that was signed")
            .await;

        browser.open("/portal/audit/exports").await;
        browser.fill("main form [name=trail]", organization).await;
        browser.click("main form button[type=submit]").await;
        browser.sees("The export is being written").await;
        let (store, clock) = (self.platform.store(), &self.platform.clock);
        exports::make_pending(store, clock).await.unwrap();
        self.comes("Download ndjson").await;
        let link = "return document.querySelector('a[download]').getAttribute('href')";
        let link = browser.run(link).await;
        let file = client.with_key(None).get(link.as_str().unwrap()).await;
        assert_eq!(file.status, 200);
        assert!(file.text().contains("user.signed_in"), "{}", file.text());
    }
}

async fn walk(scripts: bool) {
    let platform = TestPlatform::builder()
        .retry_delays([1])
        .dispatching()
        .start()
        .await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    if !scripts {
        browser.without_scripts().await;
    }
    sign_in(&browser, &platform).await;
    let receiver = Receiver::answering([200, 503, 503, 200]).await;
    let walker = Walker {
        browser,
        platform,
        scripts,
    };

    walker.make_an_endpoint(&receiver).await;
    walker.see_a_delivery_arrive().await;
    walker.find_out_why_one_failed().await;
    walker.replay_it().await;
    walker.verify_and_export_an_audit_log().await;

    let complaints = walker.browser.complaints().await;
    assert_eq!(complaints, Vec::<String>::new());
    walker.browser.close().await;
    walker.platform.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_scripts_the_whole_way_is_gone() {
    walk(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_whole_way_is_gone_too() {
    walk(false).await;
}
