//! Standard output: lines, tables, JSON.
//!
//! Invariant: what came from outside never moves the terminal's cursor or changes its colours.

use std::io::{self, Write as _, stdout};

use serde::Serialize;

/// Standard output cannot be written; the cause says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the answer")]
pub(super) struct OutputClosed(#[from] io::Error);

/// Writes the text and a line end, at once.
pub(super) fn line(text: &str) -> Result<(), OutputClosed> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a value as JSON: one line.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Writes rows in columns; the first row is the head.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Result<(), OutputClosed> {
    line(&columns(rows))
}

/// Rows as lines of aligned columns.
pub(super) fn columns<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{:width$}", printable(cell)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text with each control character, line ends included, shown as `\u{…}`.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// JSON with line breaks and indents; order and numbers stay as they are. What is no JSON is shown as text.
pub(super) fn pretty(json: &str) -> String {
    if serde_json::from_str::<&serde_json::value::RawValue>(json).is_err() {
        return printable(json);
    }
    let mut text = String::new();
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                text.push('"');
                copy_string(&mut chars, &mut text);
            }
            '{' | '[' => {
                skip_space(&mut chars);
                text.push(char);
                match chars.next_if(|&next| next == '}' || next == ']') {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(char);
            }
            ',' => {
                text.push(char);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => text.push(other),
        }
    }
    text
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Copies the rest of a string, its closing quote included.
fn copy_string(chars: &mut Chars<'_>, text: &mut String) {
    while let Some(char) = chars.next() {
        if char.is_control() {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
        match char {
            '"' => return,
            '\\' => text.extend(chars.next()),
            _ => {}
        }
    }
}

fn skip_space(chars: &mut Chars<'_>) {
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_json_keeps_order_numbers_and_strings() {
        let json = r#"{"b":1.50,"a":[],"c":[1,{"d":"x:{\"y\"},\\"}],"e":{ }}"#;
        let text = pretty(json);

        assert_eq!(
            text,
            "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x:{\\\"y\\\"},\\\\\"\n    }\n  ],\n  \"e\": {}\n}"
        );
        assert_eq!(pretty(&text), text);
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(pretty("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(pretty("\"\u{9b}2J\""), "\"\\u{9b}2J\"");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["id", "name"], ["1", "wide name"], ["long id", ""]].map(|row| row.map(str::to_owned));

        assert_eq!(columns(&rows), "id       name\n1        wide name\nlong id");
    }
}
