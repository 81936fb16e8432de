//! What holds for every text; serde_json is the judge of what is JSON.
//!
//! Invariant: the generated texts include valid, nearly valid and arbitrary ones, in every spelling that
//! RFC 8259 allows. Does not repeat the cases of `tests`.

use std::collections::HashSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::string::plain_len;
use super::*;

fn compacted(text: &str) -> Result<String, JsonFault> {
    let mut out = String::new();
    compact(text, JsonLimits::default(), &mut out).map(|_| out)
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::vec((any_text(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c/\"\\\\\u{0}-\u{1f}é🚀\u{7f}\u{2028}]{0,20}"
    ]
}

/// Writes JSON as carelessly as RFC 8259 allows; `choices` decides how, each byte once and then again.
struct Untidy<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    out: String,
}

impl<'a> Untidy<'a> {
    fn new(choices: &'a [u8]) -> Self {
        Self {
            choices: choices.iter().cycle(),
            out: String::new(),
        }
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(*self.choices.next().unwrap()) % from.len()]
    }

    fn token(&mut self, token: &str) {
        let space = self.choose(&["", " ", "\n\t", "", "\r  "]);
        self.out.push_str(space);
        self.out.push_str(token);
    }

    fn text(&mut self, text: &str) {
        self.token("\"");
        for character in text.chars() {
            let short = match character {
                '"' | '\\' | '/' => Some(character),
                '\u{8}' => Some('b'),
                '\t' => Some('t'),
                '\n' => Some('n'),
                '\u{c}' => Some('f'),
                '\r' => Some('r'),
                _ => None,
            };
            let may_be_plain = character >= ' ' && !matches!(character, '"' | '\\');
            match (self.choose(&[0, 1, 2, 3]), short) {
                (0 | 1, Some(letter)) => self.out.extend(['\\', letter]),
                (0 | 1, None) if may_be_plain => self.out.push(character),
                (choice, _) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let upper = choice == 2;
                        let _ = if upper {
                            write!(self.out, "\\u{unit:04X}")
                        } else {
                            write!(self.out, "\\u{unit:04x}")
                        };
                    }
                }
            }
        }
        self.out.push('"');
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.token(&value.to_string()),
            Value::String(text) => self.text(text),
            Value::Array(elements) => {
                self.token("[");
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.token(",");
                    }
                    self.value(element);
                }
                self.token("]");
            }
            Value::Object(members) => {
                self.token("{");
                for (index, (name, member)) in members.iter().enumerate() {
                    if index > 0 {
                        self.token(",");
                    }
                    self.text(name);
                    self.token(":");
                    self.value(member);
                }
                self.token("}");
            }
        }
        self.token("");
    }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..64)
}

/// Texts that are JSON, nearly JSON, made of JSON's bytes, or anything.
fn any_sent() -> impl Strategy<Value = String> {
    let untidy = (any_value(), choices()).prop_map(|(value, choices)| {
        let mut untidy = Untidy::new(&choices);
        untidy.value(&value);
        untidy.out
    });
    let broken = (
        any_value(),
        any::<proptest::sample::Index>(),
        0..3_usize,
        r#"[\[\]{}:,"\\0-9eE.+\- udD8a]{0,3}"#,
    )
        .prop_map(|(value, at, removed, added)| {
            let mut characters: Vec<char> = value.to_string().chars().collect();
            let at = at.index(characters.len());
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, added.chars());
            characters.into_iter().collect()
        });
    let soup = proptest::collection::vec(
        proptest::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "\"b\":", "\\", "\\u", "\\ud83d",
            "\\ude80", "0", "1", "-", ".5", "e", "E+", "true", "null", "fals", " ", "\n", "é",
        ]),
        0..12,
    )
    .prop_map(|tokens| tokens.concat());
    prop_oneof![untidy, broken, soup, any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_spelling_of_a_value_has_the_same_compact_form(value in any_value(), choices in choices()) {
        let mut untidy = Untidy::new(&choices);
        untidy.value(&value);

        let compact = compacted(&untidy.out).unwrap();

        prop_assert_eq!(&compact, &value.to_string());
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(parsed(&compact), parsed(&untidy.out));
    }

    #[test]
    fn a_compact_form_is_its_own_compact_form(sent in any_sent()) {
        if let Ok(once) = compacted(&sent) {
            prop_assert_eq!(compacted(&once), Ok(once));
        }
    }

    /// `IgnoredAny` judges the grammar alone: it takes lone surrogates, numbers beyond f64 and any depth.
    #[test]
    fn a_text_is_accepted_exactly_when_it_is_json(sent in any_sent()) {
        let is_json = serde_json::from_str::<IgnoredAny>(&sent).is_ok();
        match compacted(&sent) {
            Ok(compact) => {
                prop_assert!(is_json);
                prop_assert!(serde_json::from_str::<IgnoredAny>(&compact).is_ok());
            }
            Err(JsonFault { kind: JsonFaultKind::DuplicateName { .. }, .. }) => {}
            Err(fault) => {
                prop_assert!(!is_json, "{}", fault);
                prop_assert!(fault.offset <= sent.len());
            }
        }
    }

    /// Neighbours of the special bytes, where arithmetic on eight bytes at once could carry over.
    #[test]
    fn plain_text_ends_at_the_first_special_byte(
        bytes in proptest::collection::vec(proptest::sample::select(b" !#[]~\x7f\x80\xa2\xdc\xff\"\\\x00\x1f".to_vec()), 0..40),
        plain in 0..20_usize,
    ) {
        let bytes = [&vec![b'#'; plain][..], &bytes].concat();
        let naive = bytes.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));

        prop_assert_eq!(plain_len(&bytes), naive.unwrap_or(bytes.len()));
    }

    #[test]
    fn a_repeated_name_is_found_however_it_is_spelled(
        names in proptest::collection::vec("[ab/é\n]{0,2}", 1..40),
        choices in choices(),
    ) {
        let mut untidy = Untidy::new(&choices);
        let mut seen = HashSet::new();
        let mut repeated_at = None;
        for (index, name) in names.iter().enumerate() {
            untidy.token(if index == 0 { "{" } else { "," });
            let before = untidy.out.len();
            untidy.text(name);
            if !seen.insert(name) && repeated_at.is_none() {
                repeated_at = untidy.out[before..].find('"').map(|at| before + at);
            }
            untidy.out.push_str(":{}");
        }
        untidy.token("}");

        prop_assert_eq!(compacted(&untidy.out).err().map(|fault| fault.offset), repeated_at);
    }
}
