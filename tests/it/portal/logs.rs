//! Audit logs in the portal: checkpoints with their notes, and schemas by version.

use serde_json::json;

use super::Visitor;
use crate::harness::TestPlatform;

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_is_shown_with_its_note_and_one_that_was_edited_is_called_so() {
    let platform = TestPlatform::usual().await;
    let client = platform.client();
    let mut operator = Visitor::operator(&platform).await;
    let path = "/portal/audit/checkpoints";
    let sign = [("trail", "environment")];
    let first = client
        .post(
            "/audit_logs/checkpoints",
            &json!({ "organization_id": "environment" }),
        )
        .await
        .expect(201);
    client
        .post("/organizations", &json!({ "name": "Acme" }))
        .await
        .expect(201);

    let signed = operator.submit(path, path, &sign).await;
    let page = operator.get(path).await.text;

    assert_eq!(signed.status, 303);
    assert_eq!(page.matches("signature good").count(), 2, "{page}");
    assert!(page.contains(first["note"].as_str().unwrap()), "{page}");
    assert!(page.contains(first["root_hash"].as_str().unwrap()));
    let sql = platform.sql().await;
    for edit in [
        // A note of its own, and a row that says something else than its note.
        "UPDATE audit_log_checkpoints SET note = replace(note, 'environment', 'environmens') WHERE size = 1",
        "UPDATE audit_log_checkpoints SET size = size + 1 WHERE size > 1",
    ] {
        sql.execute(edit, &[]).await.unwrap();
    }

    let page = operator.get(path).await.text;
    assert_eq!(page.matches("signature not good").count(), 2, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_added_in_a_form_and_entries_have_to_fit_it() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;
    let path = "/portal/audit/schemas";
    let first = r#"{"targets":[{"type":"invoice"}],"metadata":{"required":["reason"]}}"#;
    let second = r#"{"targets":[{"type":"invoice"},{"type":"till"}]}"#;
    let add = async |operator: &mut Visitor, schema: &str| {
        let form = [("action", "invoice.refunded"), ("schema", schema)];
        operator.submit("/portal", path, &form).await
    };

    let made = add(&mut operator, first).await;
    add(&mut operator, second).await;
    // What says the same is no version.
    add(&mut operator, second).await;
    let list = operator.get(path).await.text;
    let versions = operator
        .get("/portal/audit/actions/invoice.refunded")
        .await
        .text;

    assert_eq!(
        made.location,
        "/portal/audit/actions/invoice.refunded?done=created"
    );
    assert!(
        list.contains(r#"<td class="num">2</td>"#) && list.contains(">till</code>"),
        "{list}"
    );
    assert!(versions.contains("Version 1") && versions.contains("Version 2"));
    assert!(!versions.contains("Version 3"));
    let organization = platform
        .client()
        .post("/organizations", &json!({ "name": "Acme" }))
        .await;
    let entry = json!({ "organization_id": organization.expect(201)["id"], "event": {
        "action": "invoice.refunded", "occurred_at": "2026-01-01T00:00:00.000Z",
        "actor": { "id": "u", "type": "user" }, "targets": [{ "id": "i", "type": "invoice" }],
        "context": { "location": "1.1.1.1" },
    } });
    let refused = platform.client().post("/audit_logs/events", &entry).await;
    assert_eq!(refused.status, 400);
    // The form for the next version begins with the newest.
    let form = operator
        .get("/portal/audit/schemas/new?action=invoice.refunded")
        .await
        .text;
    assert!(
        form.contains("&quot;type&quot;: &quot;till&quot;"),
        "{form}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_schema_stays_in_its_form_with_everything_that_is_wrong() {
    let platform = TestPlatform::usual().await;
    let mut operator = Visitor::operator(&platform).await;
    let form = [
        ("action", "a b"),
        (
            "schema",
            r#"{"targets":[{"type":"x","metadata":{"type":1}}]}"#,
        ),
    ];

    let page = operator
        .submit("/portal", "/portal/audit/schemas", &form)
        .await;
    let broken = [("action", "a.b"), ("schema", "{")];
    let broken = operator
        .submit("/portal", "/portal/audit/schemas", &broken)
        .await;

    assert_eq!((page.status, broken.status), (422, 422));
    for part in [
        "segments of letters",
        "targets[0].metadata",
        r#"value="a b""#,
        "&quot;type&quot;:1",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(broken.text.contains("cannot be read"), "{}", broken.text);
    let actions = platform
        .client()
        .get("/audit_logs/actions")
        .await
        .expect(200);
    assert_eq!(actions["data"], json!([]));
}
