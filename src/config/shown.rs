//! The settings in effect, as far as the portal shows them.
//!
//! Invariant: nothing of the machine and its database is here, and no secret: whoever administers an environment need
//! not be who runs the server.

use super::mask::Secrecy;
use super::settings::{Origin, Settings};

/// Sections that say how the platform behaves towards its callers and receivers.
const SECTIONS: [&str; 7] = [
    "server", "portal", "events", "audit", "ingest", "delivery", "egress",
];

/// A setting in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// `section.name`
    pub key: String,
    pub value: String,
    /// Nobody has set it.
    pub is_default: bool,
}

impl Settings {
    /// Those that may be shown, by name.
    pub(super) fn shown(&self) -> Vec<ShownSetting> {
        let settings = self.iter().filter(|(key, _)| {
            let section = key.split_once('.').map(|(section, _)| section);
            section.is_some_and(|section| SECTIONS.contains(&section))
        });
        let shown = settings.map(|(key, setting)| ShownSetting {
            key: key.to_owned(),
            value: Secrecy::of(key).mask(&setting.value.to_string()),
            is_default: setting.origin == Origin::Default,
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Value;
    use super::*;

    #[test]
    fn what_was_set_is_told_from_what_is_so_anyway_and_the_machine_is_left_out() {
        let mut settings = Settings::defaults();
        let flag = || Origin::Flag { name: "--test" };
        for (key, value) in [
            ("events.retention", "30d"),
            ("server.public_url", "https://u:hunter2@t.example.com"),
            ("database.url", "postgres://u:hunter2@h/db"),
            ("secrets.master_key", "hunter2hunter2hunter2"),
            ("bootstrap.api_key", "sk_hunter2hunter2"),
        ] {
            settings
                .set(key, Value::One(value.to_owned()), flag())
                .unwrap();
        }

        let shown = settings.shown();

        let of = |key| shown.iter().find(|setting| setting.key == key);
        let retention = of("events.retention").unwrap();
        assert_eq!(
            (retention.value.as_str(), retention.is_default),
            ("30d", false)
        );
        assert!(of("delivery.timeout").unwrap().is_default);
        assert!(
            shown
                .iter()
                .all(|setting| !setting.value.contains("hunter2"))
        );
        for section in ["database.", "secrets.", "bootstrap.", "data.", "log."] {
            assert!(
                shown
                    .iter()
                    .all(|setting| !setting.key.starts_with(section)),
                "{section}"
            );
        }
    }
}
