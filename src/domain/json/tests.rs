//! What the compaction promises, case by case.
//!
//! Invariant: every expected text in the first table is what `JSON.stringify(JSON.parse(sent))` gives in
//! JavaScript. Does not measure speed, and leaves what holds for every text to `laws`.

use serde_json::value::RawValue;

use super::*;

fn compacted(text: &str) -> Result<String, JsonFault> {
    compacted_within(text, JsonLimits::default())
}

fn compacted_within(text: &str, limits: JsonLimits) -> Result<String, JsonFault> {
    let mut out = String::new();
    compact(text, limits, &mut out).map(|_| out)
}

fn message(text: &str) -> String {
    compacted(text).unwrap_err().to_string()
}

#[test]
fn a_text_is_written_as_javascript_writes_it() {
    for (sent, expected) in [
        (
            " { \"a\" :\t1 ,\r\n \"b\" : [ ] , \"c\" : { } } ",
            r#"{"a":1,"b":[],"c":{}}"#,
        ),
        ("[ 1 , 2 ]", "[1,2]"),
        ("\n null ", "null"),
        (r#"" a  b ""#, r#"" a  b ""#),
        (
            r#""\" \\ \/ \b \f \n \r \t""#,
            r#""\" \\ / \b \f \n \r \t""#,
        ),
        (
            r#""\u0022\u005C\u002f\u0008\u000C\u000a\u000D\u0009""#,
            r#""\"\\/\b\f\n\r\t""#,
        ),
        (
            r#""\u0000\u0001\u000B\u001F""#,
            r#""\u0000\u0001\u000b\u001f""#,
        ),
        (
            r#""\u007f\u0080\u00e9\u2028\u2029\uFEFF""#,
            "\"\u{7f}\u{80}é\u{2028}\u{2029}\u{feff}\"",
        ),
        (r#""\uD83D\uDE80 🚀""#, r#""🚀 🚀""#),
        (r#""\uD83D""#, r#""\ud83d""#),
        (r#""\uDE80\uD83D""#, r#""\ude80\ud83d""#),
        (r#""\uD83D\uD83D\uDE80\uDE80""#, r#""\ud83d🚀\ude80""#),
        (r#""\uD83Dx\uDE80\uD83D\n""#, r#""\ud83dx\ude80\ud83d\n""#),
        (r#"{"\u0061\/":"\u0041"}"#, r#"{"a/":"A"}"#),
    ] {
        assert_eq!(compacted(sent).as_deref(), Ok(expected), "{sent}");
    }
}

#[test]
fn numbers_and_member_order_stay_as_sent() {
    let sent =
        r#"{ "b":1.0, "a":1.10, "10":-0, "9":1E+2, "c":12345678901234567890123, "d":1e999 }"#;

    assert_eq!(compacted(sent).unwrap(), sent.replace(' ', ""));
}

#[test]
fn a_fault_says_what_is_wrong_and_where() {
    for (sent, expected) in [
        ("", "unexpected end of the text at byte 0"),
        (" [1,", "unexpected end of the text at byte 4"),
        ("{\"a\"", "unexpected end of the text at byte 4"),
        ("\"é", "unexpected end of the text at byte 3"),
        ("1e", "unexpected end of the text at byte 2"),
        ("[1,]", "expected a value at byte 3"),
        ("\u{feff}1", "expected a value at byte 0"),
        ("[nul]", "expected a value at byte 1"),
        ("{a:1}", "expected a member name in double quotes at byte 1"),
        (
            "{\"a\":1,}",
            "expected a member name in double quotes at byte 7",
        ),
        ("{\"a\" 1}", "expected ':' after the member name at byte 5"),
        ("{\"a\":1]", "expected ',' or '}' at byte 6"),
        ("[1}", "expected ',' or ']' at byte 2"),
        ("[01]", "expected ',' or ']' at byte 2"),
        ("1 2", "unexpected text after the value at byte 2"),
        ("1\u{a0}", "unexpected text after the value at byte 1"),
        ("[-]", "invalid number at byte 2"),
        ("[1.]", "invalid number at byte 3"),
        ("[1e+]", "invalid number at byte 4"),
        (r#""\x""#, "invalid escape in a string at byte 1"),
        (r#""a\u12G4""#, "invalid escape in a string at byte 2"),
        (r#""\u+123""#, "invalid escape in a string at byte 1"),
        (
            "\"a\nb\"",
            "unescaped control character in a string at byte 2",
        ),
        (
            r#"{"a":1,"b":{"a":2},"a":3}"#,
            r#"duplicate member name "a" at byte 19"#,
        ),
        (
            r#"{"é\/":1, "\u00E9/":2}"#,
            r#"duplicate member name "é/" at byte 11"#,
        ),
        (
            r#"{"\ud800":1,"\uD800":2}"#,
            r#"duplicate member name "\ud800" at byte 12"#,
        ),
    ] {
        assert_eq!(message(sent), expected, "{sent}");
    }
}

#[test]
fn a_long_duplicate_name_is_quoted_in_part() {
    let name = "é".repeat(1000);

    let message = message(&format!("{{\"{name}\":1,\"{name}\":2}}"));

    assert_eq!(
        message,
        format!("duplicate member name \"{}… at byte 2006", "é".repeat(63))
    );
}

#[test]
fn of_several_repetitions_the_first_is_named() {
    assert_eq!(
        message(r#"{"b":1,"a":2,"c":3,"a":4,"b":5,"a":6}"#),
        r#"duplicate member name "a" at byte 19"#
    );
}

#[test]
fn the_same_name_may_stand_in_different_objects() {
    let sent = r#"{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":3}}"#;

    assert_eq!(compacted(sent).unwrap(), sent);
}

#[test]
fn a_large_object_is_checked_to_its_last_name() {
    let members: Vec<String> = (0..20_000).map(|n| format!("\"{n}\":0")).collect();
    let unique = format!("{{{}}}", members.join(","));
    let repeated = format!("{{{},\"7\":0}}", members.join(","));

    assert_eq!(compacted(&unique).unwrap(), unique);
    assert_eq!(
        message(&repeated),
        format!("duplicate member name \"7\" at byte {}", unique.len())
    );
}

#[test]
fn nesting_up_to_the_limit_passes_and_one_more_is_refused() {
    let limits = JsonLimits {
        depth_max: 3,
        ..JsonLimits::default()
    };

    assert_eq!(
        compacted_within(r#"[{"a":[]},[[]]]"#, limits).unwrap(),
        r#"[{"a":[]},[[]]]"#
    );
    let fault = compacted_within(r#"[{"a":[{}]}]"#, limits).unwrap_err();
    assert_eq!(fault.to_string(), "more than 3 levels of nesting at byte 7");
}

#[test]
fn the_deepest_text_costs_no_stack() {
    let text = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let limits = JsonLimits {
        depth_max: usize::MAX,
        bytes_max: usize::MAX,
    };

    assert_eq!(compacted_within(&text, limits).unwrap(), text);
    assert_eq!(message(&text), "more than 64 levels of nesting at byte 64");
}

#[test]
fn the_limit_of_bytes_counts_the_compact_form() {
    for (sent, bytes) in [
        ("[ 1, 2 ]", 5),
        (r#""\u0041\u0042""#, 4),
        (r#""\u0001""#, 8),
        (r#""\ud83d\ude80""#, 6),
    ] {
        let within = |bytes_max| {
            compacted_within(
                sent,
                JsonLimits {
                    bytes_max,
                    ..JsonLimits::default()
                },
            )
        };

        assert_eq!(within(bytes).unwrap().len(), bytes);
        assert_eq!(
            within(bytes - 1).unwrap_err().kind,
            JsonFaultKind::TooLarge {
                bytes_max: bytes - 1
            }
        );
    }
}

#[test]
fn the_limit_of_bytes_is_noticed_at_the_byte_that_exceeds_it() {
    for (sent, bytes_max, offset) in [("[1, 2, 3]", 3, 4), (r#""\u0041\u0042\u0043""#, 2, 7)] {
        let limits = JsonLimits {
            bytes_max,
            ..JsonLimits::default()
        };

        assert_eq!(compacted_within(sent, limits).unwrap_err().offset, offset);
    }
}

#[test]
fn the_compact_form_is_appended_and_a_fault_leaves_the_buffer_alone() {
    let raw: Box<RawValue> = serde_json::from_str(r#"{ "a" : 1 }"#).unwrap();
    let limits = JsonLimits {
        bytes_max: 7,
        ..JsonLimits::default()
    };
    let mut out = String::from("data=");

    assert_eq!(compact(raw.get(), limits, &mut out), Ok(JsonKind::Object));
    assert!(compact("[1, 2, 3, 4]", limits, &mut out).is_err());
    assert!(compact(r#"["\u0041" }"#, limits, &mut out).is_err());

    assert_eq!(out, r#"data={"a":1}"#);
}

#[test]
fn the_kind_of_the_outermost_value_is_known() {
    use JsonKind::{Array, Boolean, Null, Number, Object, String as Text};
    for (sent, kind) in [
        (" {}", Object),
        ("[]", Array),
        ("\"\"", Text),
        ("-1", Number),
        ("true", Boolean),
        ("false", Boolean),
        ("null", Null),
    ] {
        assert_eq!(
            compact(sent, JsonLimits::default(), &mut String::new()),
            Ok(kind)
        );
    }
}
