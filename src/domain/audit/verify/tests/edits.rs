//! Random edits of exports: each is found against a retained checkpoint.
//!
//! Invariant: an edit is judged only if it changed the export; where it strikes is drawn from the whole export,
//! all of which the retained checkpoint covers.

use proptest::prelude::*;
use proptest::sample::Index;

use super::log::{self, Log};
use super::*;
use crate::domain::audit::{EntryLine, ExpiredLine};

#[derive(Debug, Clone)]
enum Edit {
    /// Any byte of any line becomes another.
    Byte(Index, Index, u8),
    Delete(Index, Index),
    Insert(Index, Index, char),
    DropLine(Index),
    /// And the last line counts again.
    DropLineAndRecount(Index),
    Duplicate(Index, Index),
    Swap(Index, Index),
    Truncate(Index),
    /// Another entry under the index of this one, with salts and leaf hash of its own.
    Rewrite(Index),
    /// The same, added at some place, with the end counted again.
    Forge(Index, Index),
    /// Personal parts removed as a redaction would, without an entry that says so.
    Redact(Index),
    /// The entry removed as retention would.
    Expire(Index),
    /// The proof of another entry.
    OtherProof(Index, Index),
    /// The leaf hash of another entry.
    OtherLeaf(Index, Index),
    /// The checkpoint of another size, well signed.
    OtherCheckpoint(u64),
    /// The whole tree made anew with one entry rewritten, and signed with the right key.
    Remake(Index),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let at = || any::<Index>();
    prop_oneof![
        8 => (at(), at(), 0x20_u8..0x7f).prop_map(|(line, at, byte)| Edit::Byte(line, at, byte)),
        2 => (at(), at()).prop_map(|(line, at)| Edit::Delete(line, at)),
        2 => (at(), at(), any::<char>()).prop_map(|(line, at, c)| Edit::Insert(line, at, c)),
        1 => at().prop_map(Edit::DropLine),
        1 => at().prop_map(Edit::DropLineAndRecount),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        1 => at().prop_map(Edit::Truncate),
        1 => (0_u64..15).prop_map(Edit::OtherCheckpoint),
        1 => at().prop_map(Edit::Remake),
        7 => any_edit_of_an_entry(),
    ]
}

fn any_edit_of_an_entry() -> impl Strategy<Value = Edit> {
    let at = || any::<Index>();
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Edit::Duplicate(from, to)),
        at().prop_map(Edit::Rewrite),
        (at(), at()).prop_map(|(index, to)| Edit::Forge(index, to)),
        at().prop_map(Edit::Redact),
        at().prop_map(Edit::Expire),
        (at(), at()).prop_map(|(a, b)| Edit::OtherProof(a, b)),
        (at(), at()).prop_map(|(a, b)| Edit::OtherLeaf(a, b)),
    ]
}

/// The line of some entry, header and end left out.
fn entry_line(at: Index, lines: &[String]) -> usize {
    1 + at.index(lines.len() - 2)
}

fn recount(lines: &mut [String]) {
    let is_authority = |line: &&String| line.starts_with(r#"{"authority""#);
    let authorities = lines.iter().filter(is_authority).count();
    let entries = u64::try_from(lines.len() - 2 - authorities).unwrap();
    if let Some(last) = lines.last_mut() {
        *last = ExportEnd { entries }.render();
    }
}

/// Where a character of `line` begins.
fn boundary(line: &str, at: Index) -> usize {
    let starts: Vec<_> = line.char_indices().map(|(start, _)| start).collect();
    starts[at.index(starts.len())]
}

impl Edit {
    fn apply(&self, log: &Log, lines: &mut Vec<String>) {
        match *self {
            Self::Byte(line, at, byte) => {
                let number = line.index(lines.len());
                let line = &mut lines[number];
                let start = boundary(line, at);
                line.remove(start);
                line.insert(start, char::from(byte));
            }
            Self::Delete(line, at) => {
                let number = line.index(lines.len());
                let line = &mut lines[number];
                line.remove(boundary(line, at));
            }
            Self::Insert(line, at, character) => {
                let number = line.index(lines.len());
                let line = &mut lines[number];
                line.insert(boundary(line, at), character);
            }
            Self::DropLine(at) => drop(lines.remove(at.index(lines.len()))),
            Self::DropLineAndRecount(at) => {
                lines.remove(entry_line(at, lines));
                recount(lines);
            }
            Self::Duplicate(from, to) => {
                let line = lines[entry_line(from, lines)].clone();
                lines.insert(entry_line(to, lines), line);
                recount(lines);
            }
            Self::Swap(a, b) => {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }
            Self::Truncate(at) => lines.truncate(at.index(lines.len())),
            Self::Rewrite(at) => edit_line(lines, at, rewritten),
            Self::Redact(at) => edit_line(lines, at, redacted),
            Self::Expire(at) => edit_line(lines, at, expired),
            Self::Forge(at, to) => {
                let forged = rewritten(&lines[entry_line(at, lines)]);
                lines.insert(entry_line(to, lines), forged);
                recount(lines);
            }
            Self::OtherProof(a, b) => borrow(lines, a, b, r#","inclusion":"#),
            Self::OtherLeaf(a, b) => borrow(lines, a, b, r#","leaf_hash":"#),
            Self::OtherCheckpoint(size) => lines[0] = log.header(size).render(),
            Self::Remake(at) => {
                let mut entries = log.entries.clone();
                let at = at.index(entries.len());
                let index = u64::try_from(at).unwrap();
                entries[at] = log::entry_of("user.signed_out", index);
                let expired = log.expired.iter().copied().filter(|&leaf| leaf != index);
                let mut forged = Log::of(entries);
                forged.expired = expired.collect();
                *lines = forged.export(15);
            }
        }
    }
}

fn edit_line(lines: &mut [String], at: Index, edit: impl Fn(&str) -> String) {
    let at = entry_line(at, lines);
    lines[at] = edit(&lines[at]);
}

/// Another entry under the same index, with the proof of the one that was there.
fn rewritten(text: &str) -> String {
    let Ok(line) = EntryLine::parse(text) else {
        // Of an expired entry there is nothing to change but the index.
        return text.replace(r#""index":"#, r#""index":1"#);
    };
    let entry = log::entry_of("user.signed_out", line.entry.index());
    let leaf_hash = entry.leaf_hash();
    let forged = EntryLine {
        entry,
        leaf_hash,
        ..line
    };
    forged.render()
}

fn redacted(text: &str) -> String {
    let Ok(line) = EntryLine::parse(text) else {
        return rewritten(text);
    };
    let entry = line.entry.redact();
    EntryLine { entry, ..line }.render()
}

fn expired(text: &str) -> String {
    let Ok(line) = EntryLine::parse(text) else {
        return rewritten(text);
    };
    let expired = ExpiredLine {
        index: line.entry.index(),
        leaf_hash: line.leaf_hash,
        inclusion: line.inclusion,
    };
    expired.render()
}

/// Gives the first line what follows `marker` in the second.
fn borrow(lines: &mut [String], a: Index, b: Index, marker: &str) {
    let (a, b) = (entry_line(a, lines), entry_line(b, lines));
    let (kept, _) = lines[a].split_once(marker).unwrap();
    let (_, taken) = lines[b].split_once(marker).unwrap();
    lines[a] = [kept, marker, taken].concat();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_edit_of_an_export_is_found_against_a_retained_checkpoint(
        edit in any_edit(), retained in 14_u64..=15
    ) {
        let log = sample();
        let untouched = log.export(15);
        let mut lines = untouched.clone();

        edit.apply(&log, &mut lines);

        let report = verify(&lines, &whole(&log, retained));
        if lines == untouched {
            prop_assert!(report.is_intact(), "false alarm: {report}");
        } else if retained == 15 || !matches!(edit, Edit::Remake(_)) {
            prop_assert!(matches!(report.verdict, Verdict::Broken(_)), "{edit:?}: {report}");
        }
    }

    #[test]
    fn every_edit_of_an_entry_in_a_part_of_a_log_is_found(
        edit in any_edit_of_an_entry(), retained in 14_u64..=15
    ) {
        let log = sample();
        let untouched = log.filtered_export(15, &[3, 4, 7, 13, 14]);
        let mut lines = untouched.clone();
        // To show twice what excuses something changes nothing.
        prop_assume!(!matches!(edit, Edit::Duplicate(from, _) if entry_line(from, &lines) == 1));

        edit.apply(&log, &mut lines);

        let report = verify(&lines, &log.trust(Some(retained)));
        if lines == untouched {
            prop_assert!(report.is_intact(), "false alarm: {report}");
        } else {
            prop_assert!(matches!(report.verdict, Verdict::Broken(_)), "{edit:?}: {report}");
        }
    }
}
