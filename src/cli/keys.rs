//! `tidings keys`: API keys, which open one environment each, and the master key, which seals secrets.
//!
//! Invariant: an API key's text is printed once, by the command that creates it; a master key's never.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::flags::SettingsFlags;
use super::{admin, output};
use crate::app::{self, App, AppError, master_keys};
use crate::config::SetupError;
use crate::domain::access::{ApiKey, Permission};
use crate::domain::environment::Environment;
use crate::domain::id::{ApiKeyId, EnvironmentId};
use crate::domain::time;

const CREATE_EXAMPLES: &str = "\
Permissions: events:write, events:read, endpoints:write, endpoints:read,
secrets:read, audit:write, audit:read, and admin, which is all of them.

Examples:
  tidings keys create
  tidings keys create --name billing --permissions events:write,events:read
  export TIDINGS_API_KEY=$(tidings keys create --json | jq -r .key)";

const REWRAP_HELP: &str = "\
To replace the master key: start every server anew with the new key as TIDINGS_MASTER_KEY and
the one before it as TIDINGS_OLD_MASTER_KEY (or the _FILE of either); run this command with
the same two; then start every server anew with the new key alone. Servers go on meanwhile.
A rewrap that was broken off is run again.

Example:
  TIDINGS_MASTER_KEY=$NEW TIDINGS_OLD_MASTER_KEY=$OLD tidings keys rewrap";

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Create a key and print it, once
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List the keys of all environments, without their text
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Seal what the old master key has sealed with the new one
    #[command(after_help = REWRAP_HELP)]
    Rewrap {
        /// Print JSON: {"webhook_endpoints", "audit_log_keys", "environments", "unreadable"}
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; it stops working within a second
    #[command(after_help = "Example:\n  tidings keys revoke key_01ARZ3NDEKTSV4RRFFQ69G5FAV")]
    Revoke {
        /// The key's id, key_…
        id: ApiKeyId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// The environment that the key opens [default: the only one there is]
    #[arg(long, value_name = "ID")]
    environment: Option<EnvironmentId>,
    /// What the key may do, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = permission, default_value = "admin")]
    permissions: Vec<Permission>,
    /// What people call it
    #[arg(long, default_value = "created by the command line")]
    name: String,
    /// Print JSON: {"id", "key", "environment_id", "permissions", "name", …}
    #[arg(long)]
    json: bool,
}

/// A key as it is printed.
#[derive(Serialize)]
struct KeyLine {
    id: ApiKeyId,
    /// Only where it was just created.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    hint: String,
    environment_id: EnvironmentId,
    permissions: Vec<&'static str>,
    name: String,
    created_at: String,
    revoked_at: Option<String>,
}

impl KeyLine {
    fn new(key: ApiKey, text: Option<String>) -> Self {
        Self {
            id: key.id,
            key: text,
            hint: key.hint,
            environment_id: key.environment,
            permissions: key
                .permissions
                .iter()
                .map(|permission| permission.as_str())
                .collect(),
            name: key.name,
            created_at: time::to_text(key.created_at),
            revoked_at: key.revoked_at.map(time::to_text),
        }
    }
}

pub(super) async fn run(command: Keys, settings: &SettingsFlags) -> anyhow::Result<()> {
    match command {
        Keys::Create(new) => create(new, settings).await,
        Keys::List { json } => {
            let list = async |app: &App| Ok(app::api_keys::list(app).await?);
            let all = admin::with_app(settings, list)
                .await?
                .into_iter()
                .map(|key| KeyLine::new(key, None));
            let all: Vec<_> = all.collect();
            if json {
                output::json(&all)
            } else {
                print(&all)
            }
        }
        Keys::Rewrap { json } => rewrap(settings, json).await,
        Keys::Revoke { id, json } => {
            let revoke =
                async |app: &App| Ok(app::api_keys::revoke(app, id, &admin::operator()).await?);
            let revoked = KeyLine::new(admin::with_app(settings, revoke).await?, None);
            if json {
                output::json(&revoked)
            } else {
                Ok(output::line(&format!("revoked {id}"))?)
            }
        }
    }
}

async fn create(new: Create, settings: &SettingsFlags) -> anyhow::Result<()> {
    let Create {
        environment,
        permissions,
        name,
        json,
    } = new;
    let create = async |app: &App| {
        let environment = match environment {
            Some(environment) => environment,
            None => only(&app::environments::list(app).await?)?,
        };
        Ok(app::api_keys::create(app, environment, &name, permissions, &admin::operator()).await?)
    };
    let (key, text) = admin::with_app(settings, create).await?;
    let line = KeyLine::new(key, Some(text.expose().to_owned()));
    if json {
        output::json(&line)
    } else {
        Ok(output::line(text.expose())?)
    }
}

/// What a rewrap has done, as it is printed.
#[derive(Serialize)]
struct RewrapLine {
    webhook_endpoints: u64,
    audit_log_keys: u64,
    environments: u64,
    unreadable: Vec<String>,
}

async fn rewrap(settings: &SettingsFlags, json: bool) -> anyhow::Result<()> {
    let rewrap = async |app: &App| {
        let rewrapped = master_keys::rewrap(app, &admin::operator()).await;
        rewrapped.map_err(|error| {
            if matches!(error, AppError::MasterKeysNeeded) {
                // What must be set first has an exit code of its own.
                return SetupError::new(error.to_string()).into();
            }
            anyhow::Error::from(error)
        })
    };
    let done = admin::with_app(settings, rewrap).await?;
    if done.already && !json {
        return Ok(output::line(
            "nothing to do: secrets are sealed with TIDINGS_MASTER_KEY already; if that one is to be replaced, exchange the two",
        )?);
    }
    let line = RewrapLine {
        webhook_endpoints: done.endpoints,
        audit_log_keys: done.audit_log_keys,
        environments: done.environments,
        unreadable: done.unreadable,
    };
    if json {
        return output::json(&line);
    }
    for what in &line.unreadable {
        output::line(&format!(
            "opens under neither master key, and was left: {what}"
        ))?;
    }
    Ok(output::line(&format!(
        "sealed with the new master key: {} webhook endpoints, {} audit log keys; the old one is not needed any more",
        line.webhook_endpoints, line.audit_log_keys
    ))?)
}

/// The environment that is meant when none is named.
pub(super) fn only(environments: &[Environment]) -> anyhow::Result<EnvironmentId> {
    match environments {
        [only] => Ok(only.id),
        [] => anyhow::bail!(
            "there is no environment yet; make one with `tidings environments create NAME`"
        ),
        several => {
            let names = several.iter().map(|one| {
                format!(
                    "\n  --environment {}   ({})",
                    one.id,
                    output::printable(&one.name)
                )
            });
            anyhow::bail!(
                "there are several environments; choose one:{}",
                names.collect::<String>()
            )
        }
    }
}

fn print(keys: &[KeyLine]) -> anyhow::Result<()> {
    let mut rows = vec![
        [
            "ID",
            "KEY",
            "ENVIRONMENT",
            "PERMISSIONS",
            "NAME",
            "CREATED",
            "REVOKED",
        ]
        .map(str::to_owned),
    ];
    for key in keys {
        rows.push([
            key.id.to_string(),
            key.hint.clone(),
            key.environment_id.to_string(),
            key.permissions.join(","),
            key.name.clone(),
            key.created_at.clone(),
            key.revoked_at.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    Ok(output::table(&rows)?)
}

fn permission(text: &str) -> Result<Permission, String> {
    text.trim()
        .parse()
        .map_err(|invalid: crate::domain::invalid::Invalid| invalid.message.into_owned())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn environment(number: u64, name: &str) -> Environment {
        Environment {
            id: EnvironmentId::at(number, 0),
            name: name.to_owned(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_only_environment_is_meant_when_none_is_named() {
        let (one, two) = (environment(1, "production"), environment(2, "staging"));

        let several = only(&[one.clone(), two.clone()]).unwrap_err().to_string();

        assert_eq!(only(std::slice::from_ref(&one)).unwrap(), one.id);
        assert!(only(&[]).is_err());
        for part in [
            one.id.to_string(),
            two.id.to_string(),
            "production".to_owned(),
            "staging".to_owned(),
        ] {
            assert!(several.contains(&part), "{part} is not in {several}");
        }
    }
}
