//! Values that must not be printed.
//!
//! Invariant: a [`Redacted`] value shows itself nowhere but through [`Redacted::expose`], so every place that
//! reads a secret can be found by that word. Does not encrypt, and does not wipe memory.

use std::fmt;

/// A value that `{:?}` does not show, also inside another value; it has no `Display`.
#[derive(Clone)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Hands out the value; to be called only where it must be used or shown.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_value_is_not_printed_even_inside_another() {
        let password = Redacted::new("hunter2");

        assert_eq!(
            format!("{:?}", Some(("user", password.clone()))),
            r#"Some(("user", [redacted]))"#
        );
        assert_eq!(password.expose(), &"hunter2");
    }
}
