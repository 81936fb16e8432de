//! The store as the rooms above hold it: connections, the vault, and the endpoints of this moment.

use std::sync::Arc;

use tokio::sync::Notify;

use super::conn::Conn;
use super::endpoint_cache::EndpointCache;
use super::error::StoreError;
use super::handoff::EndpointKey;
use super::pool::{Connections, DatabaseSettings, Loan};
use super::vault::Vault;
use crate::domain::endpoint::Endpoint;

/// Postgres, and what opens its secrets. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    connections: Connections,
    vault: Arc<Vault>,
    endpoints: EndpointCache,
    exports: Arc<Notify>,
    redactions: Arc<Notify>,
}

impl Store {
    /// Opens the pool; `vault` opens what is sealed in it.
    ///
    /// Errors: `Unavailable` when the database does not answer or the settings cannot be used.
    pub async fn open(settings: &DatabaseSettings, vault: Vault) -> Result<Self, StoreError> {
        let connections = Connections::open(settings).await?;
        Ok(Self {
            connections,
            vault: Arc::new(vault),
            endpoints: EndpointCache::default(),
            exports: Arc::default(),
            redactions: Arc::default(),
        })
    }

    /// Borrows a connection; waits a bounded time for one.
    pub async fn conn(&self) -> Result<Loan<'_>, StoreError> {
        self.connections.loan().await
    }

    /// Opens a connection for somebody who keeps it.
    pub async fn dedicated(&self) -> Result<Conn, StoreError> {
        self.connections.dedicated().await
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Says that a committed transaction of this process has left an export to be made.
    pub fn export_waits(&self) {
        self.exports.notify_one();
    }

    /// Waits until this process has left an export to be made; at once, if it has since the last wait.
    pub async fn waiting_export(&self) {
        self.exports.notified().await;
    }

    /// Says that a committed transaction of this process has left a redaction to be done.
    pub fn redaction_waits(&self) {
        self.redactions.notify_one();
    }

    /// Waits until this process has left a redaction to be done; at once, if it has since the last wait.
    pub async fn waiting_redaction(&self) {
        self.redactions.notified().await;
    }

    /// The endpoint as it was less than a second ago; `None` when it does not exist.
    pub async fn current_endpoint(
        &self,
        key: EndpointKey,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        self.endpoints.current(self, key).await
    }

    /// Says that a committed transaction of this process has changed an endpoint.
    pub fn endpoint_changed(&self, key: EndpointKey) {
        self.endpoints.forget(key);
    }
}
