//! The walls: which room may import which, and the rules of form that a machine can check.
//!
//! Invariant: one table, [`ROOMS`], from the lowest floor to the highest; a room imports only rooms below it, so
//! there are no circles. A change of the table has a line in `docs/adr/0002-imports.md`.
//! Length of functions and count of parameters are clippy's to check (`.ci/clippy.toml`).

use std::collections::BTreeSet;

use super::imports::imports;
use super::source::{Source, rust_files, tokens};

/// Lines of a file, at most.
const LINES_MAX: usize = 400;

/// Each room and what it may import; `a::b` permits only that part of a room.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    ("egress", &["domain", "config"]),
    ("store", &["domain", "config"]),
    ("ingest", &["domain", "config", "store", "telemetry"]),
    (
        "app",
        &["domain", "config", "store", "ingest", "egress::Policy"],
    ),
    (
        "upkeep",
        &["domain", "config", "store", "telemetry", "ingest"],
    ),
    (
        "dispatch",
        &["domain", "config", "store", "egress", "telemetry", "ingest"],
    ),
    ("http", &["domain", "config", "app", "telemetry"]),
    (
        "runtime",
        &[
            "domain",
            "config",
            "telemetry",
            "egress",
            "store",
            "ingest",
            "app",
            "upkeep",
            "dispatch",
            "http",
        ],
    ),
    ("cli", &["domain", "config", "app", "runtime"]),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Drawers: files that collect what has no place.
const DRAWERS: [&str; 5] = ["utils", "common", "helpers", "types", "prelude"];

/// Words that the glossary has better ones for (docs/CONTRIBUTING.md, Words). Left out are those that are right
/// for something else here: `message` of an error, `lock` of a row, `task` of the runtime, `token` of a stop.
const REFUSED_WORDS: [&str; 12] = [
    "project",
    "workspace",
    "customer",
    "notification",
    "topic",
    "hook",
    "destination",
    "job",
    "resend",
    "dedup",
    "ack",
    "scheduled",
];

/// Items that have a name.
const ITEMS: [&str; 9] = [
    "fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union",
];

fn permits(room: &str, path: &[String]) -> bool {
    let Some(target) = path.first() else {
        return true;
    };
    let (_, permitted) = ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .unwrap_or_else(|| panic!("{room} is not in the table of rooms"));
    let named = path.join("::");
    target == room
        || permitted
            .iter()
            .any(|permitted| named == *permitted || named.starts_with(&format!("{permitted}::")))
}

/// The imports of `source` that its room may not have.
fn forbidden(source: &Source) -> Vec<String> {
    let room = source.room();
    imports(source)
        .into_iter()
        .filter(|path| !permits(room, path))
        .map(|path| format!("{}: {room} may not import {}", source.path, path.join("::")))
        .collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_import_only_what_their_row_permits() {
    let faults: Vec<_> = rust_files("src").iter().flat_map(forbidden).collect();

    assert_none(&faults);
}

#[test]
fn an_import_that_no_row_permits_is_found() {
    for text in [
        "use crate::store::{events, pool::Conn};",
        "fn f() { crate::dispatch::run() }",
        "use super::super::egress::Sender;",
        "mod tests { use super::super::super::store; }",
    ] {
        let source = Source {
            path: "src/http/health.rs".to_owned(),
            text: text.to_owned(),
        };

        assert!(!forbidden(&source).is_empty(), "{text}");
    }
}

#[test]
fn every_room_is_below_those_that_import_it() {
    for (index, (room, permitted)) in ROOMS.iter().enumerate() {
        for permitted in *permitted {
            let target = permitted.split("::").next().unwrap();
            let below = ROOMS[..index].iter().any(|(name, _)| *name == target);

            assert!(below, "{room} imports {target}, which is not below it");
        }
    }
}

#[test]
fn every_room_is_in_the_table_and_every_row_is_a_room() {
    let files = rust_files("src");
    let found: BTreeSet<_> = files.iter().map(Source::room).collect();
    let known: BTreeSet<_> = ROOMS.iter().map(|(room, _)| *room).collect();

    assert_eq!(found, known);
}

#[test]
fn a_face_defines_nothing_that_its_children_import() {
    let files = rust_files("src");
    let mut faults = Vec::new();
    for face in files.iter().filter(|file| file.path.ends_with("/mod.rs")) {
        let (module, defined) = (face.module(), defined(&face.text));
        for child in &files {
            let inside = child.module();
            if inside.len() <= module.len() || !inside.starts_with(&module) {
                continue;
            }
            for path in imports(child) {
                if path.len() > module.len()
                    && path.starts_with(&module)
                    && defined.contains(path[module.len()].as_str())
                {
                    let name = path.join("::");
                    faults.push(format!(
                        "{}: {name} is defined in {}",
                        child.path, face.path
                    ));
                }
            }
        }
    }

    assert_none(&faults);
}

/// The names of everything that `text` defines, modules left out.
fn defined(text: &str) -> BTreeSet<&str> {
    tokens(text)
        .windows(2)
        .filter(|pair| ITEMS.contains(&pair[0]) && pair[0] != "mod")
        .map(|pair| pair[1])
        .collect()
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for file in rust_files("src").iter().chain(&rust_files("tests")) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && file.path != "src/store/schema.rs" {
            faults.push(format!("{}: {lines} lines", file.path));
        }
        if !file.text.starts_with("//! ") {
            faults.push(format!("{}: does not open with `//!`", file.path));
        }
    }

    assert_none(&faults);
}

#[test]
fn there_are_no_drawers() {
    let mut faults = Vec::new();
    for file in rust_files("src").iter().chain(&rust_files("tests")) {
        let names = file.path.trim_end_matches(".rs").split('/');
        for drawer in names.filter(|name| DRAWERS.contains(name)) {
            faults.push(format!("{}: a drawer named {drawer}", file.path));
        }
        for pair in tokens(&file.text).windows(2) {
            if pair[0] == "mod" && DRAWERS.contains(&pair[1]) {
                faults.push(format!("{}: a drawer named {}", file.path, pair[1]));
            }
        }
    }

    assert_none(&faults);
}

#[test]
fn public_names_use_the_words_of_the_glossary() {
    let mut faults = Vec::new();
    for file in rust_files("src") {
        for name in public_names(&tokens(&file.text)) {
            if let Some(word) = words(name)
                .iter()
                .find(|word| REFUSED_WORDS.contains(&word.as_str()))
            {
                faults.push(format!("{}: {name} says {word}", file.path));
            }
        }
    }

    assert_none(&faults);
}

/// The names after `pub fn`, `pub(super) struct` and their like.
fn public_names<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (index, _) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| **token == "pub")
    {
        let mut rest = tokens[index + 1..].iter().copied().peekable();
        if rest.peek() == Some(&"(") {
            rest.find(|&token| token == ")");
        }
        let mut rest = rest.skip_while(|token| ["async", "unsafe", "extern"].contains(token));
        if rest.next().is_some_and(|item| ITEMS.contains(&item)) {
            // `const fn name` has one word more.
            names.extend(rest.find(|&token| token != "fn"));
        }
    }
    names
}

/// `EventPattern` and `event_pattern` are both `event` and `pattern`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words
}

#[test]
fn a_function_takes_one_bool_at_most() {
    let mut faults = Vec::new();
    for file in rust_files("src") {
        let tokens = tokens(&file.text);
        for (index, _) in tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| **token == "fn")
        {
            let parameters = tokens[index..]
                .iter()
                .skip_while(|token| **token != "(")
                .take_while(|token| !["{", ";"].contains(token));
            let bools = signature(parameters.copied());
            if bools > 1 {
                faults.push(format!(
                    "{}: {} takes {bools} bools",
                    file.path,
                    tokens[index + 1]
                ));
            }
        }
    }

    assert_none(&faults);
}

/// How many parameters are a plain `bool`, in what follows a function's name.
fn signature<'a>(tokens: impl Iterator<Item = &'a str>) -> usize {
    let (mut depth, mut bools, mut last) = (0_usize, 0, "");
    for token in tokens {
        match token {
            "(" => depth += 1,
            ")" if depth == 1 => break,
            ")" => depth -= 1,
            "bool" if depth == 1 && last == ":" => bools += 1,
            _ => {}
        }
        last = token;
    }
    bools
}
