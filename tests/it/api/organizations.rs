//! Organizations, as the contract has them: every member an SDK needs, every refusal with its status.

use serde_json::{Value, json};

use crate::harness::{Reply, TestPlatform, minutes};

async fn create(platform: &TestPlatform, body: Value) -> Value {
    platform
        .client()
        .post("/organizations", &body)
        .await
        .expect(201)
}

fn path(organization: &Value) -> String {
    format!("/organizations/{}", organization["id"].as_str().unwrap())
}

fn names(reply: &Reply) -> Vec<String> {
    let list = reply.expect(200);
    let name = |organization: &Value| organization["name"].as_str().unwrap().to_owned();
    list["data"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_shown_whole_and_found_by_both_its_ids() {
    let platform = TestPlatform::usual().await;
    let now = tidings::domain::time::to_text(platform.clock.now());

    let created = create(
        &platform,
        json!({
            "name": "Acme", "external_id": "customer/1 %", "stripe_customer_id": "cus_1",
            "domain_data": [{ "domain": "Acme.example", "state": "verified" }],
            "metadata": { "tier": "gold" }, "unknown": true,
        }),
    )
    .await;

    let domain = &created["domains"][0];
    assert_eq!(
        created,
        json!({
            "object": "organization", "id": created["id"], "name": "Acme",
            "allow_profiles_outside_organization": false, "metadata": { "tier": "gold" },
            "external_id": "customer/1 %", "stripe_customer_id": "cus_1",
            "domains": [{
                "object": "organization_domain", "id": domain["id"], "organization_id": created["id"],
                "domain": "acme.example", "state": "verified", "created_at": now, "updated_at": now,
            }],
            "created_at": now, "updated_at": now,
        })
    );
    let found = platform.client().get(&path(&created)).await.expect(200);
    let by_external = platform
        .client()
        .get("/organizations/external_id/customer%2F1%20%25")
        .await
        .expect(200);
    assert_eq!((&found, &by_external), (&created, &created));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_touches_what_it_names_and_null_clears() {
    let platform = TestPlatform::usual().await;
    let created = create(
        &platform,
        json!({ "name": "Acme", "external_id": "1", "domains": ["a.example"], "metadata": { "a": "1" } }),
    )
    .await;
    platform.clock.advance(minutes(1));

    let renamed = platform
        .client()
        .put(&path(&created), &json!({ "name": "New" }))
        .await
        .expect(200);
    let cleared = platform
        .client()
        .put(
            &path(&created),
            &json!({ "external_id": null, "metadata": null, "domain_data": [] }),
        )
        .await
        .expect(200);

    assert_eq!(renamed["name"], "New");
    assert_eq!(renamed["external_id"], "1");
    assert_eq!(renamed["domains"], created["domains"]);
    assert_ne!(renamed["updated_at"], created["updated_at"]);
    assert_eq!(renamed["created_at"], created["created_at"]);
    assert_eq!(cleared["name"], "New");
    assert_eq!(
        (
            &cleared["external_id"],
            &cleared["metadata"],
            &cleared["domains"]
        ),
        (&Value::Null, &json!({}), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_is_accepted_as_text_and_then_gone() {
    let platform = TestPlatform::usual().await;
    let created = create(&platform, json!({ "name": "Acme", "external_id": "1" })).await;

    let deleted = platform.client().delete(&path(&created)).await;
    let again = platform.client().delete(&path(&created)).await;
    let found = platform.client().get(&path(&created)).await;

    assert_eq!((deleted.status, deleted.text()), (202, "Accepted"));
    assert!(deleted.header("content-type").starts_with("text/plain"));
    assert_eq!(again.verdict(), (404, "entity_not_found".to_owned()));
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        found.expect(404),
        json!({ "message": format!("Organization not found: '{id}'."), "code": "entity_not_found", "entity_id": id })
    );
    let reborn = create(&platform, json!({ "name": "Acme", "external_id": "1" })).await;
    assert_ne!(reborn["id"], created["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_and_external_ids_belong_to_one_organization_of_an_environment() {
    let platform = TestPlatform::usual().await;
    let first = json!({ "name": "A", "external_id": "1", "domains": ["a.example"] });
    create(&platform, first.clone()).await;
    let other = create(&platform, json!({ "name": "B" })).await;

    let domain = platform
        .client()
        .post(
            "/organizations",
            &json!({ "name": "C", "domains": ["A.example"] }),
        )
        .await;
    let external = platform
        .client()
        .put(&path(&other), &json!({ "external_id": "1" }))
        .await;

    assert_eq!(
        domain.expect(409)["message"],
        "An Organization with the domain a.example already exists."
    );
    assert_eq!(
        external.verdict(),
        (400, "external_id_already_used".to_owned())
    );
    let foreign = platform
        .foreign_client()
        .await
        .post("/organizations", &first)
        .await;
    assert_eq!(foreign.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_metadata_alone_is_a_400_and_every_other_fault_is_told_at_once() {
    let platform = TestPlatform::usual().await;
    let post = async |body: Value| platform.client().post("/organizations", &body).await;
    let many: serde_json::Map<_, _> = (0..51).map(|key| (key.to_string(), json!("v"))).collect();
    for metadata in [
        json!({ "a": 1 }),
        json!(many),
        json!({ "k".repeat(41): "v" }),
        json!({ "a": "v".repeat(601) }),
    ] {
        let refused = post(json!({ "name": "A", "metadata": metadata })).await;
        assert_eq!(refused.verdict(), (400, "invalid_metadata".to_owned()));
        assert!(!refused.json()["errors"].as_array().unwrap().is_empty());
    }

    let refused = post(json!({
        "name": " ", "external_id": "é", "domain_data": [{ "domain": "x", "state": "known" }],
    }))
    .await;

    let fields: Vec<_> = refused
        .faults()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(
        fields,
        [
            "name",
            "domain_data[0].domain",
            "domain_data[0].state",
            "external_id"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_are_listed_newest_first_and_paged_both_ways() {
    let platform = TestPlatform::usual().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(
            create(&platform, json!({ "name": name })).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        platform.clock.advance(minutes(1));
    }
    let get = async |query: String| {
        platform
            .client()
            .get(&format!("/organizations?{query}"))
            .await
    };

    let first = get("limit=2".to_owned()).await;
    let second = get(format!("limit=2&after={}", ids[3])).await;
    let back = get(format!("limit=2&before={}", ids[2])).await;
    let ascending = get(format!("limit=2&order=asc&after={}", ids[0])).await;
    let normal = get(format!("limit=2&order=normal&before={}", ids[3])).await;

    assert_eq!(names(&first), ["e", "d"]);
    assert_eq!(
        first.json()["list_metadata"],
        json!({ "before": null, "after": ids[3] })
    );
    assert_eq!(names(&second), ["c", "b"]);
    assert_eq!(
        second.json()["list_metadata"],
        json!({ "before": ids[2], "after": ids[1] })
    );
    assert_eq!(names(&back), ["e", "d"]);
    assert_eq!(names(&ascending), ["b", "c"]);
    assert_eq!(names(&normal), ["c", "b"]);
    assert_eq!(
        get("limit=5".to_owned()).await.json()["list_metadata"]["after"],
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_are_found_by_domain_and_by_a_part_of_their_name() {
    let platform = TestPlatform::usual().await;
    create(
        &platform,
        json!({ "name": "Acme 100%", "domains": ["a.example", "b.example"] }),
    )
    .await;
    create(
        &platform,
        json!({ "name": "Bolt_Works", "domains": ["c.example"] }),
    )
    .await;
    for (query, wanted) in [
        ("domains=A.example", &["Acme 100%"] as &[_]),
        ("domains=c.example,a.example", &["Bolt_Works", "Acme 100%"]),
        ("domains[]=nobody.example", &[]),
        ("search=acme", &["Acme 100%"]),
        ("search=100%25", &["Acme 100%"]),
        ("search=%25", &["Acme 100%"]),
        ("search=_", &["Bolt_Works"]),
        ("search=x", &[]),
        ("search=", &["Bolt_Works", "Acme 100%"]),
    ] {
        let reply = platform
            .client()
            .get(&format!("/organizations?{query}"))
            .await;
        assert_eq!(names(&reply), wanted, "{query}");
    }
}
