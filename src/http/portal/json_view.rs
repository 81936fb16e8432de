//! JSON for people: indented and coloured, the text itself untouched.
//!
//! Invariant: numbers, strings and the order of members are shown as they are stored; what is no JSON is shown as
//! the text that it is. However long a text is, a page gets no more of it than it has room for, and says so.

use maud::{Markup, PreEscaped, html};
use serde_json::value::RawValue;

/// A piece of an indented text.
enum Piece<'a> {
    Plain(String),
    Name(&'a str),
    Text(&'a str),
    Word(&'a str),
}

/// The room of a page whose text is all that it shows: bytes of markup, several to each byte of JSON.
pub(super) const ROOM: usize = 32 * 1024;
/// The most bytes that escaping makes of one.
const ESCAPED_MAX: usize = 6;

impl Piece<'_> {
    fn markup(&self) -> String {
        let markup = match self {
            Self::Plain(text) => html! { (text) },
            Self::Name(text) => html! { span.n { (text) } },
            Self::Text(text) => html! { span.s { (text) } },
            Self::Word(text) => html! { span.w { (text) } },
        };
        markup.into_string()
    }

    /// Its beginning, as plain text.
    fn beginning(&self, bytes_max: usize) -> String {
        let text = match self {
            Self::Plain(text) => text,
            Self::Name(text) | Self::Text(text) | Self::Word(text) => *text,
        };
        let ends = text
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8());
        let end = ends.take_while(|end| *end <= bytes_max).last();
        text.get(..end.unwrap_or_default())
            .unwrap_or_default()
            .to_owned()
    }
}

/// Shows as much of a JSON text as there is room for, in bytes of markup; `whole` is where all of it is.
pub(super) fn json(text: &str, room: usize, whole: &str) -> Markup {
    let pieces = match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => pieces(text),
        Err(_) => vec![Piece::Plain(text.to_owned())],
    };
    let (shown, is_part) = first_part(&pieces, room);
    html! {
        pre.json tabindex="0" { code { (PreEscaped(shown)) } }
        @if is_part {
            p.soft { "Only the beginning of " (text.len()) " bytes is shown. " a href=(whole) { "Show it all as it is" } }
        }
    }
}

/// The markup of what there is room for, and whether that is only a part.
fn first_part(pieces: &[Piece<'_>], room: usize) -> (String, bool) {
    let mut shown = String::new();
    for piece in pieces {
        let markup = piece.markup();
        let left = room.saturating_sub(shown.len());
        if markup.len() > left {
            let beginning = Piece::Plain(piece.beginning(left / ESCAPED_MAX));
            shown.push_str(&beginning.markup());
            return (shown, true);
        }
        shown.push_str(&markup);
    }
    (shown, false)
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

        let page = json(hostile, ROOM, "/").into_string();

        assert!(!page.contains("<script>"), "{page}");
        assert!(
            !json("</pre><script>", ROOM, "/")
                .into_string()
                .contains("<script>")
        );
    }
    #[test]
    fn no_text_takes_more_than_its_room_and_a_part_says_so() {
        let members: Vec<_> = (0..9_999).map(|n| format!("\"{n}\":\"<\"")).collect();
        let many = format!("{{{}}}", members.join(","));
        let long = format!("\"{}\"", "<é>".repeat(9_999));
        for text in [&many, &long, &"\0&é".repeat(9_999)] {
            let page = json(text, 1_000, "/whole").into_string();

            assert!((300..1_300).contains(&page.len()), "{}", page.len());
            assert!(page.contains(r#"<a href="/whole">"#));
        }

        assert!(!json("{}", 2, "/whole").into_string().contains("/whole"));
    }
}
