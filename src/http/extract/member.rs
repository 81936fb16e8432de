//! Members of JSON objects, read one by one, so that everything that is wrong is found at once.
//!
//! Invariant: a wire type's members are [`Member`]s: texts that are known to be JSON and not yet anything else.
//! A [`Reader`] turns each into its type and notes what does not fit, with the member's whole path. Deriving
//! the types themselves would stop at the first fault.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::invalid::{Faults, Invalid};

/// A member that is to be a `T`: absent, null, or some JSON text.
pub(in crate::http) struct Member<'a, T> {
    raw: Option<&'a RawValue>,
    shape: PhantomData<fn() -> T>,
}

impl<T> Default for Member<'_, T> {
    fn default() -> Self {
        Self {
            raw: None,
            shape: PhantomData,
        }
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for Member<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self {
            raw: Some(raw),
            shape: PhantomData,
        })
    }
}

impl<'a, T> Member<'a, T> {
    /// The text; `None` when the member is absent.
    pub(in crate::http) fn text(&self) -> Option<&'a str> {
        self.raw.map(RawValue::get)
    }

    /// The value; `None` when the member is absent or null.
    pub(in crate::http) fn present(&self) -> Option<&'a RawValue> {
        self.raw.filter(|raw| raw.get() != "null")
    }

    pub(in crate::http) fn is_absent(&self) -> bool {
        self.raw.is_none()
    }
}

/// Reads the members of one object and collects what is wrong with them.
pub(in crate::http) struct Reader<'p> {
    path: &'p str,
    faults: Faults,
}

impl<'p> Reader<'p> {
    /// `path` stands before every name: empty, or `events[2].`.
    pub(in crate::http) fn new(path: &'p str) -> Self {
        Self {
            path,
            faults: Faults::default(),
        }
    }

    /// The whole path of a member.
    pub(in crate::http) fn field(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A member that must be there.
    pub(in crate::http) fn required<'a, T: Deserialize<'a>>(
        &mut self,
        name: &str,
        member: &Member<'a, T>,
    ) -> Option<T> {
        if member.present().is_none() {
            let field = self.field(name);
            let message = format!("{field} is required.");
            self.push(Invalid::new(field, "required", message));
        }
        self.optional(name, member)
    }

    /// A member that may be absent or null.
    pub(in crate::http) fn optional<'a, T: Deserialize<'a>>(
        &mut self,
        name: &str,
        member: &Member<'a, T>,
    ) -> Option<T> {
        let raw = member.present()?;
        let field = self.field(name);
        self.take(value(&field, raw, "invalid_type"))
    }

    /// A member of a change: `None` leaves things as they are, `Some(None)` clears them.
    pub(in crate::http) fn change<'a, T: Deserialize<'a>>(
        &mut self,
        name: &str,
        member: &Member<'a, T>,
    ) -> Option<Option<T>> {
        if member.is_absent() {
            None
        } else {
            Some(self.optional(name, member))
        }
    }

    /// Keeps the value, or notes the fault and goes on.
    pub(in crate::http) fn take<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        self.faults.take(result)
    }

    pub(in crate::http) fn push(&mut self, fault: Invalid) {
        self.faults.push(fault);
    }

    pub(in crate::http) fn extend(&mut self, faults: Vec<Invalid>) {
        self.faults.extend(faults);
    }

    /// `Ok` when nothing was noted.
    pub(in crate::http) fn check(self) -> Result<(), Vec<Invalid>> {
        self.faults.check()
    }

    /// Everything that was noted.
    pub(in crate::http) fn into_faults(self) -> Vec<Invalid> {
        self.check().err().unwrap_or_default()
    }
}

/// Reads a value; `field` is its path, and `code` what a fault in it is called.
fn value<'a, T: Deserialize<'a>>(
    field: &str,
    raw: &'a RawValue,
    code: &'static str,
) -> Result<T, Invalid> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|fault| {
        let field = match fault.path().to_string() {
            root if root == "." => field.to_owned(),
            index if index.starts_with('[') || field.is_empty() => format!("{field}{index}"),
            name => format!("{field}.{name}"),
        };
        let reason = reason(fault.inner());
        let message = if field.is_empty() {
            format!("{reason}.")
        } else {
            format!("{field}: {reason}.")
        };
        Invalid::new(field, code, message)
    })
}

/// Reads an object whose members are all [`Member`]s, so that only an unknown or a repeated one can be at fault.
///
/// Looks for the brace itself: an array would pass for an object otherwise.
pub(in crate::http) fn object<'a, T: Deserialize<'a>>(
    field: &str,
    raw: &'a RawValue,
) -> Result<T, Invalid> {
    if raw.get().starts_with('{') {
        return value(field, raw, "unexpected_member");
    }
    Err(Invalid::new(
        field,
        "invalid_type",
        format!("{field} must be a JSON object."),
    ))
}

/// What the JSON library says, without the place: it counts from the member's beginning, not the body's.
fn reason(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Default)]
    struct Sample<'a> {
        #[serde(borrow, default)]
        name: Member<'a, String>,
        #[serde(borrow, default)]
        counts: Member<'a, Vec<u32>>,
        #[serde(borrow, default)]
        note: Member<'a, String>,
    }

    fn sample(text: &str) -> Sample<'_> {
        serde_json::from_str(text).expect("an object")
    }

    #[test]
    fn every_fault_is_found_with_its_path() {
        let sample = sample(r#"{ "counts": [1, -1], "note": {} }"#);
        let mut reader = Reader::new("items[2].");

        reader.required("name", &sample.name);
        reader.optional("counts", &sample.counts);
        reader.optional("note", &sample.note);

        let faults = reader.into_faults();
        let told: Vec<_> = faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.code))
            .collect();
        assert_eq!(
            told,
            [
                ("items[2].name", "required"),
                ("items[2].counts[1]", "invalid_type"),
                ("items[2].note", "invalid_type")
            ]
        );
        assert_eq!(
            faults[2].message,
            "items[2].note: invalid type: map, expected a string."
        );
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let mut reader = Reader::new("");

        assert_eq!(reader.change("note", &sample("{}").note), None);
        assert_eq!(
            reader.change("note", &sample(r#"{ "note": null }"#).note),
            Some(None)
        );
        assert_eq!(
            reader.change("note", &sample(r#"{ "note": "x" }"#).note),
            Some(Some("x".to_owned()))
        );
        assert!(reader.check().is_ok());
    }

    #[test]
    fn an_array_does_not_pass_for_an_object() {
        let raw = RawValue::from_string(r#"["x"]"#.to_owned()).expect("JSON");

        assert!(object::<Sample<'_>>("sample", &raw).is_err());
    }
}
