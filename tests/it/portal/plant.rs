//! Hostile strings put into every field that reaches a page.
//!
//! Each field marks its texts, so that a field that no page shows any more fails the test instead of emptying it.

use serde_json::{Value, json};
use tidings::app::api_keys;
use tidings::domain::access::Permission;
use tidings::domain::audit::Actor;

use super::strings::STRINGS;
use crate::harness::{Answer, Receiver, TestPlatform};

/// Strings that share a page, or a field of a query.
pub(super) const TOGETHER: usize = 10;

/// A string with its field's mark, within the field's length and without the letters that no field takes.
pub(super) fn marked(string: &str, field: &str, chars_max: usize) -> String {
    let mark = format!(" #{field}#");
    let plain = string.chars().map(|c| if c.is_control() { ' ' } else { c });
    // The end is where the long ones bite.
    let room = chars_max - mark.chars().count();
    let skipped = string.chars().count().saturating_sub(room);
    plain.skip(skipped).chain(mark.chars()).collect()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Keys, and organizations that were made with them; answers the last key, and the pages.
pub(super) async fn plant_names(platform: &TestPlatform) -> (String, Vec<String>) {
    let (mut keys, mut pages) = (Vec::new(), Vec::new());
    for string in STRINGS {
        let (name, actor) = (marked(string, "key", 400), Actor::platform("test"));
        let (app, environment) = (&platform.parts().app, platform.environment);
        let made = api_keys::create(app, environment, &name, vec![Permission::Admin], &actor).await;
        keys.push(made.unwrap().1.expose().to_owned());
    }
    // The settings show one page of a table, so three share a name.
    for (strings, key) in STRINGS.chunks(3).zip(&keys) {
        let strings = strings.join(" ");
        let ascii = strings.replace(|c: char| !c.is_ascii_graphic(), " ");
        let organization = json!({
            "name": marked(&strings, "organization", 500),
            "external_id": marked(&ascii, "external", 128),
        });
        let client = platform.client().with_key(Some(key));
        client
            .post("/organizations", &organization)
            .await
            .expect(201);
    }
    for strings in STRINGS.chunks(TOGETHER) {
        let members = strings.iter().enumerate().map(|(index, string)| {
            let ascii = string.replace(|c: char| !c.is_ascii_graphic(), " ");
            let name = marked(&ascii, "metadata-name", 39);
            (
                format!("{index}{name}"),
                json!(marked(string, "metadata", 500)),
            )
        });
        let members: serde_json::Map<_, _> = members.collect();
        let organization = json!({ "name": "Acme", "metadata": members });
        let made = platform
            .client()
            .post("/organizations", &organization)
            .await
            .expect(201);
        pages.push(format!("/portal/settings/organizations/{}", id(&made)));
    }
    (keys.pop().unwrap(), pages)
}

/// Endpoints, and what some of them answer; answers the pages.
pub(super) async fn plant_deliveries(platform: &TestPlatform, receiver: &Receiver) -> Vec<String> {
    let mut pages = Vec::new();
    for (index, string) in STRINGS.iter().enumerate() {
        let path: String = marked(string, "url", 400);
        let path = path
            .replace(['#', '\\', '?', ' '], "~")
            .replace(char::is_whitespace, "~");
        let endpoint = platform
            .register(json!({
                "endpoint_url": receiver.url_of(&format!("/{index}/{path}")),
                "description": marked(string, "description", 500),
                "events": [if index < STRINGS.len() / TOGETHER { "a.b" } else { "never.sent" }],
            }))
            .await;
        if index < STRINGS.len() / TOGETHER {
            pages.push(format!("/portal/endpoints/{}", id(&endpoint)));
            pages.push(format!("/portal/endpoints/{}/edit", id(&endpoint)));
        }
    }
    receiver.answer_now(STRINGS.chunks(TOGETHER).map(hostile_answer));
    let object = |field: &str| -> Value {
        let members = STRINGS.iter().map(|string| {
            (
                format!("{string} #{field}-name#"),
                json!(format!("{string} #{field}#")),
            )
        });
        Value::Object(members.collect())
    };
    let event = platform.publish("a.b", object("data")).await;
    platform.dispatch_due().await;
    pages.push(format!("/portal/events/{}", id(&event)));
    for delivery in platform.deliveries("").await {
        pages.push(format!("/portal/deliveries/{}", id(&delivery)));
        let (event, endpoint) = (&delivery["event_id"], &delivery["webhook_endpoint_id"]);
        let (event, endpoint) = (event.as_str().unwrap(), endpoint.as_str().unwrap());
        pages.push(format!("/portal/events/{event}/why?endpoint={endpoint}"));
    }
    pages
}

/// An answer whose headers and body attack: as text, and as JSON.
fn hostile_answer(strings: &[&str]) -> Answer {
    let names = [
        "x-'alert`1`'",
        "x-`alert`",
        "x-1",
        "x-2",
        "x-3",
        "x-4",
        "x-5",
        "x-6",
        "x-7",
        "content-type",
    ];
    let body: Vec<_> = strings
        .iter()
        .map(|string| format!("{string} #body#"))
        .collect();
    let body = match strings.contains(&STRINGS[0]) {
        true => serde_json::to_vec(&body).unwrap(),
        false => [
            body.join("\n").as_bytes(),
            b"\xff\xfe<script>alert(1)</script>",
        ]
        .concat(),
    };
    let answer = Answer::from(500).saying(body);
    strings
        .iter()
        .zip(names)
        .fold(answer, |answer, (string, name)| {
            answer.with(name, marked(string, "header", 500))
        })
}

/// Entries of an organization's audit log; answers the pages.
pub(super) async fn plant_entries(platform: &TestPlatform) -> Vec<String> {
    let client = platform.client();
    let organization = client
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201);
    let party = |string: &str, field: &str| {
        json!({
            "id": marked(string, &format!("{field}-id"), 250),
            "type": marked(string, &format!("{field}-type"), 250),
            "name": marked(string, &format!("{field}-name"), 400),
            "metadata": { "m": marked(string, "party-value", 400) },
        })
    };
    let mut pages = Vec::new();
    for strings in STRINGS.chunks(TOGETHER) {
        let targets: Vec<_> = strings
            .iter()
            .map(|string| party(string, "target"))
            .collect();
        let metadata = strings.iter().enumerate().map(|(index, string)| {
            let value = marked(string, "entry-value", 400);
            (format!("m{index}"), json!(value))
        });
        let metadata: serde_json::Map<_, _> = metadata.collect();
        for (index, string) in strings.iter().enumerate() {
            let entry = json!({ "organization_id": organization["id"], "event": {
                "action": "an.action",
                "occurred_at": "2026-01-01T00:00:00.000Z",
                "actor": party(string, "actor"),
                "targets": targets,
                "context": { "location": marked(string, "location", 500), "user_agent": marked(&strings.join(" "), "entry-agent", 1000) },
                "metadata": metadata,
            } });
            let entry = client.post("/audit_logs/events", &entry).await.expect(201);
            if index == 0 {
                pages.push(format!("/portal/audit/entries/{}", id(&entry)));
            }
        }
    }
    platform.dispatch_due().await;
    pages.push(format!("/portal/audit?trail={}", id(&organization)));
    pages
}

/// Schemas of actions, and a replay; answers the pages.
pub(super) async fn plant_schema(platform: &TestPlatform) -> Vec<String> {
    let client = platform.client();
    let mut pages = Vec::new();
    for (index, strings) in STRINGS.chunks(TOGETHER).enumerate() {
        let targets = strings
            .iter()
            .map(|string| json!({ "type": marked(string, "schema-target", 400) }));
        let properties = strings.iter().map(|string| {
            let text = json!({ "description": marked(string, "schema", 400) });
            (marked(string, "schema-name", 400), text)
        });
        let properties: serde_json::Map<_, _> = properties.collect();
        let schema = json!({ "targets": targets.collect::<Vec<_>>(), "metadata": { "type": "object", "properties": properties } });
        let path = format!("/audit_logs/actions/hostile.{index}/schemas");
        client.post(&path, &schema).await.expect(201);
        pages.push(format!("/portal/audit/actions/hostile.{index}"));
        pages.push(format!("/portal/audit/schemas/new?action=hostile.{index}"));
    }
    let endpoint = client.get("/webhook_endpoints?limit=1").await.expect(200)["data"][0].clone();
    let replay = json!({ "webhook_endpoint_id": endpoint["id"], "scope": "all", "range_start": "2020-01-01" });
    let replay = client.post("/replays", &replay).await.expect(201);
    pages.push(format!("/portal/replays/{}", id(&replay)));
    pages
}

/// Pages that show what was asked for, and some that refuse it.
pub(super) fn asking() -> Vec<String> {
    let mut pages = Vec::new();
    for strings in STRINGS.chunks(TOGETHER) {
        let value = |field: &str| {
            let texts = strings.iter().map(|string| marked(string, field, 400));
            encoded(&texts.collect::<Vec<_>>().join(" "))
        };
        pages.extend([
            format!(
                "/portal/events?type={}&organization={}&from={}&until={}&id={}",
                value("q-type"),
                value("q-organization"),
                value("q-from"),
                value("q-until"),
                value("q-id")
            ),
            format!(
                "/portal/deliveries?state={}&endpoint={}&event={}",
                value("q-state"),
                value("q-endpoint"),
                value("q-event")
            ),
            format!(
                "/portal/audit?search={}&action={}&actor={}",
                value("q-search"),
                value("q-action"),
                value("q-actor")
            ),
            format!("/portal/audit?trail={}", value("q-trail")),
            format!("/portal/endpoints?done={0}&after={0}", value("done")),
            format!(
                "/portal/replays/new?endpoint={}&from={}&until={}&rate={}",
                value("q-replay-endpoint"),
                value("q-replay-from"),
                value("q-replay-until"),
                value("q-rate")
            ),
            format!("/portal/replays?endpoint={}", value("q-replay-endpoint")),
            format!(
                "/portal/settings/organizations?search={}",
                value("q-search-organization")
            ),
            format!("/portal/audit/checkpoints?trail={}", value("q-trail")),
            format!("/portal/audit/actions/{}", value("q-path")),
            format!("/portal/events/event_1/why?endpoint={}", value("q-why")),
        ]);
    }
    pages
}
