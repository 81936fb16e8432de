//! Finds a member name that an object holds twice.
//!
//! Invariant: names are compared in compact form, where equal names have equal bytes; nothing is unescaped.
//! Sorting keeps an object of many names near linear, and unlike a hash table it needs no random seed against
//! chosen collisions. Does not look into nested objects; each is checked when it closes.

use std::cmp::Ordering;
use std::ops::Range;

/// A member name: its place in the sent text, and in the compact one.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// The byte of the sent text at which its opening quote stands.
    pub(super) offset: usize,
    /// Its bytes in the compact text, quotes included.
    pub(super) compact: Range<usize>,
}

impl Name {
    fn bytes<'a>(&self, compact: &'a str) -> &'a [u8] {
        compact
            .as_bytes()
            .get(self.compact.clone())
            .expect("an object is written out before its names are compared")
    }
}

/// Finds the first name of the sent text that repeats an earlier one.
///
/// Shape: reorders `names`. Linear-ish: all comparisons together read at most (bytes of the names × log of
/// their number).
pub(super) fn find_duplicate<'a>(names: &'a mut [Name], compact: &str) -> Option<&'a Name> {
    // Ties by offset, so that of two equal neighbours the second is the repetition.
    names.sort_unstable_by(|a, b| order(a, b, compact).then_with(|| a.offset.cmp(&b.offset)));
    names
        .windows(2)
        .filter_map(|pair| match pair {
            [earlier, later] if order(earlier, later, compact).is_eq() => Some(later),
            _ => None,
        })
        .min_by_key(|name| name.offset)
}

/// Any total order will do; lengths first is the cheapest.
fn order(a: &Name, b: &Name, compact: &str) -> Ordering {
    let (a, b) = (a.bytes(compact), b.bytes(compact));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
