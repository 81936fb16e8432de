//! `tidings audit keys`: the keys that sign an environment's checkpoints.
//!
//! Invariant: what is printed is public; a seed never leaves the database.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::app::{self, App, AppError, audit_keys};
use crate::cli::flags::SettingsFlags;
use crate::cli::{admin, keys, output};
use crate::config::SetupError;
use crate::domain::checkpoint::ListedKey;
use crate::domain::id::EnvironmentId;
use crate::domain::time;

const ROTATE_HELP: &str = "\
From now on the new key and the one before it both sign. Hand the new key to those who
verify, then end the rotation with `tidings audit keys retire`.

Example:
  tidings audit keys rotate";

const RETIRE_HELP: &str = "\
The seed of the older key is deleted: it can never sign again. The key itself stays listed,
so that what it has signed can still be verified.

Example:
  tidings audit keys retire";

#[derive(Subcommand)]
pub(in crate::cli) enum AuditKeys {
    /// List the keys of an environment, the newest first
    List(Target),
    /// Make a new key, which signs beside the one there is
    #[command(after_help = ROTATE_HELP)]
    Rotate(Target),
    /// Let only the newest key sign from now on
    #[command(after_help = RETIRE_HELP)]
    Retire(Target),
}

#[derive(Args)]
pub(in crate::cli) struct Target {
    /// Whose keys [default: the only environment there is]
    #[arg(long, value_name = "ID")]
    environment: Option<EnvironmentId>,
    /// Print a JSON array: {"vkey", "created_at", "retired_at"}
    #[arg(long)]
    json: bool,
}

/// A key as it is printed.
#[derive(Serialize)]
struct KeyLine {
    vkey: String,
    created_at: String,
    retired_at: Option<String>,
}

impl From<ListedKey> for KeyLine {
    fn from(key: ListedKey) -> Self {
        Self {
            vkey: key.verifier,
            created_at: time::to_text(key.created_at),
            retired_at: key.retired_at.map(time::to_text),
        }
    }
}

pub(super) async fn run(command: AuditKeys, settings: &SettingsFlags) -> anyhow::Result<()> {
    let (AuditKeys::List(target) | AuditKeys::Rotate(target) | AuditKeys::Retire(target)) =
        &command;
    let work = async |app: &App| {
        let environment = match target.environment {
            Some(environment) => environment,
            None => keys::only(&app::environments::list(app).await?)?,
        };
        let shown = match &command {
            AuditKeys::List(_) => audit_keys::list(app, environment).await,
            AuditKeys::Rotate(_) => audit_keys::rotate(app, environment, &admin::operator())
                .await
                .map(|made| vec![made]),
            AuditKeys::Retire(_) => audit_keys::retire(app, environment, &admin::operator()).await,
        };
        shown.map_err(told)
    };
    let shown = admin::with_app(settings, work).await?;
    let shown: Vec<_> = shown.into_iter().map(KeyLine::from).collect();
    if target.json {
        output::json(&shown)
    } else {
        print(&shown)
    }
}

/// What must be set first has an exit code of its own.
fn told(error: AppError) -> anyhow::Error {
    if matches!(error, AppError::MasterKeyNeeded) {
        return SetupError::new(error.to_string()).into();
    }
    error.into()
}

fn print(keys: &[KeyLine]) -> anyhow::Result<()> {
    let mut rows = vec![["KEY", "CREATED", "RETIRED"].map(str::to_owned)];
    for key in keys {
        rows.push([
            key.vkey.clone(),
            key.created_at.clone(),
            key.retired_at.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    Ok(output::table(&rows)?)
}
