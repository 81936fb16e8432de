//! Rust sources as the house's tests see them: words and signs, without comments and literals.
//!
//! Invariant: what stands in a comment, a string or a character is never taken for code. Reads only as much of the
//! language as imports and names need; it does not expand macros and does not resolve names.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the project.
pub(super) struct Source {
    /// From the project's folder: `src/http/mod.rs`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// The room that the file belongs to: `http`, `telemetry`, `main`, `lib`.
    pub(super) fn room(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside
            .split(['/', '.'])
            .next()
            .expect("a path has a first part")
    }

    /// The modules from the crate's root to this file: `["http", "api"]` for `src/http/api/mod.rs`.
    pub(super) fn module(&self) -> Vec<String> {
        let inside = self
            .path
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .trim_end_matches("/mod");
        match inside {
            "lib" | "main" => Vec::new(),
            inside => inside.split('/').map(str::to_owned).collect(),
        }
    }
}

/// The folder that holds `Cargo.toml`.
pub(super) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, in the order of its path.
pub(super) fn rust_files(folder: &str) -> Vec<Source> {
    files(folder, "rs")
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(project().join(&path)).unwrap(),
            path,
        })
        .collect()
}

/// The paths of all files below `folder` with this ending, from the project's folder.
pub(super) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![project().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let inside = path.strip_prefix(project()).unwrap();
                found.push(inside.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The words and signs of `text`: names, numbers, `::`, and every other sign alone. Literals become `""`.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first.is_whitespace() {
            first.len_utf8()
        } else if let Some(length) = literal(rest) {
            tokens.push("\"\"");
            length
        } else {
            let length = if first.is_alphanumeric() || first == '_' {
                word(rest)
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    tokens
}

fn word(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(text.len())
}

/// The length of the string or character that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let opened = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - opened.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = opened.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).unwrap_or(inside.len()) + end.len();
        return Some(prefix + 1 + hashes + 1 + length);
    }
    if let Some(inside) = opened.strip_prefix('"') {
        return Some(prefix + 1 + quoted(inside, '"'));
    }
    let inside = opened.strip_prefix('\'')?;
    let mut letters = inside.chars();
    let (first, second) = (letters.next()?, letters.next());
    // A lifetime has no closing quote after its first letter.
    (first == '\\' || second == Some('\'')).then(|| prefix + 1 + quoted(inside, '\''))
}

/// The length up to and with the closing quote.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, letter) in inside.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return index + 1,
            _ => {}
        }
    }
    inside.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = r####"a /* use crate::x */ b // crate::y
        "crate::\" z" 'c' '\'' b"s" r#"q"u"# &'a c::d_1"####;

    let expected = [
        "a", "b", "\"\"", "\"\"", "\"\"", "\"\"", "\"\"", "&", "'", "a", "c", "::", "d_1",
    ];
    assert_eq!(tokens(text), expected);
}
