//! Exports with proofs: made by the real platform, checked as an auditor would.

use serde_json::{Value, json};
use tidings::domain::audit::verify::{Extent, Unchecked, Verdict, verify};
use tidings::domain::time;

use super::redaction::{record_own, redact};
use super::trail::{DAY, Trail};

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_log_is_intact_from_the_api_to_the_verifier() {
    let mut trail = Trail::new().await;
    trail.record(70).await;
    let kept = trail.checkpoint().await;
    trail.record(31).await;

    let text = trail.export(json!({})).await;

    let trust = trail.trust(Some(&kept), Extent::Whole).await;
    let report = verify(text.lines(), &trust);
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.entries, report.covered), (101, 101));
    assert_eq!(report.unchecked, []);
    assert_eq!(text.lines().count(), 103);
    assert!(text.ends_with("{\"object\":\"audit_log_export_end\",\"entries\":101}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_after_the_request_is_not_in_the_export() {
    let mut trail = Trail::new().await;
    trail.record(5).await;
    let id = trail.ask(json!({})).await;
    trail.record(5).await;
    trail.make().await;

    let text = trail.fetch(&id).await;
    assert!(trail.verify(&text).await.is_intact());
    let export = trail.show(&id).await;
    assert_eq!(export["progress"], json!({ "entries": 5, "total": 5 }));
    assert_eq!(export["format"], "ndjson");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_export_is_intact_and_says_that_it_is_filtered() {
    let mut trail = Trail::new().await;
    trail.record(40).await;
    redact(&trail, &[3, 4, 5]).await;
    redact(&trail, &[8]).await;
    redact(&trail, &[20, 21]).await;

    // Entries 5 and 21 are of action_1; so is none that entry 8 is about.
    let id = trail.ask(json!({ "actions": ["user.action_1"] })).await;
    trail.make().await;
    let text = trail.fetch(&id).await;

    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{text}");
    assert_eq!(report.entries, 10);
    assert!(report.unchecked.contains(&Unchecked::Filtered));
    let authorities: Vec<Value> = text
        .lines()
        .filter(|line| line.starts_with("{\"authority\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named: Vec<_> = authorities
        .iter()
        .map(|line| line["authority"]["targets"][0]["id"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["3-5", "20-21"]);
    let progress = &trail.show(&id).await["progress"];
    assert_eq!(progress, &json!({ "entries": 10 }), "nobody knew how many");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_itself_redacted_brings_its_own() {
    let mut trail = Trail::new().await;
    trail.record(10).await;
    redact(&trail, &[5]).await;
    redact(&trail, &[10]).await;

    let text = trail.export(json!({ "actions": ["user.action_1"] })).await;

    assert_eq!(trail.verify(&text).await.verdict, Verdict::Intact, "{text}");
    assert_eq!(text.matches("{\"authority\"").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_times_has_no_gap_and_takes_its_authorities_along() {
    let mut trail = Trail::new().await;
    trail.record(5).await;
    trail
        .platform
        .clock
        .advance(std::time::Duration::from_secs(DAY));
    let start = time::to_text(trail.platform.clock.now());
    trail.record(7).await;
    let end = time::to_text(trail.platform.clock.now());
    trail
        .platform
        .clock
        .advance(std::time::Duration::from_secs(DAY));
    trail.record(5).await;
    redact(&trail, &[1, 6]).await;

    let range = json!({ "range_start": start, "range_end": end });
    let text = trail.export(range).await;

    let report = trail.verify(&text).await;
    assert_eq!(report.verdict, Verdict::Intact, "{text}");
    assert_eq!(report.entries, 7);
    let not_held = |from, to| report.unchecked.contains(&Unchecked::NotHeld { from, to });
    assert!(not_held(0, 4) && not_held(12, 17), "{report}");
    assert!(text.lines().nth(8).unwrap().starts_with("{\"authority\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_entries_is_an_export_without_entries() {
    let mut trail = Trail::new().await;
    trail.record(3).await;

    let range = json!({ "range_start": "2020-01-01", "range_end": "2020-02-01" });
    let text = trail.export(range).await;

    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(trail.verify(&text).await.is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_entries_has_nothing_to_prove() {
    let trail = Trail::new().await;

    let body = json!({ "organization_id": trail.name, "format": "ndjson" });
    let client = trail.platform.client();
    let reply = client.post("/audit_logs/exports", &body).await;

    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(
        reply.text().contains("nothing_recorded"),
        "{}",
        reply.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_shown_as_expired_leaves() {
    let mut trail = Trail::new().await;
    trail.record(150).await;
    let kept = trail.checkpoint().await;
    trail.expire(31).await;
    trail.record(10).await;

    let text = trail.export(json!({})).await;

    let trust = trail.trust(Some(&kept), Extent::Whole).await;
    let report = verify(text.lines(), &trust);
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.entries, 161);
    assert!(
        report
            .unchecked
            .contains(&Unchecked::Expired { entries: 150 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_own_trail_is_exported_like_any_other() {
    let trail = Trail::new().await.of_environment();
    record_own(&trail).await;

    let kept = trail.checkpoint().await;
    let text = trail.export(json!({})).await;

    let trust = trail.trust(Some(&kept), Extent::Whole).await;
    assert_eq!(verify(text.lines(), &trust).verdict, Verdict::Intact);
    assert!(text.starts_with(
        "{\"object\":\"audit_log_export\",\"format\":\"tidings-audit/1\",\"organization_id\":null,"
    ));
    let csv = json!({ "organization_id": "environment", "range_start": "2020-01-01", "range_end": "2100-01-01" });
    let client = trail.platform.client();
    let made = client.post("/audit_logs/exports", &csv).await.expect(201);
    assert!(made["organization_id"].is_null(), "{made}");
    trail.make().await;
    let id = made["id"].as_str().unwrap();
    // the organization's making, what was recorded, and that the first export was asked for
    assert_eq!(trail.show(id).await["progress"]["entries"], 3);
}
