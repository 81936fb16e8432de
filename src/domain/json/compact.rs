//! The compaction: one pass over the bytes of a text, copying whole runs of what need not change.
//!
//! Invariant: at every step the compact form of `text[..at]` is what was written plus `text[copied..at]`; a run
//! begins and ends at an ASCII byte, so it is never cut inside a character. Nesting costs a stack entry, never
//! a stack frame. Does not know what a payload may mean; an object is as good as a number here.

use super::fault::{JsonFault, JsonFaultKind};
use super::names::{Name, find_duplicate};
use super::string::{Compact, plain_len, read_escape};

/// How much of a name a fault quotes.
const QUOTED_CHARS_MAX: usize = 64;

/// Bounds of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Arrays and objects within each other.
    pub depth_max: usize,
    /// Of the compact form.
    pub bytes_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            depth_max: crate::domain::limits::JSON_DEPTH_MAX,
            bytes_max: 256 * 1024,
        }
    }
}

/// What a text is, at its outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

/// Appends the compact form of `text` to `out` and says what kind of value it is.
///
/// Shape: exactly one value, with white space around it or not. Lone surrogates pass, as escapes.
/// Errors: the text is not RFC 8259, repeats a member name, or exceeds a limit; `out` is then as it was.
pub fn compact(text: &str, limits: JsonLimits, out: &mut String) -> Result<JsonKind, JsonFault> {
    let written_before = out.len();
    out.reserve(text.len().min(limits.bytes_max));
    let mut compactor = Compactor {
        text,
        at: 0,
        copied: 0,
        limits,
        len_max: written_before.saturating_add(limits.bytes_max),
        out,
        open: Vec::new(),
        names: Vec::new(),
    };
    let result = compactor.document();
    if result.is_err() {
        out.truncate(written_before);
    }
    result
}

struct Compactor<'a> {
    text: &'a str,
    /// The next byte of `text` to look at.
    at: usize,
    /// What comes before this byte of `text` is in `out`.
    copied: usize,
    limits: JsonLimits,
    /// `out` must not grow beyond it.
    len_max: usize,
    out: &'a mut String,
    /// The arrays and objects around `at`, outermost first.
    open: Vec<Container>,
    /// The names of all open objects; an object's own are the last ones when it closes.
    names: Vec<Name>,
}

#[derive(Debug, Clone, Copy)]
enum Container {
    Array,
    /// `names_from` is where its names begin.
    Object {
        names_from: usize,
    },
}

/// What may stand at `at`.
enum Next {
    Value,
    /// A separator or the end of the container, or of the text.
    AfterValue,
    Nothing,
}

impl Compactor<'_> {
    fn document(&mut self) -> Result<JsonKind, JsonFault> {
        self.skip_space()?;
        let kind = match self.peek() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b't' | b'f') => JsonKind::Boolean,
            Some(b'n') => JsonKind::Null,
            // Or nothing at all, which `value` refuses.
            Some(_) | None => JsonKind::Number,
        };
        let mut next = Next::Value;
        loop {
            next = match next {
                Next::Value => self.value()?,
                Next::AfterValue => self.after_value()?,
                Next::Nothing => return Ok(kind),
            };
        }
    }

    fn value(&mut self) -> Result<Next, JsonFault> {
        match self.peek() {
            Some(b'{') => {
                self.enter(Container::Object {
                    names_from: self.names.len(),
                })?;
                if self.peek() == Some(b'}') {
                    return self.leave();
                }
                self.member()
            }
            Some(b'[') => {
                self.enter(Container::Array)?;
                if self.peek() == Some(b']') {
                    return self.leave();
                }
                Ok(Next::Value)
            }
            Some(b'"') => self.string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) | None => Err(self.fault(JsonFaultKind::ExpectedValue)),
        }
    }

    fn after_value(&mut self) -> Result<Next, JsonFault> {
        self.skip_space()?;
        match (self.open.last(), self.peek()) {
            (None, None) => {
                self.write_run()?;
                Ok(Next::Nothing)
            }
            (None, Some(_)) => Err(self.fault(JsonFaultKind::TrailingText)),
            (Some(Container::Array), Some(b']')) | (Some(Container::Object { .. }), Some(b'}')) => {
                self.leave()
            }
            (Some(Container::Array), Some(b',')) => {
                self.at += 1;
                self.skip_space()?;
                Ok(Next::Value)
            }
            (Some(Container::Object { .. }), Some(b',')) => {
                self.at += 1;
                self.skip_space()?;
                self.member()
            }
            (Some(Container::Array), _) => Err(self.fault(JsonFaultKind::ExpectedElement)),
            (Some(Container::Object { .. }), _) => Err(self.fault(JsonFaultKind::ExpectedMember)),
        }
    }

    /// Passes the opening bracket.
    fn enter(&mut self, container: Container) -> Result<(), JsonFault> {
        let depth_max = self.limits.depth_max;
        if self.open.len() >= depth_max {
            return Err(self.fault(JsonFaultKind::TooDeep { depth_max }));
        }
        self.open.push(container);
        self.at += 1;
        self.skip_space()
    }

    /// Passes the closing bracket.
    fn leave(&mut self) -> Result<Next, JsonFault> {
        self.at += 1;
        if let Some(Container::Object { names_from }) = self.open.pop() {
            self.check_names(names_from)?;
            self.names.truncate(names_from);
        }
        Ok(Next::AfterValue)
    }

    fn check_names(&mut self, names_from: usize) -> Result<(), JsonFault> {
        if self.names.len() < names_from + 2 {
            return Ok(());
        }
        self.write_run()?;
        let names = self.names.get_mut(names_from..).unwrap_or_default();
        let Some(name) = find_duplicate(names, self.out) else {
            return Ok(());
        };
        let quoted = self.out.get(name.compact.clone()).unwrap_or_default();
        Err(JsonFault {
            kind: JsonFaultKind::DuplicateName {
                name: shorten(quoted),
            },
            offset: name.offset,
        })
    }

    /// Passes a member's name and colon.
    fn member(&mut self) -> Result<Next, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(JsonFaultKind::ExpectedName));
        }
        let (offset, start) = (self.at, self.compact_len());
        self.string()?;
        self.names.push(Name {
            offset,
            compact: start..self.compact_len(),
        });
        self.skip_space()?;
        if self.peek() != Some(b':') {
            return Err(self.fault(JsonFaultKind::ExpectedColon));
        }
        self.at += 1;
        self.skip_space()?;
        Ok(Next::Value)
    }

    fn string(&mut self) -> Result<Next, JsonFault> {
        self.at += 1;
        loop {
            self.at += plain_len(self.rest());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Next::AfterValue);
                }
                Some(b'\\') => self.escape()?,
                Some(_) | None => return Err(self.fault(JsonFaultKind::ControlCharacter)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let Some(escape) = read_escape(self.rest()) else {
            return Err(self.fault(JsonFaultKind::InvalidEscape));
        };
        if escape.compact == Compact::Same {
            self.at += escape.sent_len;
            return Ok(());
        }
        self.write_run()?;
        match escape.compact {
            Compact::Same => {}
            Compact::Short(letter) => self.out.extend(['\\', letter]),
            Compact::Plain(character) => self.out.push(character),
            Compact::Unit(unit) => {
                let digits = [12, 8, 4, 0].map(|shift| u32::from(unit >> shift & 0xF));
                self.out.push_str("\\u");
                self.out.extend(
                    digits
                        .iter()
                        .filter_map(|&digit| char::from_digit(digit, 16)),
                );
            }
        }
        if self.out.len() > self.len_max {
            return Err(self.too_large(self.at));
        }
        self.at += escape.sent_len;
        self.copied = self.at;
        Ok(())
    }

    /// Source: RFC 8259, section 6.
    fn number(&mut self) -> Result<Next, JsonFault> {
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        Ok(Next::AfterValue)
    }

    /// Passes one digit or more.
    fn digits(&mut self) -> Result<(), JsonFault> {
        if !self.take(b"0123456789") {
            return Err(self.fault(JsonFaultKind::InvalidNumber));
        }
        while self.take(b"0123456789") {}
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<Next, JsonFault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.fault(JsonFaultKind::ExpectedValue));
        }
        self.at += word.len();
        Ok(Next::AfterValue)
    }

    /// Passes white space, leaving it out of the compact form.
    fn skip_space(&mut self) -> Result<(), JsonFault> {
        let is_space = |byte: Option<u8>| matches!(byte, Some(b' ' | b'\t' | b'\n' | b'\r'));
        if !is_space(self.peek()) {
            return Ok(());
        }
        self.write_run()?;
        while is_space(self.peek()) {
            self.at += 1;
        }
        self.copied = self.at;
        Ok(())
    }

    /// Writes what was passed and not yet written.
    fn write_run(&mut self) -> Result<(), JsonFault> {
        let room = self.len_max.saturating_sub(self.out.len());
        if self.at - self.copied > room {
            return Err(self.too_large(self.copied + room));
        }
        let run = self
            .text
            .get(self.copied..self.at)
            .expect("a run begins and ends at an ASCII byte");
        self.out.push_str(run);
        self.copied = self.at;
        Ok(())
    }

    /// The length of `out` once what was passed is written.
    fn compact_len(&self) -> usize {
        self.out.len() + (self.at - self.copied)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Passes one byte if it is one of `bytes`.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let taken = self.peek().is_some_and(|byte| bytes.contains(&byte));
        self.at += usize::from(taken);
        taken
    }

    fn fault(&self, kind: JsonFaultKind) -> JsonFault {
        let kind = if self.at < self.text.len() {
            kind
        } else {
            JsonFaultKind::UnexpectedEnd
        };
        JsonFault {
            kind,
            offset: self.at,
        }
    }

    fn too_large(&self, offset: usize) -> JsonFault {
        JsonFault {
            kind: JsonFaultKind::TooLarge {
                bytes_max: self.limits.bytes_max,
            },
            offset,
        }
    }
}

fn shorten(name: &str) -> String {
    match name.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}
