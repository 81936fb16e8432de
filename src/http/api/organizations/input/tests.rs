//! How organizations are read from the wire.

use serde_json::json;

use super::*;

fn create(body: &serde_json::Value) -> Result<NewOrganization, Problem> {
    let text = body.to_string();
    serde_json::from_str::<CreateOrganization<'_>>(&text)
        .expect("an object")
        .parse()
}

fn update(body: &serde_json::Value) -> Result<OrganizationChange, Problem> {
    let text = body.to_string();
    serde_json::from_str::<UpdateOrganization<'_>>(&text)
        .expect("an object")
        .parse()
}

#[test]
fn an_organization_needs_only_a_name() {
    let new = create(
        &json!({ "name": "Acme", "metadata": null, "external_id": null, "domain_data": null, "new": 1 }),
    );

    let new = new.expect("enough");
    assert_eq!(new.name, "Acme");
    assert!(new.domains.is_empty() && new.metadata.is_empty() && new.external_id.is_none());
    for bad in [
        json!({}),
        json!({ "name": null }),
        json!({ "name": " " }),
        json!({ "name": "x".repeat(513) }),
    ] {
        assert_eq!(
            create(&bad).expect_err("no name").code(),
            Code::InvalidRequestParameters,
            "{bad}"
        );
    }
}

#[test]
fn domains_come_as_objects_or_as_names_and_are_kept_in_lower_case_once() {
    let named = |domain: &str, state| NewDomain {
        domain: domain.to_owned(),
        state,
    };
    let data = json!([{ "domain": "Acme.example", "state": "verified" }, { "domain": "acme.example", "state": "pending" }]);

    let new =
        create(&json!({ "name": "Acme", "domain_data": data, "domains": ["ignored.example"] }))
            .expect("good");
    assert_eq!(new.domains, [named("acme.example", DomainState::Verified)]);
    let new = create(
        &json!({ "name": "Acme", "domains": ["a.example", { "domain": "b.example", "state": "verified" }] }),
    );
    assert_eq!(
        new.expect("good").domains,
        [
            named("a.example", DomainState::Pending),
            named("b.example", DomainState::Verified)
        ]
    );
}

#[test]
fn what_is_no_domain_name_is_refused() {
    for bad in [
        "",
        "acme",
        ".example",
        "a..b",
        "-a.b",
        "a-.b",
        "ü.example",
        "a b.c",
        "a.example.",
        &format!("{}.b", "a".repeat(64)),
    ] {
        assert!(domain_name("domain", bad).is_err(), "{bad}");
    }
    assert!(domain_name("domain", "xn--bcher-kva.example").is_ok());
}

#[test]
fn faults_of_the_metadata_alone_are_a_code_of_their_own() {
    let many: BTreeMap<_, _> = (0..51).map(|number| (number.to_string(), "x")).collect();
    for bad in [
        json!(1),
        json!([]),
        json!({ "a": 1 }),
        json!({ "a": "x".repeat(601) }),
        json!({ "k".repeat(41): "x" }),
        json!({ "": "x" }),
        json!(many),
    ] {
        let alone = create(&json!({ "name": "Acme", "metadata": bad })).expect_err("bad metadata");
        assert_eq!(alone.code(), Code::InvalidMetadata, "{bad}");
        let beside = create(&json!({ "metadata": bad })).expect_err("no name either");
        assert_eq!(beside.code(), Code::InvalidRequestParameters, "{bad}");
    }
}

#[test]
fn an_update_tells_absent_from_null() {
    let change = update(&json!({})).expect("nothing");
    assert!(
        change.name.is_none()
            && change.external_id.is_none()
            && change.metadata.is_none()
            && change.domains.is_none()
    );

    let change = update(
        &json!({ "external_id": null, "metadata": { "a": null, "b": "c" }, "domain_data": [] }),
    )
    .expect("three");
    assert_eq!(change.external_id, Some(None));
    assert_eq!(
        change.metadata,
        Some(MetadataChange::Merge(BTreeMap::from([
            ("a".to_owned(), None),
            ("b".to_owned(), Some("c".to_owned()))
        ])))
    );
    assert_eq!(change.domains, Some(Vec::new()));
    for none in [json!({}), json!(null)] {
        let change = update(&json!({ "metadata": none })).expect("no metadata");
        assert_eq!(change.metadata, Some(MetadataChange::Clear));
    }
}
