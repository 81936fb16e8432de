//! Settings: keys that are made and ended in the portal, and how long audit logs are kept.

use serde_json::{Value, json};

use super::Visitor;
use crate::harness::{TestPlatform, eventually};

const KEYS: &str = "/portal/settings/keys";

/// The entry of the environment's own trail that tells of this action.
async fn told(platform: &TestPlatform, action: &str) -> Value {
    let entries = platform.client().get("/audit_logs/events").await;
    let entries = entries.expect(200);
    let entries = entries["data"].as_array().unwrap().iter();
    let of_action: Vec<_> = entries.filter(|entry| entry["action"] == action).collect();
    assert_eq!(of_action.len(), 1, "{action}");
    of_action[0].clone()
}

fn key_in(page: &str) -> String {
    let (_, after) = page.split_once("sk_").expect("a key on the page");
    let rest: String = after
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter))
        .collect();
    format!("sk_{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_may_what_was_ticked_and_ends_when_it_is_revoked() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;
    let form = [
        ("name", "billing"),
        ("may", "events:read"),
        ("may", "audit:read"),
    ];

    let made = operator.submit("/portal", KEYS, &form).await;
    let key = key_in(&made.text);
    let client = platform.client().with_key(Some(&key));
    let list = operator.get(KEYS).await;

    assert_eq!(
        (made.status, &made.headers["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    assert_eq!(client.get("/events").await.status, 200);
    assert_eq!(client.get("/webhook_endpoints").await.status, 403);
    assert!(list.text.contains("billing") && !list.text.contains(&key));
    let entry = told(&platform, "api_key.created").await;
    assert_eq!(entry["actor"]["type"], "portal_session");
    let id = entry["targets"][0]["id"].as_str().unwrap();
    let revoke = format!("{KEYS}/{id}/revoke");

    let revoked = operator.submit("/portal", &revoke, &[]).await;

    assert_eq!(revoked.status, 303);
    // Within a second it is forgotten.
    eventually("the key is refused", async || {
        (client.get("/events").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(
        told(&platform, "api_key.revoked").await["targets"][0]["id"],
        id
    );
    assert!(!operator.get(KEYS).await.text.contains(&revoke));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_a_key_of_another_environment() {
    let platform = TestPlatform::usual().await;
    let foreign = platform.foreign_client().await;
    let mut operator = Visitor::operator(&platform).await;
    let app = &platform.parts().app;
    let all = tidings::app::api_keys::list(app).await.unwrap();
    let theirs = all
        .iter()
        .find(|key| key.environment != platform.environment);
    let theirs = theirs.unwrap().id.to_string();

    let list = operator.get(KEYS).await.text;
    let path = format!("{KEYS}/{theirs}/revoke");
    let page = operator.submit("/portal", &path, &[]).await;

    assert!(!list.contains(&theirs));
    assert_eq!(page.status, 404);
    let all = tidings::app::api_keys::list(app).await.unwrap();
    assert!(all.iter().all(|key| key.revoked_at.is_none()));
    assert_eq!(foreign.get("/events").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_name_or_a_permission_is_not_made() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;

    for form in [
        vec![("name", "billing")],
        vec![("name", "billing"), ("may", "everything")],
        vec![("name", " "), ("may", "events:read")],
    ] {
        let page = operator.submit("/portal", KEYS, &form).await;
        assert_eq!(page.status, 422, "{form:?}");
        assert!(!page.text.contains("sk_"), "{form:?}");
        assert_eq!(
            page.text.contains(r#"value="billing""#),
            form[0].1 == "billing"
        );
    }
    assert_eq!(
        tidings::app::api_keys::list(&platform.parts().app)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_kept_for_a_shorter_time_only_when_somebody_says_that_they_may_go() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let organization = client
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201);
    let id = organization["id"].as_str().unwrap();
    let mut operator = Visitor::operator(&platform).await;
    let shown = format!("/portal/settings/organizations/{id}");
    let path = format!("{shown}/retention");
    let kept = async || {
        let kept = client
            .get(&format!("/organizations/{id}/audit_logs_retention"))
            .await
            .expect(200);
        kept["retention_period_in_days"].as_u64()
    };

    let unsaid = operator.submit(&shown, &path, &[("days", "365")]).await;
    assert_eq!((unsaid.status, kept().await), (422, None));
    assert!(unsaid.text.contains("Tick the box"));

    let said = [("days", "365"), ("sure", "yes")];
    assert_eq!(operator.submit(&shown, &path, &said).await.status, 303);
    assert_eq!(kept().await, Some(365));
    assert_eq!(
        told(&platform, "audit_log_retention.updated").await["actor"]["type"],
        "portal_session"
    );

    // A longer time takes nothing away.
    assert_eq!(
        operator
            .submit(&shown, &path, &[("days", "730")])
            .await
            .status,
        303
    );
    assert_eq!(
        operator
            .submit(&shown, &path, &[("days", "60")])
            .await
            .status,
        422
    );
    assert_eq!(
        operator
            .submit(&shown, &path, &[("days", "7"), ("sure", "yes")])
            .await
            .status,
        422
    );
    assert_eq!(kept().await, Some(730));
    assert!(
        operator
            .get(&shown)
            .await
            .text
            .contains("<strong>2 years</strong>")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_found_by_its_name_and_never_guessed() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    for (name, external) in [
        ("Larkspur Bakery", "larkspur"),
        ("Twin", "one"),
        ("Twin", "two"),
        ("100% Juice", "juice"),
    ] {
        let organization = json!({ "name": name, "external_id": external });
        let organization = client
            .post("/organizations", &organization)
            .await
            .expect(201);
        let event = json!({ "event": format!("of.{external}"), "data": {}, "organization_id": organization["id"] });
        client.post("/events", &event).await.expect(201);
    }
    let mut operator = Visitor::operator(&platform).await;
    let mut shown = async |text: &str| {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        operator
            .get(&format!("/portal/events?organization={text}"))
            .await
            .text
    };

    for text in ["Larkspur Bakery", "larkspur bakery", "larkspur", "spur"] {
        let page = shown(text).await;
        assert!(
            page.contains(">of.larkspur<") && !page.contains(">of.one<"),
            "{text}"
        );
        assert!(page.contains(">Larkspur Bakery</a>"), "{text}");
    }
    assert!(
        shown("Twin")
            .await
            .contains("More than one organization may be meant")
    );
    assert!(
        shown("Nobody")
            .await
            .contains("No organization has this name or id")
    );
    // The signs of a pattern are letters here.
    assert!(shown("100%").await.contains(">of.juice<"));
    assert!(
        shown("L%y")
            .await
            .contains("No organization has this name or id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_bound_to_one_organization_is_told_no_other_name() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let make = async |name: &str| {
        let made = client
            .post("/organizations", &json!({ "name": name }))
            .await;
        made.expect(201)["id"].as_str().unwrap().to_owned()
    };
    let ours = make("Ours").await;
    make("Zebra Crossing").await;
    make("Zebra Finch").await;
    let mut member = Visitor::member(&platform, &ours, "manager").await;

    for path in [
        "/portal/events?organization=Zebra",
        "/portal/audit?trail=Zebra",
        "/portal/audit/checkpoints?trail=Zebra",
        "/portal/endpoints",
        "/portal/endpoints/new",
    ] {
        let page = member.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for name in ["Crossing", "Finch"] {
            assert!(!page.text.contains(name), "{path} tells of {name}");
        }
    }
    // Nor is one told whether anybody is called so.
    let of = async |member: &mut Visitor, name: &str| {
        let path = format!("/portal/events?organization={name}");
        member.get(&path).await.text.replace(name, "")
    };
    let somebody = of(&mut member, "Zebra").await;
    assert_eq!(somebody, of(&mut member, "Nobody").await);
    let form = [
        ("url", "http://127.0.0.1:7009/new"),
        ("organization", "Zebra"),
    ];
    let made = member.submit("/portal", "/portal/endpoints", &form).await;
    assert_eq!(made.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_effect_is_shown_without_that_of_the_machine() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;

    let page = operator.get("/portal/settings/configuration").await.text;

    assert!(page.contains("<code>events.retention</code></td><td class=\"url\">90d</td>"));
    for hidden in ["database.", "secrets.", "data.dir", "postgres://"] {
        assert!(!page.contains(hidden), "{hidden}");
    }
}
