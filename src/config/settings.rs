//! Settings as text: each known key with its value and the place that set it, before anything is understood.
//!
//! Invariant: exactly the keys of `default.toml` exist; any other is a fault that names the nearest known one.
//! Does not know what a value means; that is `model`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::de::{DeArray, DeTable, DeValue};

use super::fault::Fault;
use super::mask::Secrecy;

/// The defaults, and the documentation of every key.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Edits that turn a mistyped key into a known one, at most, to be suggested.
const SUGGESTION_EDITS_MAX: usize = 4;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    One(String),
    Many(Vec<String>),
}

impl Value {
    /// The elements: of a list, or of a text separated by commas.
    pub fn elements(&self) -> Vec<&str> {
        match self {
            Self::One(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect(),
            Self::Many(texts) => texts.iter().map(String::as_str).collect(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(text) => f.write_str(text),
            Self::Many(texts) => f.write_str(&texts.join(",")),
        }
    }
}

/// The place that set a value; later variants win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment { variable: String },
    Flag { name: &'static str },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

/// A value and who set it. No `Debug`: only with its key is it known whether the value may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    pub value: Value,
    pub origin: Origin,
}

/// Every known key, `section.name`, with its setting in effect.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// The compiled-in defaults.
    pub fn defaults() -> Self {
        let entries = read_toml(DEFAULT_TOML)
            .expect("default.toml is TOML of sections and keys, held by a test");
        let setting = |entry: Entry| {
            (
                entry.key,
                Setting {
                    value: entry.value,
                    origin: Origin::Default,
                },
            )
        };
        Self(entries.into_iter().map(setting).collect())
    }

    /// Sets a key over what was there.
    ///
    /// Errors: the key is unknown; the fault suggests the nearest known one.
    pub fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), Fault> {
        match self.0.get_mut(key) {
            Some(setting) => {
                *setting = Setting { value, origin };
                Ok(())
            }
            None => Err(Fault::new(key, &origin, self.unknown(key))),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// Shows another value for a key, as if the same place had set it.
    pub fn replace(&mut self, key: &str, value: Value) {
        if let Some(setting) = self.0.get_mut(key) {
            setting.value = value;
        }
    }

    /// All keys with their settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    fn unknown(&self, key: &str) -> String {
        let distance = |known: &str| edits_between(key, known);
        match self.0.keys().map(|known| (distance(known), known)).min() {
            Some((edits, known)) if edits <= SUGGESTION_EDITS_MAX => {
                format!("there is no such key; did you mean {known}?")
            }
            Some(_) | None => {
                "there is no such key; `tidings config print` lists them all".to_owned()
            }
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, setting): (&str, &Setting)| {
            let value = Secrecy::of(key).mask(&setting.value.to_string());
            (key.to_owned(), format!("{value} ({})", setting.origin))
        };
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

/// One key of a TOML text.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// Why a TOML text gives no entries: the key or nothing, the line, the reason.
#[derive(Debug)]
pub(super) struct TomlFault {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads a text of `[section]` tables with plain values and lists of them.
pub(super) fn read_toml(text: &str) -> Result<Vec<Entry>, Vec<TomlFault>> {
    let line_of = |offset: usize| {
        text.bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
            + 1
    };
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        vec![TomlFault {
            key: "not TOML".to_owned(),
            line,
            message: error.message().to_owned(),
        }]
    })?;
    let mut entries = Vec::new();
    let mut faults = Vec::new();
    for (section, content) in table.get_ref() {
        let DeValue::Table(keys) = content.get_ref() else {
            let line = line_of(section.span().start);
            let message = "stands outside any [section]".to_owned();
            faults.push(TomlFault {
                key: section.get_ref().to_string(),
                line,
                message,
            });
            continue;
        };
        for (name, value) in keys {
            let key = format!("{}.{}", section.get_ref(), name.get_ref());
            let line = line_of(name.span().start);
            match plain(value.get_ref()) {
                Some(value) => entries.push(Entry { key, value, line }),
                None => faults.push(TomlFault {
                    key,
                    line,
                    message: "takes a plain value or a list of them".to_owned(),
                }),
            }
        }
    }
    if faults.is_empty() {
        Ok(entries)
    } else {
        Err(faults)
    }
}

fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::Array(elements) => list(elements),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => scalar(value).map(Value::One),
        DeValue::Table(_) => None,
    }
}

fn list(elements: &DeArray<'_>) -> Option<Value> {
    elements
        .iter()
        .map(|element| scalar(element.get_ref()))
        .collect::<Option<_>>()
        .map(Value::Many)
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The edits (insert, delete, replace) between two short texts.
fn edits_between(left: &str, right: &str) -> usize {
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.bytes().enumerate() {
        let mut diagonal = row;
        let mut before = row + 1;
        for (cost, r) in costs.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(l != r);
            diagonal = *cost;
            before = replaced.min(before + 1).min(diagonal + 1);
            *cost = before;
        }
        if let Some(first) = costs.first_mut() {
            *first = row + 1;
        }
    }
    costs.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        Value::One(text.to_owned())
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let mut settings = Settings::defaults();
        let origin = Origin::Environment {
            variable: "TIDINGS__SERVER__LISTN".to_owned(),
        };

        let fault = settings
            .set("server.listn", one("x"), origin.clone())
            .unwrap_err();
        let far = settings
            .set("nothing.alike_at_all", one("x"), origin)
            .unwrap_err();

        assert_eq!(
            fault.to_string(),
            "server.listn (environment TIDINGS__SERVER__LISTN): there is no such key; did you mean server.listen?"
        );
        assert!(!far.to_string().contains("did you mean"), "{far}");
    }

    #[test]
    fn a_list_comes_from_a_list_or_from_commas() {
        assert_eq!(one("5s, 1m,").elements(), ["5s", "1m"]);
        assert_eq!(one("").elements(), [""; 0]);
        assert_eq!(
            Value::Many(vec!["5s".to_owned(), "1m".to_owned()]).elements(),
            ["5s", "1m"]
        );
    }

    #[test]
    fn a_text_that_is_no_toml_is_refused_with_its_line() {
        let faults = read_toml("[server]\nlisten = = 3\n").unwrap_err();
        assert_eq!(faults[0].line, 2);
    }

    #[test]
    fn keys_outside_sections_and_tables_inside_them_are_refused_together() {
        let faults = read_toml("listen = 1\n[server]\nx = { y = 1 }\n").unwrap_err();
        let keys: Vec<_> = faults
            .iter()
            .map(|fault| (fault.key.as_str(), fault.line))
            .collect();

        assert_eq!(keys, [("listen", 1), ("server.x", 3)]);
    }

    #[test]
    fn edits_are_counted() {
        for (left, right, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("listn", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits_between(left, right), edits, "{left} {right}");
        }
    }
}
