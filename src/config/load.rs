//! Loading: default.toml < file < environment < flags. The only reader of the environment.
//!
//! Invariant: every setting in effect knows the place that set it; a name that looks like a setting and is none is
//! refused. Variables with a single underscore that are not listed here are left alone: container platforms make
//! such names (`TIDINGS_PORT`) out of a service's name.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::fault::{ConfigError, Fault};
use super::model::Config;
use super::settings::{Origin, Settings, Value, read_toml};
use crate::domain::secret::Redacted;

/// `TIDINGS__SECTION__KEY` sets `section.key`.
const PREFIX: &str = "TIDINGS__";
/// Names that others expect, and what they set. Empty: as if not set.
const SPECIAL: [(&str, &str); 8] = [
    ("DATABASE_URL", "database.url"),
    ("TIDINGS_MASTER_KEY", "secrets.master_key"),
    ("TIDINGS_MASTER_KEY_FILE", "secrets.master_key_file"),
    ("TIDINGS_OLD_MASTER_KEY", "secrets.old_master_key"),
    ("TIDINGS_OLD_MASTER_KEY_FILE", "secrets.old_master_key_file"),
    ("TIDINGS_BOOTSTRAP_API_KEY", "bootstrap.api_key"),
    ("TIDINGS_DATA_DIR", "data.dir"),
    ("TIDINGS_LISTEN", "server.listen"),
];
/// Names the configuration file.
const FILE: &str = "TIDINGS_CONFIG";

/// The configuration and where each setting comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub settings: Settings,
}

/// A setting given on the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag, `--listen`.
    pub name: &'static str,
    /// What it sets, `server.listen`.
    pub key: &'static str,
    pub value: Value,
}

/// What a command that talks to a running server takes from the environment.
#[derive(Debug, Clone, Default)]
pub struct ClientVariables {
    /// `TIDINGS_URL`
    pub url: Option<String>,
    /// `TIDINGS_API_KEY`
    pub api_key: Option<Redacted<String>>,
}

/// Loads the configuration from all its places.
///
/// Errors: every wrong key of every place.
pub fn load(file: Option<&Path>, flags: &[FlagSetting]) -> Result<Loaded, ConfigError> {
    load_from(file, std::env::vars_os(), flags)
}

/// [`load`] with the environment handed in.
pub fn load_from(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[FlagSetting],
) -> Result<Loaded, ConfigError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let named = variable_of(&environment, FILE).map(PathBuf::from);
    let mut layers = Layers {
        settings: Settings::defaults(),
        faults: Vec::new(),
    };
    if let Some(path) = file.map(Path::to_owned).or(named) {
        layers.add_file(&path);
    }
    layers.add_environment(&environment);
    for flag in flags {
        layers.set(
            flag.key,
            flag.value.clone(),
            Origin::Flag { name: flag.name },
        );
    }
    let Layers {
        settings,
        mut faults,
    } = layers;
    // Wrong names and wrong values together: one round of corrections is enough.
    match Config::read(&settings) {
        Ok(config) if faults.is_empty() => Ok(Loaded { config, settings }),
        Ok(_) => Err(ConfigError { faults }),
        Err(error) => {
            faults.extend(error.faults);
            Err(ConfigError { faults })
        }
    }
}

/// Reads what the client commands need.
pub fn client_variables() -> ClientVariables {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    ClientVariables {
        url: text("TIDINGS_URL"),
        api_key: text("TIDINGS_API_KEY").map(Redacted::new),
    }
}

/// One variable that is no setting, such as `HOME`; `None` when it is unset or empty.
pub fn variable(name: &str) -> Option<OsString> {
    let environment: Vec<_> = std::env::vars_os().collect();
    variable_of(&environment, name)
}

fn variable_of(environment: &[(OsString, OsString)], name: &str) -> Option<OsString> {
    let found = environment
        .iter()
        .find(|(variable, value)| variable == name && !value.is_empty());
    found.map(|(_, value)| value.clone())
}

struct Layers {
    settings: Settings,
    faults: Vec<Fault>,
}

impl Layers {
    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        if let Err(fault) = self.settings.set(key, value, origin) {
            self.faults.push(fault);
        }
    }

    fn add_file(&mut self, path: &Path) {
        let origin = |line| Origin::File {
            path: path.to_owned(),
            line,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.faults.push(Fault::contradiction(
                    &path.display().to_string(),
                    format!("cannot be read: {error}"),
                ));
                return;
            }
        };
        match read_toml(&text) {
            Ok(entries) => {
                for entry in entries {
                    self.set(&entry.key, entry.value, origin(entry.line));
                }
            }
            Err(faults) => {
                let faults = faults
                    .into_iter()
                    .map(|fault| Fault::new(&fault.key, &origin(fault.line), fault.message));
                self.faults.extend(faults);
            }
        }
    }

    fn add_environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, key) in SPECIAL {
            if let Some(value) = variable_of(environment, name) {
                self.add_variable(name, key, &value);
            }
        }
        // After the special names: who spells out the key means it.
        for (name, value) in environment {
            let name = name.to_string_lossy();
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let key = rest.to_ascii_lowercase().replacen("__", ".", 1);
                self.add_variable(&name, &key, value);
            }
        }
    }

    fn add_variable(&mut self, name: &str, key: &str, value: &OsStr) {
        let origin = Origin::Environment {
            variable: name.to_owned(),
        };
        match value.to_str() {
            Some(text) => self.set(key, Value::One(text.to_owned()), origin),
            None => self.faults.push(Fault::new(key, &origin, "must be UTF-8")),
        }
    }
}

#[cfg(test)]
mod tests;
