//! What the verdicts become for a script, on exports that need no server.

use std::io::Cursor;

use serde_json::json;

use super::*;
use crate::domain::audit::{ExportEnd, ExportHeader};
use crate::domain::checkpoint::{Checkpoint, SigningKey};
use crate::domain::merkle::empty_root;

fn signer() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "tidings/env_1").unwrap()
}

fn trust() -> Trust {
    Trust {
        keys: vec![signer().verifying_key().clone()],
        retained: None,
        extent: Extent::Whole,
    }
}

/// An export of a log without entries.
fn export() -> Vec<u8> {
    let checkpoint = Checkpoint {
        origin: "tidings/env_1/environment".to_owned(),
        size: 0,
        root: empty_root(),
    };
    let header = ExportHeader {
        organization: None,
        checkpoint: checkpoint.sign(&[&signer()]).unwrap(),
        range_start: None,
        range_end: None,
        filters: "{}".to_owned(),
        complete: true,
    };
    let end = ExportEnd { entries: 0 };
    format!("{}\n{}\n", header.render(), end.render()).into_bytes()
}

fn verdict(bytes: Vec<u8>) -> Report {
    let lines = Lines::of("test", Box::new(Cursor::new(bytes)));
    read(lines, &trust()).unwrap()
}

#[test]
fn an_untouched_export_is_intact_with_and_without_its_last_line_end() {
    let mut bytes = export();
    assert!(verdict(bytes.clone()).is_intact());
    bytes.pop();
    assert!(verdict(bytes).is_intact());
}

#[test]
fn what_is_no_text_or_too_little_is_broken() {
    let mut no_text = export();
    no_text.insert(5, 0xff);
    let mut cut = export();
    cut.truncate(cut.len() / 2);

    for bytes in [no_text, cut, Vec::new(), b"\n\n".to_vec()] {
        let report = verdict(bytes.clone());
        assert_eq!(report.verdict.as_str(), "broken", "{bytes:?}");
    }
}

#[test]
fn the_report_for_scripts_names_the_line() {
    let mut lines = export();
    lines.extend_from_slice(b"{}\n");

    let body = serde_json::to_value(ReportBody::from(&verdict(lines))).unwrap();

    assert_eq!(
        body,
        json!({ "verdict": "broken", "entries": 0, "covered": 0, "unchecked": [], "finding":
            { "line": 3, "index": null, "id": null, "message": "added after the end of the export" } })
    );
}

#[test]
fn what_was_not_checked_has_a_word() {
    let body = serde_json::to_value(ReportBody::from(&verdict(export()))).unwrap();

    assert_eq!(body["verdict"], "intact");
    assert_eq!(body["unchecked"][0]["code"], "nothing_retained");
}
