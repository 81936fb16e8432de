//! What a file imports: every path that begins at the crate's root or climbs by `super`, as full paths.
//!
//! Reads `use` trees, nested and over many lines, and paths inside functions alike.

use super::source::{Source, tokens};

/// Every path of this crate that `source` names, from the root: `["domain", "id", "EventId"]`.
pub(super) fn imports(source: &Source) -> Vec<Vec<String>> {
    let tokens = tokens(&source.text);
    let mut module = source.module();
    // For each open brace: whether it is a module's.
    let mut open = Vec::new();
    let mut found = Vec::new();
    for (index, &token) in tokens.iter().enumerate() {
        match token {
            "{" => {
                let inside = index >= 2 && tokens[index - 2] == "mod";
                if inside {
                    module.push(tokens[index - 1].to_owned());
                }
                open.push(inside);
            }
            "}" if open.pop() == Some(true) => {
                module.pop();
            }
            "crate" | "super" | "self" | "tidings"
                if begins_path(&tokens, index) && tokens.get(index + 1) == Some(&"::") =>
            {
                read_tree(&tokens, index, &module, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Whether the word at `index` is a path's first: `a::super` and `pub(super)` are not.
fn begins_path(tokens: &[&str], index: usize) -> bool {
    index == 0 || tokens[index - 1] != "::"
}

/// Reads the path or tree that begins at `index`; every leaf goes to `found`.
fn read_tree(tokens: &[&str], index: usize, module: &[String], found: &mut Vec<Vec<String>>) {
    let mut at = index;
    let mut path = match tokens[at] {
        "super" => module[..module.len().saturating_sub(1)].to_vec(),
        "self" => module.to_vec(),
        _ => Vec::new(),
    };
    at += 1;
    // Paths before each open group.
    let mut groups: Vec<Vec<String>> = Vec::new();
    loop {
        match tokens.get(at).copied() {
            Some("::") => match tokens.get(at + 1).copied() {
                Some("{") => {
                    groups.push(path.clone());
                    at += 2;
                    // The first word of a group stands for the sign before it.
                    at = name(tokens, at, &mut path);
                }
                // `::<T>` ends a path.
                Some("<") => return found.push(path),
                _ => at = name(tokens, at + 1, &mut path),
            },
            Some("as") if !groups.is_empty() => at += 2,
            Some(",") if !groups.is_empty() => {
                found.push(path);
                path = groups.last().expect("a group is open").clone();
                at = match tokens.get(at + 1).copied() {
                    Some("}") => at + 1,
                    _ => name(tokens, at + 1, &mut path),
                };
            }
            Some("}") if !groups.is_empty() => {
                found.push(path);
                path = groups.pop().expect("a group is open");
                at += 1;
                if groups.is_empty() {
                    return;
                }
            }
            _ => return found.push(path),
        }
    }
}

/// Takes the word at `at` into `path`; answers where to read on.
fn name(tokens: &[&str], at: usize, path: &mut Vec<String>) -> usize {
    match tokens.get(at).copied() {
        Some("super") => {
            path.pop();
        }
        Some("self") | None => {}
        Some(word) => path.push(word.to_owned()),
    }
    at + 1
}

#[test]
fn nested_groups_inline_paths_and_climbing_are_read() {
    let source = Source {
        path: "src/http/api/events.rs".to_owned(),
        text: "use crate::store::{self, events::{\n  find,\n  Row as R },\n Conn };
            use super::super::problem::Code;
            fn f() -> crate::app::Answer { crate::egress::call::<u8>() }
            mod tests { use super::*; use super::super::envelope::List; }"
            .to_owned(),
    };

    let found: Vec<String> = imports(&source)
        .into_iter()
        .map(|path| path.join("::"))
        .collect();

    let expected = [
        "store",
        "store::events::find",
        "store::events::Row",
        "store::events",
        "store::Conn",
        "http::problem::Code",
        "app::Answer",
        "egress::call",
        "http::api::events::*",
        "http::api::envelope::List",
    ];
    assert_eq!(found, expected);
}
