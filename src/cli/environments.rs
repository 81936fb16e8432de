//! `tidings environments`: the isolated spaces that own everything.

use clap::Subcommand;
use serde::Serialize;

use super::flags::SettingsFlags;
use super::{admin, output};
use crate::app::{self, App};
use crate::domain::environment::Environment;
use crate::domain::id::EnvironmentId;
use crate::domain::time;

#[derive(Subcommand)]
pub(super) enum Environments {
    /// Create an environment
    #[command(after_help = "Example:\n  tidings environments create staging")]
    Create {
        /// What people call it, such as staging
        name: String,
        /// Print JSON: {"id", "name", "created_at"}
        #[arg(long)]
        json: bool,
    },
    /// List all environments
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
}

/// An environment as it is printed.
#[derive(Serialize)]
struct EnvironmentLine {
    id: EnvironmentId,
    name: String,
    created_at: String,
}

impl From<Environment> for EnvironmentLine {
    fn from(environment: Environment) -> Self {
        Self {
            id: environment.id,
            name: environment.name,
            created_at: time::to_text(environment.created_at),
        }
    }
}

pub(super) async fn run(command: Environments, settings: &SettingsFlags) -> anyhow::Result<()> {
    match command {
        Environments::Create { name, json } => {
            let create = async |app: &App| {
                Ok(app::environments::create(app, &name, &admin::operator()).await?)
            };
            let created = EnvironmentLine::from(admin::with_app(settings, create).await?);
            if json {
                return output::json(&created);
            }
            Ok(output::line(&created.id.to_string())?)
        }
        Environments::List { json } => {
            let list = async |app: &App| Ok(app::environments::list(app).await?);
            let all = admin::with_app(settings, list)
                .await?
                .into_iter()
                .map(EnvironmentLine::from);
            let all: Vec<_> = all.collect();
            if json {
                output::json(&all)
            } else {
                print(&all)
            }
        }
    }
}

fn print(environments: &[EnvironmentLine]) -> anyhow::Result<()> {
    let mut rows = vec![["ID", "NAME", "CREATED"].map(str::to_owned)];
    for environment in environments {
        rows.push([
            environment.id.to_string(),
            environment.name.clone(),
            environment.created_at.clone(),
        ]);
    }
    Ok(output::table(&rows)?)
}
