//! The foundation: a database that is there, migrated and durable, and the key that opens its secrets.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::config::Config;
use crate::config::SetupError;
use crate::config::load::variable;
use crate::domain::secret::Redacted;
use crate::domain::time::Clock;
use crate::store::embedded::{Embedded, EmbeddedSettings, Home, default_data_dir};
use crate::store::installation::{self, MasterKey};
use crate::store::vault::Vault;
use crate::store::{DatabaseSettings, Store, migrate};

/// The embedded installation's master key, in the data directory.
const MASTER_KEY_FILE: &str = "master.key";
/// How often the embedded cluster's server is looked for, and at most after one that could not be started.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// The operator gave it.
    Given(Redacted<String>),
    /// It is kept in this folder, and made there at the first start.
    Kept(PathBuf),
    /// A command that opens no secret runs without.
    Unneeded,
}

/// An open database.
pub struct Foundation {
    pub store: Store,
    /// Migrations that were applied just now.
    pub applied: Vec<String>,
}

impl Foundation {
    /// Opens the database, migrates it, and checks that it keeps what it is given.
    ///
    /// Errors: a database that does not answer, a failed migration, weak durability, a wrong master key.
    pub async fn lay(
        config: &Config,
        url: &str,
        secrets: &Secrets,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let settings = DatabaseSettings {
            url: url.to_owned(),
            connections_max: config.database.connections_max,
            ca_file: config.database.ca_file.clone(),
        };
        let master_key = master_key(secrets)?;
        let mut vault = Vault::new(master_key.expose());
        let old_key = old_master_key(config)?;
        if let Some(old_key) = &old_key {
            vault = vault.replacing(old_key.expose());
        }
        let store = Store::open(&settings, vault).await.context("no database")?;
        let applied = migrate::run(store.for_upkeep().dedicated().await?).await?;
        let mut conn = store.conn().await?;
        let weak = installation::weak_durability(&mut conn).await?;
        if !weak.is_empty() && !config.database.unsafe_durability {
            let message = format!(
                "the database may lose what it has answered for: {} is off. Turn it on, or set \
                 database.unsafe_durability = true to run without the promise.",
                weak.join(", ")
            );
            return Err(SetupError::new(message).into());
        }
        if !matches!(secrets, Secrets::Unneeded) {
            let fits = installation::adopt(&mut conn, store.vault(), clock.now()).await?;
            judge(fits, old_key.is_some())?;
        }
        drop(conn);
        Ok(Self { store, applied })
    }
}

/// Says how the master keys fit; once for each start.
///
/// Errors: something in the database could not be opened.
fn judge(fits: MasterKey, old_given: bool) -> Result<(), SetupError> {
    let message = match fits {
        MasterKey::Adopted | MasterKey::Right => {
            if old_given {
                tracing::warn!(
                    "secrets are sealed with the master key and the old one is not needed; leave it out, or exchange the two if \
                     it is the one to come"
                );
            }
            return Ok(());
        }
        MasterKey::NotYet => {
            tracing::warn!(
                "secrets are sealed with the old master key; when every server has both, run `tidings keys rewrap`"
            );
            return Ok(());
        }
        MasterKey::Halfway => {
            tracing::warn!(
                "some secrets may still be sealed with the old master key; run `tidings keys rewrap` to its end"
            );
            return Ok(());
        }
        MasterKey::OldMissing => {
            "some of this database's secrets are still sealed with the old master key, which is missing or another; set \
             TIDINGS_OLD_MASTER_KEY or TIDINGS_OLD_MASTER_KEY_FILE until `tidings keys rewrap` has ended"
        }
        MasterKey::Replaced => {
            "the master key was replaced: set TIDINGS_MASTER_KEY to the new one, and TIDINGS_OLD_MASTER_KEY to this one \
             until `tidings keys rewrap` has ended"
        }
        MasterKey::Wrong if old_given => {
            "neither the master key nor the old one is the one that this database's secrets are sealed with"
        }
        MasterKey::Wrong => {
            "the master key is not the one that this database's secrets are sealed with; if it is to replace that one, \
             set TIDINGS_OLD_MASTER_KEY to that one too"
        }
    };
    Err(SetupError::new(message))
}

fn master_key(secrets: &Secrets) -> anyhow::Result<Redacted<String>> {
    match secrets {
        Secrets::Given(key) => Ok(key.clone()),
        Secrets::Kept(folder) => kept_master_key(&folder.join(MASTER_KEY_FILE)),
        // Random, so that nothing can be sealed that anybody could open.
        Secrets::Unneeded => Ok(Redacted::new(
            BASE64_STANDARD.encode(rand::random::<[u8; 32]>()),
        )),
    }
}

/// Reads the key, or makes one that only the owner of the file may read.
fn kept_master_key(path: &Path) -> anyhow::Result<Redacted<String>> {
    if !path.exists() {
        let key = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match made {
            Ok(mut file) => {
                file.write_all(key.as_bytes())
                    .and_then(|()| file.sync_all())
                    .context("writing the master key")?;
            }
            // Another process was first; its key counts.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("making {}", path.display())),
        }
    }
    let key = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    if key.trim().is_empty() {
        bail!(
            "{} is empty: the master key is lost, or was never written",
            path.display()
        );
    }
    Ok(Redacted::new(key.trim().to_owned()))
}

/// Which database a configuration means.
pub(super) enum Database {
    /// The operator's, at this URL.
    External(String),
    Embedded(EmbeddedSettings),
}

impl Database {
    pub(super) fn of(config: &Config) -> Self {
        match &config.database.url {
            Some(url) => Self::External(url.expose().clone()),
            None => Self::Embedded(embedded_settings(config)),
        }
    }
}

fn embedded_settings(config: &Config) -> EmbeddedSettings {
    let home = Home {
        home: variable("HOME").map(PathBuf::from),
        xdg_data_home: variable("XDG_DATA_HOME").map(PathBuf::from),
        xdg_runtime_dir: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
        path: variable("PATH"),
    };
    let root = nix::unistd::geteuid().is_root();
    EmbeddedSettings {
        data_dir: config
            .data
            .dir
            .clone()
            .unwrap_or_else(|| default_data_dir(&home, root)),
        bin_dir: config.data.postgres_bin_dir.clone(),
        home,
    }
}

/// The master key of an external database is the operator's to keep.
pub(super) fn given_secrets(config: &Config) -> anyhow::Result<Secrets> {
    if let Some(key) = &config.secrets.master_key {
        return Ok(Secrets::Given(key.clone()));
    }
    let Some(path) = &config.secrets.master_key_file else {
        let message = "a database of your own needs a master key that seals its secrets; set TIDINGS_MASTER_KEY or \
                       TIDINGS_MASTER_KEY_FILE (make one with `openssl rand -base64 32`, and keep it)";
        return Err(SetupError::new(message).into());
    };
    Ok(Secrets::Given(key_in(path)?))
}

/// The master key that is being replaced, if one is.
fn old_master_key(config: &Config) -> anyhow::Result<Option<Redacted<String>>> {
    match (
        &config.secrets.old_master_key,
        &config.secrets.old_master_key_file,
    ) {
        (Some(key), _) => Ok(Some(key.clone())),
        (None, Some(path)) => key_in(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn key_in(path: &Path) -> anyhow::Result<Redacted<String>> {
    let key = fs::read_to_string(path)
        .with_context(|| format!("reading the master key from {}", path.display()))?;
    let key = key.trim();
    if key.len() < 16 {
        return Err(SetupError::new("a master key must have at least 16 bytes").into());
    }
    Ok(Redacted::new(key.to_owned()))
}

/// The embedded installation keeps its key beside its data, unless one was given.
pub(super) fn embedded_secrets(
    config: &Config,
    settings: &EmbeddedSettings,
) -> anyhow::Result<Secrets> {
    let given = config.secrets.master_key.is_some() || config.secrets.master_key_file.is_some();
    if given {
        given_secrets(config)
    } else {
        Ok(Secrets::Kept(settings.data_dir.clone()))
    }
}

/// The embedded cluster, if there is one, and how to reach the database.
pub(super) struct Ground {
    pub(super) embedded: Option<Embedded>,
    pub(super) url: String,
    pub(super) secrets: Secrets,
    /// Where it is, for a person.
    pub(super) described: String,
}

impl Ground {
    /// For the server: the embedded cluster is this process's alone.
    pub(super) async fn for_server(config: &Config) -> anyhow::Result<Self> {
        Self::prepare(config, true).await
    }

    /// For a command: joins the running cluster.
    pub(super) async fn for_command(config: &Config) -> anyhow::Result<Self> {
        Self::prepare(config, false).await
    }

    async fn prepare(config: &Config, exclusive: bool) -> anyhow::Result<Self> {
        let settings = match Database::of(config) {
            Database::External(url) => {
                let given =
                    config.secrets.master_key.is_some() || config.secrets.master_key_file.is_some();
                let secrets = if exclusive || given {
                    given_secrets(config)?
                } else {
                    Secrets::Unneeded
                };
                return Ok(Self {
                    embedded: None,
                    url,
                    secrets,
                    described: "the configured PostgreSQL".to_owned(),
                });
            }
            Database::Embedded(settings) => settings,
        };
        let embedded = match exclusive {
            true => Embedded::start(&settings).await,
            false => Embedded::join(&settings).await,
        };
        let embedded = embedded.map_err(|error| match error.needs_setup() {
            true => anyhow::Error::from(SetupError::new(error.to_string())),
            false => error.into(),
        })?;
        let secrets = embedded_secrets(config, &settings)?;
        let described = format!("PostgreSQL of its own in {}", settings.data_dir.display());
        Ok(Self {
            url: embedded.url().to_owned(),
            embedded: Some(embedded),
            secrets,
            described,
        })
    }

    /// Looks after the embedded cluster: a server that is gone is started again. Never ends.
    pub(super) async fn keep(&self) {
        let Some(embedded) = &self.embedded else {
            return std::future::pending().await;
        };
        let mut wait = LOOK_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            wait = match embedded.revive().await {
                Ok(false) => LOOK_EVERY,
                Ok(true) => {
                    tracing::warn!("the database server was gone; it runs again");
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::error!(error = %error, "the database server is gone and could not be started");
                    (wait * 2).min(LOOK_AGAIN_MAX)
                }
            };
        }
    }

    /// Stops the embedded cluster, unless a command still uses it.
    pub(super) async fn leave(self) -> anyhow::Result<()> {
        if let Some(embedded) = self.embedded {
            embedded.stop().await?;
        }
        Ok(())
    }
}
