//! The store as the rooms above hold it: connections, the vault, and the endpoints of this moment.

use std::sync::Arc;

use tokio::sync::Notify;

use super::conn::Conn;
use super::endpoint_cache::EndpointCache;
use super::endpoints;
use super::error::StoreError;
use super::handoff::EndpointKey;
use super::pool::{Connections, DatabaseSettings, Loan};
use super::vault::Vault;
use crate::domain::endpoint::Endpoint;

/// Postgres, and what opens its secrets. Cheap to clone.
///
/// Shape: as it was opened, for recording and delivering; see [`Store::for_requests`] and [`Store::for_upkeep`].
#[derive(Clone)]
pub struct Store {
    connections: Connections,
    pools: Arc<Pools>,
    vault: Arc<Vault>,
    endpoints: EndpointCache,
    exports: Arc<Notify>,
    redactions: Arc<Notify>,
    replays: Arc<Notify>,
}

struct Pools {
    record: Connections,
    request: Connections,
    upkeep: Connections,
}

impl Store {
    /// Opens the pools; `vault` opens what is sealed in it.
    ///
    /// Errors: `Unavailable` when the database does not answer or the settings cannot be used.
    pub async fn open(settings: &DatabaseSettings, vault: Vault) -> Result<Self, StoreError> {
        let [record, request, upkeep] = Connections::open(settings).await?;
        Ok(Self {
            connections: record.clone(),
            pools: Arc::new(Pools {
                record,
                request,
                upkeep,
            }),
            vault: Arc::new(vault),
            endpoints: EndpointCache::default(),
            exports: Arc::default(),
            redactions: Arc::default(),
            replays: Arc::default(),
        })
    }

    /// The same store for what callers ask for: its connections are others than those that record and deliver.
    #[must_use]
    pub fn for_requests(&self) -> Self {
        Self {
            connections: self.pools.request.clone(),
            ..self.clone()
        }
    }

    /// The same store for what happens from time to time.
    #[must_use]
    pub fn for_upkeep(&self) -> Self {
        Self {
            connections: self.pools.upkeep.clone(),
            ..self.clone()
        }
    }

    /// Borrows a connection for what a request needs before it can be recorded: slow requests hold none of these.
    pub async fn express(&self) -> Result<Loan<'_>, StoreError> {
        self.pools.record.loan().await
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

    /// Says that a committed transaction of this process has left a replay to be made.
    pub fn replay_waits(&self) {
        self.replays.notify_one();
    }

    /// Waits until this process has left a replay to be made; at once, if it has since the last wait.
    pub async fn waiting_replay(&self) {
        self.replays.notified().await;
    }

    /// The endpoint as it was less than a second ago; `None` when it does not exist.
    pub async fn current_endpoint(
        &self,
        key: EndpointKey,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        let read = async {
            let mut conn = self.conn().await?;
            endpoints::find(&mut conn, self.vault(), key.0, key.1).await
        };
        self.endpoints.current(key, read).await
    }

    /// Says that a committed transaction of this process has changed an endpoint.
    pub fn endpoint_changed(&self, key: EndpointKey) {
        self.endpoints.forget(key);
    }
}
