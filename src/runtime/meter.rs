//! The meter: what a database holds and has written, read beside a running server.
//!
//! Invariant: one connection, which writes nothing; it starts no cluster and applies no migration.

use super::commands::database_url;
use super::platform;
use crate::config::Config;
use crate::store::footprint::{self, Footprint};
use crate::store::vault::Vault;
use crate::store::{Conn, DatabaseSettings, Store};

/// A connection to a server's database.
pub struct Meter(Conn);

impl Meter {
    /// Connects to the database that a server with this configuration uses.
    ///
    /// Errors: an embedded cluster that is not running; a database that does not answer.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        platform::install_crypto();
        let settings = DatabaseSettings {
            url: database_url(config).await?,
            connections_max: 1,
            ca_file: config.database.ca_file.clone(),
        };
        // Nothing is unsealed here, so any key will do.
        let store = Store::open(&settings, Vault::new("")).await?;
        Ok(Self(store.dedicated().await?))
    }

    /// The database now.
    pub async fn read(&mut self) -> anyhow::Result<Footprint> {
        Ok(footprint::read(&mut self.0).await?)
    }
}
