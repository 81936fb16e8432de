//! Coming in, staying in, and what nobody can do with somebody else's session.

use reqwest::Method;
use serde_json::json;
use tidings::domain::access::Permission;

use super::Visitor;
use crate::harness::{TestPlatform, hours, minutes};

const SESSION: &str = "tidings_portal";

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_key_lets_in_and_is_not_in_the_cookie() {
    let platform = TestPlatform::usual().await;
    let mut visitor = Visitor::stranger(&platform);
    let key = platform.client().key().to_owned();

    let before = visitor.get("/portal/events?type=a").await;
    let page = visitor.sign_in(&key, "/portal/events?type=a").await;

    assert_eq!(
        before.location,
        "/portal/sign-in?next=%2Fportal%2Fevents%3Ftype%3Da"
    );
    assert_eq!(
        (page.status, page.location.as_str()),
        (303, "/portal/events?type=a")
    );
    let session = page
        .set_cookies
        .iter()
        .find(|cookie| cookie.starts_with(SESSION))
        .unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/portal", "Max-Age=43200"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains(&key));
    assert_eq!(visitor.get("/portal").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_key_lets_in() {
    let platform = TestPlatform::usual().await;
    let weak = platform.client_who_may(&[Permission::EventsRead]).await;

    for key in ["", "sk_wrong_key", weak.key()] {
        let mut visitor = Visitor::stranger(&platform);
        let page = visitor.sign_in(key, "/portal").await;

        assert_eq!(page.status, 422, "{key}");
        assert!(!visitor.cookies.contains_key(SESSION));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_keys_at_the_door_is_stopped_and_a_right_key_from_there_is_let_in() {
    let platform = TestPlatform::builder()
        .configure(|config| config.server.wrong_keys_max = 3)
        .start()
        .await;
    let mut visitor = Visitor::stranger(&platform);

    let mut pages = Vec::new();
    for number in 0..6 {
        let key = format!("sk_guess{number}");
        pages.push(visitor.sign_in(&key, "/portal").await);
    }

    let refused = pages[..3].iter().all(|page| page.status == 422);
    assert!(refused, "{pages:?}");
    let stopped = &pages[5];
    assert_eq!(stopped.status, 429);
    assert_eq!(stopped.headers["retry-after"], "1");
    assert!(
        stopped.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        stopped.text.contains("Too many wrong keys"),
        "{}",
        stopped.text
    );
    // It is one count: who has guessed here has guessed at the API too.
    let guesser = platform.client().with_key(Some("sk_guess"));
    assert_eq!(guesser.get("/events").await.status, 429);
    let key = platform.client().key().to_owned();
    assert_eq!(visitor.sign_in(&key, "/portal").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_brought_along_is_not_the_one_that_signing_in_gives() {
    let platform = TestPlatform::usual().await;
    let mut attacker = Visitor::operator(&platform).await;
    let planted = attacker.cookies[SESSION].clone();
    let mut victim = Visitor::stranger(&platform);
    victim.cookies.insert(SESSION.to_owned(), planted.clone());
    let forged = format!("{}.{}", platform.environment, "A".repeat(43));
    let mut other = Visitor::stranger(&platform);
    other.cookies.insert(SESSION.to_owned(), forged.clone());

    let key = platform.client().key().to_owned();
    other.sign_in(&key, "/portal").await;
    let proof = victim.get("/portal").await.proof().to_owned();
    victim.post("/portal/sign-out", &[("proof", &proof)]).await;

    assert_ne!(other.cookies[SESSION], forged);
    assert_eq!(
        attacker.get("/portal").await.status,
        303,
        "signed out with the victim"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_planted_in_a_browser_is_over_when_its_reader_signs_in_and_gains_nothing() {
    let platform = TestPlatform::usual().await;
    let organization = json!({ "name": "Acme" });
    let organization = platform
        .client()
        .post("/organizations", &organization)
        .await;
    let organization = organization.expect(201)["id"].as_str().unwrap().to_owned();
    let link = async || {
        let body = json!({ "organization_id": organization });
        let link = platform
            .client()
            .post("/portal_links", &body)
            .await
            .expect(201);
        link["url"].as_str().unwrap().to_owned()
    };
    let key = platform.client().key().to_owned();

    for way in ["key", "link"] {
        let mut attacker = Visitor::member(&platform, &organization, "viewer").await;
        assert_eq!(attacker.get("/portal/settings").await.status, 403);
        let planted = attacker.cookies[SESSION].clone();
        let mut victim = Visitor::stranger(&platform);
        victim.cookies.insert(SESSION.to_owned(), planted.clone());
        assert_eq!(victim.get("/portal").await.status, 200, "it is live");

        let entered = match way {
            "key" => {
                let proof = victim.get("/portal/link/x").await.proof().to_owned();
                let form = [("proof", proof.as_str()), ("key", key.as_str())];
                victim.post("/portal/sign-in", &form).await
            }
            _ => victim.open_link(&link().await).await,
        };

        assert_eq!(entered.status, 303, "{way}");
        assert_ne!(victim.cookies[SESSION], planted, "{way}");
        assert_eq!(victim.get("/portal").await.status, 200, "{way}");
        // Whoever planted it is not in with the victim, and not in any more.
        let settings = attacker.get("/portal/settings").await;
        let to_sign_in = settings.location.starts_with("/portal/sign-in");
        assert!(
            settings.status == 303 && to_sign_in,
            "{way}: {}",
            settings.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_sessions_proof_does_nothing() {
    let platform = TestPlatform::usual().await;
    let mut visitor = Visitor::operator(&platform).await;
    let mut other = Visitor::operator(&platform).await;
    let url = [("url", "http://127.0.0.1:7009/x")];

    let without = visitor.post("/portal/endpoints", &url).await;
    let foreign = other.get("/portal").await.proof().to_owned();
    let with_foreign = [("proof", foreign.as_str()), url[0]];
    let with_foreign = visitor.post("/portal/endpoints", &with_foreign).await;
    let own = visitor.get("/portal").await.proof().to_owned();
    let cross_site = visitor
        .request(Method::POST, "/portal/endpoints")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body(format!("proof={own}&url=http://127.0.0.1:7009/x"));
    let cross_site = visitor.send(cross_site).await;
    let good = [("proof", own.as_str()), url[0]];
    let good = visitor.post("/portal/endpoints", &good).await;

    let statuses = [
        without.status,
        with_foreign.status,
        cross_site.status,
        good.status,
    ];
    assert_eq!(statuses, [403, 403, 403, 303]);
    let list = platform
        .client()
        .get("/webhook_endpoints")
        .await
        .expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_takes_a_form_of_ours_too() {
    let platform = TestPlatform::usual().await;
    let mut visitor = Visitor::stranger(&platform);
    let key = platform.client().key().to_owned();

    for form in [
        vec![("key", key.as_str())],
        vec![("key", key.as_str()), ("proof", "")],
        vec![("key", key.as_str()), ("proof", "x")],
    ] {
        assert_eq!(visitor.post("/portal/sign-in", &form).await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_leads_nowhere_else() {
    let platform = TestPlatform::usual().await;
    let key = platform.client().key().to_owned();

    for next in [
        "https://evil.example",
        "//evil.example/portal",
        "/\\evil.example",
        "/docs",
    ] {
        let mut visitor = Visitor::stranger(&platform);
        assert_eq!(
            visitor.sign_in(&key, next).await.location,
            "/portal",
            "{next}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_signing_out_with_its_key_and_with_its_time() {
    let platform = TestPlatform::usual().await;
    let [mut out, mut revoked, mut late] = [
        Visitor::operator(&platform).await,
        Visitor::operator(&platform).await,
        Visitor::operator(&platform).await,
    ];

    let jar = out.cookies.clone();
    out.submit("/portal", "/portal/sign-out", &[]).await;
    out.cookies = jar;
    assert_eq!(out.get("/portal").await.status, 303);

    platform.clock.advance(hours(11));
    assert_eq!(late.get("/portal").await.status, 200);
    platform.clock.advance(hours(1) + minutes(1));
    assert_eq!(late.get("/portal").await.status, 303);

    platform.clock.advance(hours(0));
    let mut again = Visitor::operator(&platform).await;
    assert_eq!(again.get("/portal").await.status, 200);
    let sql = platform.sql().await;
    sql.execute("UPDATE api_keys SET revoked_at = now()", &[])
        .await
        .unwrap();
    assert_eq!(again.get("/portal").await.status, 303);
    assert_eq!(revoked.get("/portal").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_once_by_its_button_and_in_its_time() {
    let platform = TestPlatform::usual().await;
    let organization = json!({ "name": "Acme" });
    let organization = platform
        .client()
        .post("/organizations", &organization)
        .await
        .expect(201);
    let body = json!({ "organization_id": organization["id"], "expires_in_seconds": 60 });
    let link = async || {
        let link = platform
            .client()
            .post("/portal_links", &body)
            .await
            .expect(201);
        link["url"].as_str().unwrap().to_owned()
    };

    let first = link().await;
    let mut scanner = Visitor::stranger(&platform);
    scanner.get(&first[first.find("/portal").unwrap()..]).await;
    let mut visitor = Visitor::stranger(&platform);
    assert_eq!(visitor.open_link(&first).await.status, 303);
    assert_eq!(visitor.get("/portal").await.status, 200);
    assert_eq!(
        Visitor::stranger(&platform).open_link(&first).await.status,
        410
    );

    let second = link().await;
    platform.clock.advance(minutes(2));
    assert_eq!(
        Visitor::stranger(&platform).open_link(&second).await.status,
        410
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_for_a_link_gives_the_same_link_with_a_new_url() {
    let platform = TestPlatform::usual().await;
    let organization = json!({ "name": "Acme" });
    let organization = platform
        .client()
        .post("/organizations", &organization)
        .await
        .expect(201);
    let body = json!({ "organization_id": organization["id"] });

    let first = platform
        .client()
        .post_once("/portal_links", "k", &body)
        .await
        .expect(201);
    let again = platform
        .client()
        .post_once("/portal_links", "k", &body)
        .await
        .expect(201);

    assert_eq!(first["id"], again["id"]);
    let opened = async |link: &serde_json::Value| {
        let url = link["url"].as_str().unwrap().to_owned();
        Visitor::stranger(&platform).open_link(&url).await.status
    };
    assert_eq!(opened(&first).await, 410);
    assert_eq!(opened(&again).await, 303);
}
