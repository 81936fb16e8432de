//! The inside of a JSON string: where plain text ends, and what an escape means and how it is written.
//!
//! Invariant: every escape has one compact spelling, the one of JavaScript's `JSON.stringify`: the short form
//! if there is one, `\u00xx` for other control characters, a lone surrogate as `\udxxx`, all else the character.
//! Does not move through a text or write to one; that is `compact`.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES << 7;

/// Counts the leading bytes that stand for themselves: up to the first quote, backslash or control character.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            // In little-endian order the lowest set bit belongs to the first special byte.
            return len + first_byte(special);
        }
        len += word.len();
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest
        .iter()
        .position(|&byte| is_special(byte))
        .unwrap_or(rest.len())
}

fn first_byte(mask: u64) -> usize {
    usize::try_from(mask.trailing_zeros() / 8).expect("a word has eight bytes")
}

/// Sets the high bit of each byte that is special, eight at a time.
///
/// Shape: a borrow may mark bytes *above* a special one too; the lowest mark is always right.
/// Source: "Determine if a word has a byte less than n", Bit Twiddling Hacks.
fn special_bytes(word: u64) -> u64 {
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let quotes = zero_bytes(word ^ (ONES * u64::from(b'"')));
    let backslashes = zero_bytes(word ^ (ONES * u64::from(b'\\')));
    (controls | quotes | backslashes) & HIGH_BITS
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// One escape sequence of a sent text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escape {
    /// Bytes of the sequence as sent.
    pub(super) sent_len: usize,
    pub(super) compact: Compact,
}

/// How an escape sequence is written in compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compact {
    /// As it was sent.
    Same,
    /// A backslash and this letter.
    Short(char),
    /// The character itself.
    Plain(char),
    /// `\u` and four lower-case digits; a control character or a lone surrogate.
    Unit(u16),
}

/// Reads the escape sequence that `bytes` begins with; `None` when it is not one.
pub(super) fn read_escape(bytes: &[u8]) -> Option<Escape> {
    match bytes {
        [b'\\', b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(Escape {
            sent_len: 2,
            compact: Compact::Same,
        }),
        [b'\\', b'/', ..] => Some(Escape {
            sent_len: 2,
            compact: Compact::Plain('/'),
        }),
        [b'\\', b'u', digits @ ..] => {
            let unit = read_unit(digits)?;
            let low = digits
                .get(4..)
                .and_then(|after| after.strip_prefix(b"\\u"))
                .and_then(read_unit);
            Some(match low.and_then(|low| join(unit, low)) {
                Some(character) => Escape {
                    sent_len: 12,
                    compact: Compact::Plain(character),
                },
                None => Escape {
                    sent_len: 6,
                    compact: spell(unit),
                },
            })
        }
        _ => None,
    }
}

/// Joins the two halves of a surrogate pair; `None` when they are not one.
fn join(high: u16, low: u16) -> Option<char> {
    let mut characters = char::decode_utf16([high, low]);
    match (characters.next(), characters.next()) {
        (Some(Ok(character)), None) => Some(character),
        _ => None,
    }
}

fn spell(unit: u16) -> Compact {
    match char::from_u32(u32::from(unit)) {
        Some('\u{8}') => Compact::Short('b'),
        Some('\t') => Compact::Short('t'),
        Some('\n') => Compact::Short('n'),
        Some('\u{c}') => Compact::Short('f'),
        Some('\r') => Compact::Short('r'),
        Some(character @ ('"' | '\\')) => Compact::Short(character),
        Some(character @ '\u{20}'..) => Compact::Plain(character),
        Some(_) | None => Compact::Unit(unit),
    }
}

fn read_unit(digits: &[u8]) -> Option<u16> {
    let mut unit = 0;
    for &digit in digits.first_chunk::<4>()? {
        let value = char::from(digit).to_digit(16)?;
        unit = unit << 4 | u16::try_from(value).ok()?;
    }
    Some(unit)
}
