//! Invalid input: why a value was refused, for the person who sent it.
//!
//! Parsers return *all* that is wrong, not the first; [`Faults`] collects. Does not know about HTTP.

use std::borrow::Cow;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Invalid {
    /// Where: a member's path such as `events[2].data`.
    pub field: String,
    /// Which rule: one word that programs can match, such as `required`.
    pub code: &'static str,
    /// The same for people.
    pub message: Cow<'static, str>,
}

impl Invalid {
    pub fn new(
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}

/// Collects faults while a whole input is read.
#[derive(Debug, Default)]
pub struct Faults(Vec<Invalid>);

impl Faults {
    /// Keeps the value, or notes the fault and goes on.
    pub fn take<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.0.push(invalid)).ok()
    }

    pub fn push(&mut self, invalid: Invalid) {
        self.0.push(invalid);
    }

    pub fn extend(&mut self, faults: Vec<Invalid>) {
        self.0.extend(faults);
    }

    /// `Ok` when nothing was noted.
    pub fn check(self) -> Result<(), Vec<Invalid>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}
