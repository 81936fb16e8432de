//! `docs/CONFIGURATION.md`, made from the comments of `default.toml`.
//!
//! Invariant: the file in the repository is what [`markdown`] returns, held by a test; `tidings config docs`
//! prints it. Knows the shape of the comments, not what the settings mean.

use std::fmt::Write as _;

use super::settings::DEFAULT_TOML;

/// The parts of a key's comment that have a name of their own.
const PARTS: [&str; 4] = ["Unit", "Range", "Why", "Also"];

const HEAD: &str = "\
# Configuration

Generated from `src/config/default.toml` by `tidings config docs`; change it there.

Nothing needs to be set. What is set comes from four places; a later one wins:

1. the defaults below,
2. a TOML file: `--config FILE`, or `TIDINGS_CONFIG`,
3. the environment: `TIDINGS__SECTION__KEY` (for `delivery.timeout`: `TIDINGS__DELIVERY__TIMEOUT`) and the names
   listed under *Also*, which give way to the former; lists are separated by commas,
4. flags.

Durations and sizes carry their units (`15s`, `256KiB`). A key that does not exist is refused, and everything that is
wrong is reported at once. `tidings config check` looks without starting; `tidings config print` shows each setting
in effect and where it comes from.
";

/// One key of `default.toml` with its comment taken apart.
#[derive(Debug, Default)]
struct Key {
    name: String,
    default: String,
    what: String,
    parts: Vec<(&'static str, String)>,
}

/// The page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut comment = Vec::new();
    let mut section = "";
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name;
            write!(page, "\n## `[{name}]`\n\n{}\n", comment.join(" "))
                .expect("a String takes every text");
            comment.clear();
        } else if let Some((name, default)) = line.split_once(" = ") {
            let key = Key::parse(format!("{section}.{name}"), default, &comment);
            page.push_str(&key.markdown());
            comment.clear();
        } else {
            comment.clear();
        }
    }
    page
}

impl Key {
    fn parse(name: String, default: &str, comment: &[&str]) -> Self {
        let mut key = Self {
            name,
            default: default.to_owned(),
            ..Self::default()
        };
        for line in comment {
            let named = PARTS
                .iter()
                .find_map(|part| Some((*part, line.strip_prefix(part)?.strip_prefix(": ")?)));
            match (named, key.parts.last_mut()) {
                (Some((part, text)), _) => key.parts.push((part, text.to_owned())),
                (None, Some((_, text))) => append(text, line),
                (None, None) => append(&mut key.what, line),
            }
        }
        key
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "\n### `{}`\n\n{}\n\n* Default: `{}`\n",
            self.name, self.what, self.default
        );
        for (part, content) in &self.parts {
            writeln!(text, "* {part}: {content}").expect("a String takes every text");
        }
        text
    }
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    #[test]
    fn the_page_in_the_repository_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();

        assert!(
            page == markdown(),
            "write it anew: tidings config docs > docs/CONFIGURATION.md"
        );
    }

    #[test]
    fn every_key_says_what_it_is_its_unit_its_range_and_why() {
        let page = markdown();
        for (key, _) in Settings::defaults().iter() {
            let (_, rest) = page
                .split_once(&format!("### `{key}`\n\n"))
                .unwrap_or_else(|| panic!("{key} is not on the page"));
            let text = rest.split("\n### ").next().unwrap();

            assert!(!text.starts_with('\n'), "{key} does not say what it is");
            for part in ["Default", "Unit", "Range", "Why"] {
                assert!(text.contains(&format!("* {part}: ")), "{key} has no {part}");
            }
        }
    }
}
