//! Exports that were left alone, and exports that were not.
//!
//! Invariant: [`log`] makes exports with nothing but the public interface, as the platform does.

mod edits;
mod log;

use log::{Log, org};

use super::*;
use crate::domain::audit::REDACTED_ACTION;

/// Twelve entries, of which 2 and 5 are redacted and 0 and 1 expired; then the two that say so, and one more.
fn sample() -> Log {
    Log::new(12, &[2, 5], &[0, 1])
}

fn whole(log: &Log, retained: u64) -> Trust {
    Trust {
        extent: Extent::Whole,
        ..log.trust(Some(retained))
    }
}

fn finding(lines: &[String], trust: &Trust) -> String {
    match verify(lines, trust).verdict {
        Verdict::Broken(finding) => finding.to_string(),
        verdict @ (Verdict::Intact | Verdict::Undecided) => panic!("{verdict:?}"),
    }
}

#[test]
fn an_untouched_export_is_intact_against_every_checkpoint_that_was_kept() {
    for (redacted, expired) in [
        (vec![], vec![]),
        (vec![2, 5], vec![]),
        (vec![3], vec![0, 1]),
    ] {
        let log = Log::new(9, &redacted, &expired);
        for size in log.granted_from()..=log.len() {
            let lines = log.export(size);
            for retained in 0..=log.len() {
                let report = verify(&lines, &whole(&log, retained));

                assert!(report.is_intact(), "{retained} of {size}: {report}");
                assert_eq!(report.entries, log.len());
                assert_eq!(report.covered, size.max(retained));
            }
        }
    }
}

#[test]
fn an_empty_log_is_intact() {
    let log = Log::of(Vec::new());

    assert!(verify(log.export(0), &whole(&log, 0)).is_intact());
}

#[test]
fn a_report_says_what_was_not_checked() {
    let log = sample();

    let report = verify(log.export(14), &log.trust(Some(3)));

    assert_eq!(
        report.to_string(),
        "intact: 15 entries, 14 of them under the checkpoint\n\
         not checked: 2 redaction or retention entries were recorded after the retained checkpoint\n\
         not checked: entries 14 to 14, which no checkpoint covers\n\
         not checked: the personal parts of 2 redacted entries, which are gone\n\
         not checked: the content of 2 expired entries, which is gone"
    );
    let alone = verify(log.export(15), &log.trust(None));
    assert_eq!(alone.unchecked[0], Unchecked::NothingRetained);
}

#[test]
fn the_first_entry_that_is_wrong_is_named() {
    let log = sample();
    let (lines, trust) = (log.export(15), whole(&log, 15));
    let edited = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        edit(&mut lines);
        finding(&lines, &trust)
    };
    let id = |index: usize| log.entries[index].id();

    // Line 1 is the header, so entry n stands in line n + 2.
    assert_eq!(
        edited(&|lines| lines[8] = lines[8].replace("user.signed_in", "user.signed_up")),
        format!(
            "line 9, entry 7 ({}): changed: its content does not have its leaf hash",
            id(7)
        )
    );
    assert_eq!(
        edited(&|lines| drop(lines.remove(8))),
        format!(
            "line 9, entry 8 ({}): entry 7 is missing or was moved: this one stands in its place",
            id(8)
        )
    );
    assert_eq!(
        edited(&|lines| lines.insert(9, lines[8].clone())),
        format!(
            "line 10, entry 7 ({}): added or moved: it stands after entry 7",
            id(7)
        )
    );
    assert_eq!(
        edited(&|lines| drop(lines.remove(15))),
        "line 16: the export says it holds 15 entries, and holds 14"
    );
    assert_eq!(
        edited(&|lines| {
            lines.remove(15);
            lines[15] = ExportEnd { entries: 14 }.render();
        }),
        "line 16: entries 14 to 14 are missing at the end"
    );
    assert_eq!(
        edited(&|lines| lines.truncate(9)),
        "line 10: the export is cut off: its last line is missing"
    );
    assert_eq!(
        edited(&|lines| lines.push(String::new())),
        "line 18: added after the end of the export"
    );
}

#[test]
fn a_part_that_is_missing_without_a_grant_under_the_checkpoint_is_tampering() {
    let log = sample();

    // The redaction is entry 12 and the expiry entry 13: a checkpoint of 12 or 13 leaves them out.
    assert_eq!(
        finding(&log.export(12), &log.trust(None)),
        "line 17, entry 0: missing, and no retention entry names it"
    );
    assert_eq!(
        finding(&log.export(12), &log.trust(Some(12))),
        "line 17, entry 0: missing, and no retention entry names it"
    );
    let redacted = Log::new(12, &[2, 5], &[]);
    assert_eq!(
        finding(&redacted.export(12), &redacted.trust(None)),
        "line 16, entry 2: its personal parts are missing, and no redaction entry names it"
    );
}

#[test]
fn a_grant_excuses_nothing_that_comes_after_it() {
    let mut entries = sample().entries[..12].to_vec();
    entries.push(log::grant(12, REDACTED_ACTION, "2,5,13-99"));
    entries.push(log::entry(13).redact());
    let log = Log::of(entries);

    assert_eq!(
        finding(&log.export(14), &log.trust(None)),
        "line 16, entry 13: its personal parts are missing, and no redaction entry names it"
    );
}

#[test]
fn a_redaction_entry_does_not_excuse_a_missing_entry() {
    let mut entries = sample().entries[..3].to_vec();
    entries.push(log::grant(3, REDACTED_ACTION, "0-2"));
    let mut log = Log::of(entries);
    log.expired = vec![1];

    assert_eq!(
        finding(&log.export(4), &log.trust(None)),
        "line 6, entry 1: missing, and no retention entry names it"
    );
}

#[test]
fn a_history_that_was_made_anew_and_signed_again_is_found_by_the_retained_checkpoint() {
    let log = sample();
    for changed in 0..10 {
        let mut entries = log.entries.clone();
        entries[changed] = log::entry_of("user.signed_out", u64::try_from(changed).unwrap());
        let forged = Log::of(entries);

        for retained in 10..=15 {
            let finding = finding(&forged.export(15), &whole(&log, retained));
            assert!(finding.contains("rewritten"), "{finding}");
        }
        assert!(verify(forged.export(15), &whole(&log, 0)).is_intact());
    }
}

#[test]
fn a_part_of_a_log_is_checked_entry_by_entry() {
    let log = sample();
    let trust = log.trust(Some(15));
    let filtered = log.filtered_export(15, &[2, 7, 9]);

    let report = verify(&filtered, &trust);

    assert!(report.is_intact(), "{report}");
    assert_eq!(
        report.unchecked,
        [Unchecked::Filtered, Unchecked::Redacted { entries: 1 }]
    );
    assert_eq!(
        finding(&filtered, &whole(&log, 15)),
        "line 1: the header says that the export is only a part of the log"
    );
    let mut without_authority = filtered.clone();
    without_authority.remove(1);
    assert_eq!(
        finding(&without_authority, &trust),
        "line 5, entry 2: its personal parts are missing, and no redaction entry names it"
    );
    let mut swapped = filtered;
    swapped.swap(3, 4);
    assert!(finding(&swapped, &trust).contains("added or moved: it stands after entry 9"));
}

#[test]
fn a_retained_checkpoint_that_cannot_be_linked_leaves_the_matter_undecided() {
    let log = sample();
    let lines = log.filtered_export(15, &[2, 7, 9]);

    let report = verify(&lines, &log.trust(Some(6)));

    assert_eq!(report.verdict, Verdict::Undecided);
    assert!(
        report
            .unchecked
            .contains(&Unchecked::RetainedUnlinked { size: 6 })
    );
    // The last entry of the retained tree links it, and so does a proof.
    assert!(verify(&lines, &log.trust(Some(8))).is_intact());
    let mut trust = log.trust(Some(6));
    trust.retained.as_mut().unwrap().consistency = Some(log.consistency(6, 15));
    assert!(verify(&lines, &trust).is_intact());
    trust.retained.as_mut().unwrap().consistency = Some(log.consistency(7, 15));
    assert!(finding(&lines, &trust).starts_with("line 1: the log was rewritten"));
}

#[test]
fn a_time_range_says_which_entries_it_does_not_hold() {
    let log = sample();
    let lines = log.range_export(15, 6..10);

    let report = verify(&lines, &log.trust(Some(15)));

    assert!(report.is_intact(), "{report}");
    assert_eq!(
        report.unchecked,
        [
            Unchecked::NotHeld { from: 0, to: 5 },
            Unchecked::NotHeld { from: 10, to: 14 }
        ]
    );
}

#[test]
fn entries_beyond_every_checkpoint_are_told_apart_in_a_part_of_a_log() {
    let log = sample();

    let report = verify(log.range_export(8, 6..10), &log.trust(Some(8)));

    assert!(report.is_intact(), "{report}");
    assert_eq!((report.entries, report.covered), (4, 2));
    assert!(
        report
            .unchecked
            .contains(&Unchecked::AfterCheckpoint { from: 8, to: 9 })
    );
}

#[test]
fn checkpoints_of_other_trees_and_other_keys_are_refused() {
    let log = sample();
    let lines = log.export(15);
    let mut trust = log.trust(Some(15));

    trust.retained.as_mut().unwrap().note = log.note_of(15, "tidings/env_x/org_y");
    assert_eq!(
        finding(&lines, &trust),
        "line 1: belongs to another audit log"
    );

    let header = lines[0].replace(&org().to_string(), "org_00000000000000000000000009");
    let mut other = lines.clone();
    other[0] = header;
    assert!(finding(&other, &log.trust(None)).starts_with("line 1: "));

    let stranger = Trust {
        keys: Vec::new(),
        ..log.trust(None)
    };
    assert_eq!(
        finding(&lines, &stranger),
        "line 1: the export's checkpoint: no known key has signed the note"
    );
}
