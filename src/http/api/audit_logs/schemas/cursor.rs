//! Where lists of actions and of versions go on: opaque to callers, with the prefixes that SDKs have seen.

use std::fmt;
use std::str::FromStr;

use crate::domain::event::EventType;

/// A version of an action's schema, `als_3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VersionCursor(pub(super) i32);

/// An action, `ala_user.signed_in`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActionCursor(pub(super) String);

/// A text that is no cursor of the list.
#[derive(Debug)]
pub(super) struct NoCursor;

impl FromStr for VersionCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let number = text
            .strip_prefix("als_")
            .and_then(|number| number.parse().ok());
        number
            .filter(|&version| version > 0)
            .map(Self)
            .ok_or(NoCursor)
    }
}

impl fmt::Display for VersionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "als_{}", self.0)
    }
}

impl FromStr for ActionCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let name = text.strip_prefix("ala_").ok_or(NoCursor)?;
        match EventType::parse("after", name) {
            Ok(action) => Ok(Self(action.to_string())),
            Err(_) => Err(NoCursor),
        }
    }
}

impl fmt::Display for ActionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ala_{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_from_its_text() {
        let action = ActionCursor("user.signed_in".to_owned());

        assert_eq!(
            VersionCursor(3).to_string().parse::<VersionCursor>().ok(),
            Some(VersionCursor(3))
        );
        assert_eq!(
            action.to_string().parse::<ActionCursor>().ok(),
            Some(action)
        );
        for bad in ["", "3", "als_", "als_0", "als_-1", "als_x", "ala_1"] {
            assert!(bad.parse::<VersionCursor>().is_err(), "{bad}");
        }
        for bad in ["", "user", "ala_", "ala_a b", "als_1"] {
            assert!(bad.parse::<ActionCursor>().is_err(), "{bad}");
        }
    }
}
