//! `tidings config`: the settings in effect, where each comes from, and whether they can be used.
//!
//! Invariant: without `--reveal` no secret and no password is printed.

use clap::Subcommand;
use serde_json::{Map, Number, Value as Json};

use super::flags::SettingsFlags;
use super::output;
use crate::config::mask::Secrecy;
use crate::config::settings::{Settings, Value};
use crate::config::{Loaded, docs};
use crate::runtime;

const PRINT_EXAMPLES: &str = "\
database.url is the URL really used: unless one is set, that of the embedded
Postgres.

Examples:
  tidings config print
  psql \"$(tidings config print --json --reveal | jq -r .database.url)\"";

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting with its value and the place it comes from
    #[command(after_help = PRINT_EXAMPLES)]
    Print {
        /// Print JSON: {"server": {"listen": …}, …}
        #[arg(long)]
        json: bool,
        /// Print secrets and passwords too
        #[arg(long)]
        reveal: bool,
    },
    /// Check the settings without starting anything
    Check,
    /// Print docs/CONFIGURATION.md
    #[command(hide = true)]
    Docs,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Masked,
    Everything,
}

impl Show {
    fn text(self, key: &str, value: &str) -> String {
        match self {
            Self::Masked => Secrecy::of(key).mask(value),
            Self::Everything => value.to_owned(),
        }
    }
}

pub(super) async fn run(command: ConfigCommand, settings: &SettingsFlags) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Print { json, reveal } => {
            let show = if reveal {
                Show::Everything
            } else {
                Show::Masked
            };
            let settings = in_effect(settings.load()?).await;
            if json {
                output::json(&nested(&settings, show))
            } else {
                Ok(output::line(&listed(&settings, show))?)
            }
        }
        ConfigCommand::Check => {
            settings.load()?.config.check_serving()?;
            Ok(output::line("the configuration can be used")?)
        }
        ConfigCommand::Docs => Ok(output::line(docs::markdown().trim_end())?),
    }
}

/// The settings with the database that is really used.
async fn in_effect(loaded: Loaded) -> Settings {
    let Loaded {
        config,
        mut settings,
    } = loaded;
    match runtime::database_url(&config).await {
        Ok(url) => settings.replace("database.url", Value::One(url)),
        // Before the first start there is no embedded cluster; the other settings can be shown all the same.
        Err(error) => eprintln!("tidings: database.url is not known yet: {error:#}"),
    }
    settings
}

/// As a TOML text with the origins beside it.
fn listed(settings: &Settings, show: Show) -> String {
    let defaults = Settings::defaults();
    let mut sections: Vec<(&str, Vec<[String; 2]>)> = Vec::new();
    for (key, setting) in settings.iter() {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let value = typed(key, &defaults, &setting.value, show);
        let row = [format!("{name} = {value}"), format!("# {}", setting.origin)];
        match sections.last_mut() {
            Some((last, rows)) if *last == section => rows.push(row),
            Some(_) | None => sections.push((section, vec![row])),
        }
    }
    let blocks = sections
        .iter()
        .map(|(section, rows)| format!("[{section}]\n{}", output::columns(rows)));
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// As one JSON object of sections.
fn nested(settings: &Settings, show: Show) -> Json {
    let defaults = Settings::defaults();
    let mut sections = Map::new();
    for (key, setting) in settings.iter() {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let section = sections
            .entry(section)
            .or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(names) = section {
            names.insert(name.to_owned(), typed(key, &defaults, &setting.value, show));
        }
    }
    Json::Object(sections)
}

/// A value in the type of its default: list, truth, number or text. Its text is valid TOML too.
fn typed(key: &str, defaults: &Settings, value: &Value, show: Show) -> Json {
    let text = |text: &str| Json::String(show.text(key, text));
    match (defaults.get(key).map(|setting| &setting.value), value) {
        (Some(Value::Many(_)), value) => value.elements().into_iter().map(text).collect(),
        (Some(Value::One(default)), Value::One(one)) if default.parse::<bool>().is_ok() => {
            one.parse().map_or_else(|_| text(one), Json::Bool)
        }
        (Some(Value::One(default)), Value::One(one)) if default.parse::<u64>().is_ok() => {
            one.parse().map_or_else(
                |_| text(one),
                |number: u64| Json::Number(Number::from(number)),
            )
        }
        (_, Value::One(one)) => text(one),
        (_, many @ Value::Many(_)) => text(&many.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::load::load_from;

    fn settings() -> Settings {
        let variables = [
            ("DATABASE_URL", "postgres://u:hunter2@h/db"),
            ("TIDINGS_MASTER_KEY", "hunter2hunter2hunter2"),
            ("TIDINGS__EGRESS__ALLOW", "10.0.0.0/8,::1"),
            ("TIDINGS__SERVER__WORKERS", "2"),
        ];
        load_from(
            None,
            variables.map(|(name, value)| (name.into(), value.into())),
            &[],
        )
        .unwrap()
        .settings
    }

    #[test]
    fn json_is_nested_by_section_and_typed() {
        let json = nested(&settings(), Show::Everything);

        assert_eq!(json["database"]["url"], "postgres://u:hunter2@h/db");
        assert_eq!(
            json["egress"],
            json!({ "allow": ["10.0.0.0/8", "::1"], "https_only": false })
        );
        assert_eq!(json["server"]["workers"], 2);
        assert_eq!(json["delivery"]["retry_delays"][6], "60h");
    }

    #[test]
    fn secrets_are_masked_unless_they_are_wanted() {
        let settings = settings();

        assert_eq!(
            nested(&settings, Show::Masked)["database"]["url"],
            "postgres://u:********@h/db"
        );
        assert!(
            !nested(&settings, Show::Masked)
                .to_string()
                .contains("hunter2")
        );
        assert!(!listed(&settings, Show::Masked).contains("hunter2"));
        assert_eq!(
            nested(&settings, Show::Everything)["secrets"]["master_key"],
            "hunter2hunter2hunter2"
        );
    }

    #[test]
    fn the_list_is_toml_that_reads_back_as_the_same_configuration() {
        let settings = settings();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), listed(&settings, Show::Everything)).unwrap();

        let again = load_from(Some(file.path()), [], &[]).unwrap().settings;

        assert_eq!(
            nested(&again, Show::Everything),
            nested(&settings, Show::Everything)
        );
        assert!(listed(&settings, Show::Masked).contains("# environment DATABASE_URL"));
    }
}
