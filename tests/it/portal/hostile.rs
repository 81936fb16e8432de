//! Sixty hostile strings through every field that reaches a page, looked at in a real browser.
//!
//! Every page is opened twice: under its own policy, which must have nothing to report, and with the browser told to
//! ignore the policy, where what escaping let through would run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::driver::Browser;
use super::plant::{
    TOGETHER, asking, encoded, marked, plant_deliveries, plant_entries, plant_names, plant_schema,
};
use super::strings::STRINGS;
use crate::harness::{Receiver, TestPlatform};

/// Counts what runs, and what the policy refuses.
const COUNT: &str = "
    window.ran = [];
    window.reports = [];
    for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => window.ran.push(name);
    document.addEventListener('securitypolicyviolation', (event) =>
        window.reports.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
";
/// What no page of ours has, what was counted, and the marks of all texts: those that are read, and those in attributes.
const LOOK: &str = "
    const known = new Set(('html head meta title link script body a header nav div span form input button main p h1 h2 ' +
        'section table thead tbody tr th td code pre dl dt dd ul ol li label select option textarea time strong em ' +
        'details summary figure figcaption svg path circle rect line g text datalist fieldset legend progress').split(' '));
    const strange = [], texts = [];
    for (const element of document.querySelectorAll('*')) {
        const tag = element.localName;
        if (!known.has(tag)) strange.push('<' + tag + '>');
        if (tag === 'script' && !element.src.startsWith(location.origin + '/portal/assets/')) strange.push('a script');
        for (const { name, value } of element.attributes) {
            texts.push(value);
            if (/^on|^style$|^srcdoc$|^formaction$|^http-equiv$|^xlink:|^ping$/.test(name)) strange.push(tag + ' ' + name);
            const leads = ['href', 'src', 'action', 'data'].includes(name);
            const own = new URL(value, location.href).href.startsWith(location.origin + '/');
            if (leads && !own && value !== 'data:,') strange.push(tag + ' ' + name + '=' + value);
        }
        if ('value' in element) texts.push(String(element.value));
    }
    texts.push(document.documentElement.textContent);
    const marks = {};
    for (const [, field] of texts.join(' ').matchAll(/[#~]([a-z-]+)[#~]/g)) marks[field] = (marks[field] ?? 0) + 1;
    return { strange, marks, ran: window.ran ?? ['nothing was counted'], reports: window.reports ?? [],
        next: document.querySelector('main a[rel=next]')?.getAttribute('href') ?? null };
";

/// The fields, each with how often its mark must be seen on the pages together.
const FIELDS: [(&str, u64); 46] = [
    ("organization", 20),
    ("external", 20),
    ("key", 60),
    ("url", 60),
    ("description", 60),
    ("data", 60),
    ("data-name", 60),
    ("body", 60),
    ("header", 60),
    ("actor-id", 60),
    ("actor-type", 60),
    ("actor-name", 60),
    ("target-id", 60),
    ("target-type", 60),
    ("target-name", 60),
    ("party-value", 60),
    ("entry-value", 60),
    ("location", 60),
    ("entry-agent", 6),
    ("q-type", 60),
    ("q-organization", 60),
    ("q-from", 60),
    ("q-until", 60),
    ("q-id", 60),
    ("q-endpoint", 60),
    ("q-event", 60),
    ("q-search", 60),
    ("q-action", 60),
    ("q-actor", 60),
    ("f-url", 60),
    ("f-patterns", 60),
    ("f-description", 60),
    ("f-organization", 60),
    ("metadata-name", 60),
    ("metadata", 60),
    ("schema-target", 60),
    ("schema-name", 60),
    ("schema", 60),
    ("q-replay-from", 60),
    ("q-replay-until", 60),
    ("q-rate", 60),
    ("q-search-organization", 60),
    ("q-path", 60),
    ("f-key-name", 60),
    ("f-action", 60),
    ("f-schema", 60),
];

#[tokio::test(flavor = "multi_thread")]
async fn sixty_hostile_strings_run_nowhere_with_the_policy_and_without() {
    let platform = TestPlatform::usual().await;
    let Some(browser) = Browser::start(platform.client().base()).await else {
        return;
    };
    let receiver = Receiver::answering([500]).await;
    let (key, organizations) = plant_names(&platform).await;
    let mut pages: Vec<_> = [
        "",
        "/events",
        "/endpoints",
        "/deliveries",
        "/replays",
        "/replays/new",
        "/audit",
        "/audit/checkpoints",
        "/audit/schemas",
        "/settings",
        "/settings/keys",
        "/settings/organizations",
    ]
    .map(|page| format!("/portal{page}"))
    .into();
    pages.extend(organizations);
    pages.extend(plant_deliveries(&platform, &receiver).await);
    pages.extend(plant_entries(&platform).await);
    pages.extend(plant_schema(&platform).await);
    pages.extend(asking());
    browser.before_scripts(COUNT).await;
    let mut seen = Seen::default();

    for policy in ["obeyed", "ignored"] {
        if policy == "ignored" {
            browser.ignoring_policies().await;
        }
        sign_in(&browser, &key, &mut seen).await;
        for page in &pages {
            browser.open(page).await;
            while let Some(next) = seen.look(&browser, page).await {
                let path = page.split('?').next().unwrap();
                browser.open(&format!("{path}{next}")).await;
            }
        }
        fill_forms(&browser, &mut seen).await;
        browser.forget_cookies().await;
    }
    browser.close().await;
    seen.check();
}

/// What was seen of each field.
#[derive(Default)]
struct Seen(BTreeMap<String, u64>);

impl Seen {
    /// Looks at the page that is open; answers where its list goes on.
    async fn look(&mut self, browser: &Browser, page: &str) -> Option<String> {
        let looked = browser.run(LOOK).await;
        for bad in ["strange", "ran", "reports"] {
            assert_eq!(looked[bad], json!([]), "{bad} on {page}");
        }
        let complaints = browser.complaints().await;
        let refused = |line: &&String| line.contains("Content Security Policy");
        let refused: Vec<_> = complaints.iter().filter(refused).collect();
        assert!(refused.is_empty(), "{page}: {refused:?}");
        for (field, count) in looked["marks"].as_object().unwrap() {
            *self.0.entry(field.clone()).or_default() += count.as_u64().unwrap();
        }
        looked["next"].as_str().map(str::to_owned)
    }

    fn of(&self, field: &str) -> u64 {
        self.0.get(field).copied().unwrap_or_default()
    }

    /// Every field was on the pages, twice: once under each policy.
    fn check(&self) {
        let missing = FIELDS
            .iter()
            .filter(|(field, count)| self.of(field) < 2 * count);
        let missing: Vec<_> = missing
            .map(|(field, count)| (field, count, self.of(field)))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Signs in as somebody whose name is hostile, after attempts that are.
async fn sign_in(browser: &Browser, key: &str, seen: &mut Seen) {
    let hostile = together("next", &STRINGS);
    browser
        .open(&format!("/portal/link/{}", encoded(&hostile)))
        .await;
    seen.look(browser, "an unknown link").await;
    browser
        .open(&format!("/portal/sign-in?next={}", encoded(&hostile)))
        .await;
    seen.look(browser, "sign-in").await;
    submit(
        browser,
        "main form",
        &json!({ "key": hostile, "next": hostile }),
    )
    .await;
    browser.sees("no admin key").await;
    seen.look(browser, "a refused sign-in").await;
    browser.open("/portal/sign-in").await;
    browser.fill("#key", key).await;
    browser.click("button[type=submit]").await;
    browser.sees("Overview").await;
}

/// Fills hostile text into forms, which are refused.
async fn fill_forms(browser: &Browser, seen: &mut Seen) {
    for strings in STRINGS.chunks(TOGETHER) {
        browser.open("/portal/endpoints/new").await;
        let fields = json!({
            "url": together("f-url", strings),
            "patterns": together("f-patterns", strings),
            "description": together("f-description", strings),
            "organization": together("f-organization", strings),
        });
        submit(browser, "form.tall", &fields).await;
        browser.sees("is no event type").await;
        seen.look(browser, "a refused endpoint").await;
        browser.open("/portal/endpoints/new").await;
        submit(
            browser,
            "form.tall",
            &json!({ "url": together("f-url", strings) }),
        )
        .await;
        browser.sees("URL").await;
        seen.look(browser, "a refused URL").await;
    }
    for strings in STRINGS.chunks(TOGETHER) {
        browser.open("/portal/settings/keys/new").await;
        let name = json!({ "name": together("f-key-name", strings) });
        submit(browser, "form.tall", &name).await;
        browser.sees("at least one permission").await;
        seen.look(browser, "a refused key").await;
        browser.open("/portal/audit/schemas/new").await;
        let fields = json!({
            "action": together("f-action", strings),
            "schema": together("f-schema", strings),
        });
        submit(browser, "form.tall", &fields).await;
        browser.sees("cannot be read").await;
        seen.look(browser, "a refused schema").await;
    }
    browser.open("/portal/audit/exports").await;
    let trail = together("f-trail", &STRINGS);
    submit(browser, "main form", &json!({ "trail": trail })).await;
    browser.sees("That did not work").await;
    seen.look(browser, "a refused export").await;
}

fn together(field: &str, strings: &[&str]) -> String {
    let texts = strings.iter().map(|string| marked(string, field, 400));
    texts.collect::<Vec<_>>().join(" ")
}

/// Sends a form past what the browser itself would refuse.
async fn submit(browser: &Browser, form: &str, fields: &Value) {
    let script = format!(
        "const form = document.querySelector('{form}');
        for (const [name, value] of Object.entries({fields})) {{
            const field = form.elements[name];
            if (field.localName === 'input') field.type = 'text';
            field.removeAttribute('maxlength');
            field.value = value;
        }}
        form.dataset.sent = 'yes';
        form.submit();"
    );
    browser.run(&script).await;
    browser.leaves("[data-sent]").await;
}
