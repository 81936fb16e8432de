//! Every page under axe-core, in both themes and at two widths, with real data planted.
//!
//! axe-core is no part of this repository: `TIDINGS_TEST_AXE` says where its `axe.min.js` is. Without it the test says
//! that it was skipped, also where other tools are required: a registry that cannot be reached is no defect of a page.

use serde_json::{Value, json};

use super::browser::sign_in;
use super::driver::Browser;
use super::plant::{plant_deliveries, plant_entries, plant_names, plant_schema};
use crate::harness::{Receiver, TestPlatform};

/// Names each violation, how grave it is, and one element that has it.
const RUN: &str = "
    return axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((one) =>
        [one.impact, one.id, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary.slice(0, 300)]));
";
/// Dark or not, and how wide.
const LOOKS: [(&str, u32); 4] = [
    ("light", 1280),
    ("dark", 1280),
    ("light", 390),
    ("dark", 390),
];

#[expect(
    clippy::disallowed_methods,
    reason = "a tool of the machine, not a setting of the platform"
)]
fn axe() -> Option<String> {
    let Some(path) = std::env::var_os("TIDINGS_TEST_AXE") else {
        eprintln!("skipped: TIDINGS_TEST_AXE does not say where axe.min.js is");
        return None;
    };
    Some(std::fs::read_to_string(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_serious_violation_in_either_theme_wide_or_narrow() {
    let Some(axe) = axe() else { return };
    let platform = TestPlatform::usual().await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    let receiver = Receiver::answering([500]).await;
    let script = format!("{axe};{RUN}");
    let mut grave = Vec::new();

    let open = ["/portal/sign-in", "/portal/link/unknown"].map(str::to_owned);
    look(&browser, &script, &open, &mut grave).await;
    let pages = planted(&platform, &receiver).await;
    sign_in(&browser, &platform).await;
    look(&browser, &script, &pages, &mut grave).await;
    browser.forget_cookies().await;
    let link = customer_link(&platform).await;
    look(&browser, &script, std::slice::from_ref(&link), &mut grave).await;
    browser.open(&link).await;
    browser.click("main form button").await;
    browser.sees("Overview").await;
    let theirs = ["/portal", "/portal/audit"].map(str::to_owned);
    look(&browser, &script, &theirs, &mut grave).await;
    browser.close().await;

    assert!(grave.is_empty(), "{grave:#?}");
}

async fn customer(platform: &TestPlatform) -> Value {
    let wanted = json!({ "name": "Customer" });
    let made = platform.client().post("/organizations", &wanted).await;
    made.expect(201)["id"].clone()
}

/// The page of a link that was made for an organization's people.
async fn customer_link(platform: &TestPlatform) -> String {
    let client = platform.client();
    let wanted = json!({ "organization_id": customer(platform).await, "role": "manager" });
    let link = client.post("/portal_links", &wanted).await.expect(201);
    let url = link["url"].as_str().unwrap();
    url[url.find("/portal/link/").unwrap()..].to_owned()
}

/// One page of each kind, with something on it.
async fn planted(platform: &TestPlatform, receiver: &Receiver) -> Vec<String> {
    let mut pages: Vec<String> = [
        "",
        "/events",
        "/events?type=nothing.like.this",
        "/events/event_1",
        "/endpoints",
        "/endpoints/new",
        "/deliveries",
        "/replays",
        "/replays/new",
        "/audit",
        "/audit/exports",
        "/audit/checkpoints",
        "/audit/schemas",
        "/audit/schemas/new",
        "/settings",
        "/settings/configuration",
        "/settings/keys",
        "/settings/keys/new",
        "/settings/organizations",
    ]
    .map(|page| format!("/portal{page}"))
    .into();
    let range = json!({ "organization_id": customer(platform).await, "range_start": "2020-01-01", "range_end": "2030-01-01" });
    let client = platform.client();
    client.post("/audit_logs/exports", &range).await.expect(201);
    let mut planted = plant_deliveries(platform, receiver).await;
    planted.extend(plant_schema(platform).await);
    planted.extend(plant_entries(platform).await);
    planted.extend(plant_names(platform).await.1);
    for (start, end) in [
        ("/portal/endpoints/", ""),
        ("/portal/endpoints/", "/edit"),
        ("/portal/events/", ""),
        ("/portal/events/", "why"),
        ("/portal/deliveries/", ""),
        ("/portal/audit/entries/", ""),
        ("/portal/audit?trail=", ""),
        ("/portal/audit/actions/", ""),
        ("/portal/replays/", ""),
        ("/portal/settings/organizations/", ""),
    ] {
        let page = planted
            .iter()
            .find(|page| page.starts_with(start) && page.contains(end));
        pages.push(page.unwrap().clone());
    }
    pages
}

/// Runs the rules on pages in every look; what is lighter than serious is only told.
async fn look(browser: &Browser, script: &str, pages: &[String], grave: &mut Vec<String>) {
    for (theme, width) in LOOKS {
        let theme_now = json!({ "name": "prefers-color-scheme", "value": theme });
        browser
            .devtools(
                "Emulation.setEmulatedMedia",
                json!({ "features": [theme_now] }),
            )
            .await;
        let size =
            json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false });
        browser
            .devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        for page in pages {
            browser.open(page).await;
            let found = browser.run(script).await;
            for one in found.as_array().expect("axe-core answered") {
                let line = format!("{page} ({theme}, {width}): {one}");
                match one[0].as_str() {
                    Some("serious" | "critical") => grave.push(line),
                    _ => eprintln!("{line}"),
                }
            }
        }
    }
}
