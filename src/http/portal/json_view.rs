//! JSON for people: indented and coloured, the text itself untouched.
//!
//! Invariant: numbers, strings and the order of members are shown as they are stored; what is no JSON is shown as
//! the text that it is.

use maud::{Markup, html};
use serde_json::value::RawValue;

/// A piece of an indented text.
enum Piece<'a> {
    Plain(String),
    Name(&'a str),
    Text(&'a str),
    Word(&'a str),
}

/// Shows a JSON text.
pub(super) fn json(text: &str) -> Markup {
    let pieces = match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => pieces(text),
        Err(_) => vec![Piece::Plain(text.to_owned())],
    };
    html! {
        pre.json tabindex="0" {
            code {
                @for piece in &pieces {
                    @match piece {
                        Piece::Plain(text) => (text),
                        Piece::Name(text) => span.n { (text) },
                        Piece::Text(text) => span.s { (text) },
                        Piece::Word(text) => span.w { (text) },
                    }
                }
            }
        }
    }
}

/// A JSON text as it is shown, for a field in which it is changed.
pub(super) fn indented(text: &str) -> String {
    let texts = pieces(text).into_iter().map(|piece| match piece {
        Piece::Plain(text) => text,
        Piece::Name(text) | Piece::Text(text) | Piece::Word(text) => text.to_owned(),
    });
    texts.collect()
}

/// Cuts a valid JSON text into pieces.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut depth) = (text.trim(), 0_usize);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let length = string_length(rest);
                let (string, after) = rest.split_at(length);
                let is_name = after.trim_start().starts_with(':');
                pieces.push(if is_name {
                    Piece::Name(string)
                } else {
                    Piece::Text(string)
                });
                length
            }
            '{' | '[' => {
                let inside = rest.get(1..).unwrap_or_default().trim_start();
                if inside.starts_with(['}', ']']) {
                    let closed = if first == '{' { "{}" } else { "[]" };
                    pieces.push(Piece::Plain(closed.to_owned()));
                    rest.len() - inside.len() + 1
                } else {
                    depth += 1;
                    pieces.push(Piece::Plain(format!("{first}{}", line(depth))));
                    1
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                pieces.push(Piece::Plain(format!("{}{first}", line(depth))));
                1
            }
            ',' => {
                pieces.push(Piece::Plain(format!(",{}", line(depth))));
                1
            }
            ':' => {
                pieces.push(Piece::Plain(": ".to_owned()));
                1
            }
            blank if blank.is_ascii_whitespace() => 1,
            _ => {
                let end = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']);
                let length = end.unwrap_or(rest.len());
                pieces.push(Piece::Word(rest.get(..length).unwrap_or_default()));
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    pieces
}

fn line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth))
}

/// The length of the string that `text` begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_as_it_was() {
        let shown = indented(r#"{"b":1.50,"a":["x,\"}",{}],"c":null}"#);

        let expected =
            "{\n  \"b\": 1.50,\n  \"a\": [\n    \"x,\\\"}\",\n    {}\n  ],\n  \"c\": null\n}";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_looks_like_markup_is_text() {
        let hostile = r#"{"<script>":"</code><script>alert(1)</script>"}"#;

        let page = json(hostile).into_string();

        assert!(!page.contains("<script>"), "{page}");
        assert!(!json("</pre><script>").into_string().contains("<script>"));
    }
}
