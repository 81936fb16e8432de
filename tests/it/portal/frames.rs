//! Frames: nobody's page shows the portal in one, but for those that the settings name.

use super::driver::Browser;
use super::{Page, Visitor};
use crate::harness::{Answer, Receiver, TestPlatform};

async fn framed_by(origins: &[&str]) -> TestPlatform {
    let origins: Vec<_> = origins.iter().map(|&origin| origin.to_owned()).collect();
    let platform = TestPlatform::builder();
    let platform = platform.configure(|config| config.portal.frame_ancestors = origins);
    platform.start().await
}

fn ancestors(page: &Page) -> &str {
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let rules = policy.split("; ");
    let mut rules = rules.filter_map(|rule| rule.strip_prefix("frame-ancestors "));
    let rule = rules.next().unwrap();
    assert_eq!(rules.next(), None, "{policy}");
    rule
}

#[tokio::test(flavor = "multi_thread")]
async fn only_origins_that_the_settings_name_may_frame_a_page() {
    let nobody = framed_by(&[]).await;
    let somebody = framed_by(&["https://app.example.com", "https://www.example.com"]).await;

    for path in [
        "/portal",
        "/portal/sign-in",
        "/portal/link/x",
        "/portal/settings",
    ] {
        let page = Visitor::stranger(&nobody).get(path).await;
        assert_eq!(ancestors(&page), "'none'", "{path}");
        assert_eq!(page.headers["x-frame-options"], "DENY", "{path}");

        let page = Visitor::stranger(&somebody).get(path).await;
        let named = "https://app.example.com https://www.example.com";
        assert_eq!(ancestors(&page), named, "{path}");
        // It would forbid what the policy permits.
        assert!(!page.headers.contains_key("x-frame-options"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_portal_in_a_frame_of_a_named_origin_and_of_no_other() {
    let framing = Receiver::answering([200]).await;
    let origin = framing.url_of("");
    let (named, unnamed) = (
        framed_by(&[&origin]).await,
        framed_by(&["https://app.example.com"]).await,
    );
    let Some(browser) = Browser::start(&origin).await else {
        return;
    };
    let mut refused = Vec::new();

    for platform in [&named, &unnamed] {
        let inside = format!("{}/portal/sign-in", platform.client().base());
        let html = format!("<!doctype html><main>around</main><iframe src='{inside}'></iframe>");
        framing.answer_now([Answer::from(200)
            .with("content-type", "text/html")
            .saying(html.into())]);
        browser.open("/").await;
        browser.sees("around").await;
        let complaints = browser.complaints().await;
        refused.push(
            complaints
                .iter()
                .any(|line| line.contains("frame-ancestors")),
        );
        let shown = browser.text_in_frame().await;
        assert_eq!(
            shown.contains("Admin API key"),
            !refused.last().unwrap(),
            "{shown}"
        );
    }

    assert_eq!(refused, [false, true]);
    browser.close().await;
}
