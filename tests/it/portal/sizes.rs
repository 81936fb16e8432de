//! Sizes: a page stays small however much there is to show, and the whole is a link away.

use serde_json::{Map, Value, json};

use super::Visitor;
use crate::harness::{Answer, Receiver, TestPlatform, hours};

/// What a page and all that it fetches may come to, in bytes.
const PAGE_MAX: usize = 60 * 1024;

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// An object whose markup is far larger than its text, and its text larger than a page.
fn large(members: usize) -> Value {
    let members = (0..members).map(|n| (format!("member_{n}"), json!("<\"&é\">")));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A large event, its delivery with every attempt, an entry and a schema: their pages.
async fn plant(platform: &TestPlatform) -> Vec<String> {
    let client = platform.client();
    let answer = Answer::from(500).saying(serde_json::to_vec(&large(400)).unwrap());
    let names = ["x-1", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7", "x-8"];
    let answer = names
        .into_iter()
        .fold(answer, |answer, name| answer.with(name, "x".repeat(1_000)));
    let receiver = Receiver::answering([answer]).await;
    platform.create_endpoint(&receiver, ["a.b"]).await;
    let event = platform.publish("a.b", large(5_000)).await;
    for _ in 0..20 {
        platform.dispatch_due().await;
        platform.clock.advance(hours(24));
    }
    let delivery = platform.delivery_of(&event).await;
    let organization = client
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201);
    let texts = (0..40).map(|n| (format!("m{n}"), json!("<\"&é\">".repeat(60))));
    let texts: Map<_, _> = texts.collect();
    let targets: Vec<_> = (0..8)
        .map(|n| json!({ "id": n.to_string(), "type": "x", "metadata": texts }))
        .collect();
    let entry = json!({ "organization_id": organization["id"], "event": {
        "action": "an.action", "occurred_at": "2026-01-01T00:00:00.000Z",
        "actor": { "id": "u", "type": "user" }, "targets": targets, "context": { "location": "1.1.1.1" },
    } });
    let entry = client.post("/audit_logs/events", &entry).await.expect(201);
    for n in 0..3 {
        let properties = (0..800).map(|n| (format!("member_{n}"), json!({ "title": "<\"&é\">" })));
        let properties: Map<_, _> = properties.collect();
        let metadata = json!({ "title": n.to_string(), "properties": properties });
        let schema = json!({ "targets": [{ "type": "x" }], "metadata": metadata });
        let path = "/audit_logs/actions/large.one/schemas";
        client.post(path, &schema).await.expect(201);
    }
    vec![
        format!("/portal/events/{}", id(&event)),
        format!("/portal/deliveries/{}", id(&delivery)),
        format!("/portal/audit/entries/{}", id(&entry)),
        "/portal/audit/actions/large.one".to_owned(),
    ]
}

/// Where a page's links that say so show all of a text.
fn wholes(page: &str) -> Vec<String> {
    let links = page.split(r#"<a href=""#).skip(1);
    let links = links.filter(|link| link.contains(">Show it all as it is<"));
    links
        .map(|link| link.split('"').next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_small_and_lead_to_the_whole_of_what_they_show_in_part() {
    let platform = TestPlatform::usual().await;
    let pages = plant(&platform).await;
    let mut operator = Visitor::operator(&platform).await;
    let mut texts = Vec::new();
    for page in &pages {
        let shown = operator.get(page).await;
        assert_eq!(shown.status, 200, "{page}");
        let mut size = shown.text.len();
        for asset in shown
            .text
            .split('"')
            .filter(|text| text.starts_with("/portal/assets/"))
        {
            size += operator.get(asset).await.text.len();
        }
        assert!(size <= PAGE_MAX, "{page}: {size} bytes");

        let links = wholes(&shown.text);
        assert!(!links.is_empty(), "{page}");
        for link in links {
            let whole = operator.get(&link).await;
            assert_eq!(whole.status, 200, "{link}");
            assert_eq!(whole.headers["content-type"], "text/plain; charset=utf-8");
            serde_json::from_str::<Value>(&whole.text).expect(&link);
            texts.push((link, whole.text));
        }
    }

    let event = platform
        .client()
        .get(&pages[0].replace("/portal", ""))
        .await;
    let event = event.expect(200);
    let (_, text) = &texts[0];
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap()["data"],
        event["data"]
    );

    let organization = platform
        .client()
        .post("/organizations", &json!({ "name": "Other" }))
        .await;
    let organization = organization.expect(201);
    let mut other = Visitor::member(&platform, id(&organization), "manager").await;
    for (link, _) in &texts {
        let refused = other.get(link).await.status;
        assert!([403, 404].contains(&refused), "{link}: {refused}");
    }
}
