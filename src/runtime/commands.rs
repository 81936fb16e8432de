//! What short commands need: the database, beside a running server or without one.

use std::sync::Arc;

use super::foundation::{Database, Foundation, Ground};
use super::platform;
use crate::app::App;
use crate::config::Config;
use crate::domain::time::Clock;
use crate::egress::Policy;
use crate::store::embedded::running_url;
use crate::{telemetry, upkeep};

/// The app of a command that ends by itself: it sends nothing.
pub struct Admin {
    app: App,
    ground: Ground,
    applied: Vec<String>,
}

/// Joins the running cluster, or opens the configured database; applies what migrations are missing.
pub async fn connect(config: &Config) -> anyhow::Result<Admin> {
    telemetry::start(&config.log)?;
    platform::install_crypto();
    let ground = Ground::for_command(config).await?;
    let laid = async {
        let foundation =
            Foundation::lay(config, &ground.url, &ground.secrets, &Clock::System).await?;
        // What is recorded before its week is there keeps the week from being made.
        upkeep::create_partitions(&foundation.store, &Clock::System).await?;
        Ok(foundation)
    };
    match laid.await {
        Ok(foundation) => {
            let policy = Arc::new(Policy::new(
                config.egress.allow.clone(),
                config.egress.https_only,
            ));
            let applied = foundation.applied.clone();
            Ok(Admin {
                app: platform::idle_app(config, foundation.store, policy),
                ground,
                applied,
            })
        }
        Err(error) => {
            ground.leave().await?;
            Err(error)
        }
    }
}

/// The URL of the database that a server with this configuration uses; starts nothing.
///
/// Errors: an embedded cluster that is not running, and so has no URL yet.
pub async fn database_url(config: &Config) -> anyhow::Result<String> {
    match Database::of(config) {
        Database::External(url) => Ok(url),
        Database::Embedded(settings) => running_url(&settings).ok_or_else(|| {
            let folder = settings.data_dir.display();
            anyhow::anyhow!(
                "the embedded PostgreSQL in {folder} is not running; start the server first"
            )
        }),
    }
}

impl Admin {
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Migrations that were applied by connecting.
    pub fn applied(&self) -> &[String] {
        &self.applied
    }

    /// Leaves the database; a cluster that nobody else uses is stopped.
    pub async fn close(self) -> anyhow::Result<()> {
        drop(self.app);
        self.ground.leave().await
    }
}
