//! The flags that are settings: taken by every command, before or after its name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::load::FlagSetting;
use crate::config::settings::Value;
use crate::config::{ConfigError, Loaded, load};

#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct SettingsFlags {
    /// Read settings from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Serve on this address [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Keep the embedded Postgres and the master key in this folder
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Use this Postgres instead of the embedded one
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,

    /// Also deliver to this private network; repeat it or separate with commas
    #[arg(long, global = true, value_name = "CIDR", value_delimiter = ',')]
    egress_allow: Vec<String>,
}

impl SettingsFlags {
    /// Loads the configuration with these flags on top.
    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        load(self.config.as_deref(), &self.given())
    }

    /// The configuration file that a flag names.
    pub(super) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The flags that were given.
    pub(super) fn given(&self) -> Vec<FlagSetting> {
        let path = |path: &PathBuf| path.display().to_string();
        let texts = [
            (
                "--listen",
                "server.listen",
                self.listen.as_ref().map(ToString::to_string),
            ),
            ("--data-dir", "data.dir", self.data_dir.as_ref().map(path)),
            ("--database-url", "database.url", self.database_url.clone()),
        ];
        let mut given = Vec::new();
        for (name, key, text) in texts {
            if let Some(text) = text {
                given.push(FlagSetting {
                    name,
                    key,
                    value: Value::One(text),
                });
            }
        }
        if !self.egress_allow.is_empty() {
            let value = Value::Many(self.egress_allow.clone());
            given.push(FlagSetting {
                name: "--egress-allow",
                key: "egress.allow",
                value,
            });
        }
        given
    }
}
