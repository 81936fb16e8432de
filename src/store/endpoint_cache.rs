//! Endpoints as they are now, for the moment before signing.
//!
//! Invariant: what is answered was read from the database less than a second ago, or after the last change
//! that this process made. Does not hold endpoints for the fan-out: that table is versioned by the lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::StoreError;
use super::handoff::EndpointKey;
use crate::domain::endpoint::Endpoint;

/// How old an answer may be.
const FRESH_FOR: Duration = Duration::from_millis(900);
/// How many endpoints are remembered; then all are forgotten, and read again.
const ENTRIES_MAX: usize = 20_000;

/// Endpoints that were read a moment ago.
#[derive(Clone, Default)]
pub struct EndpointCache {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<EndpointKey, (Instant, Option<Arc<Endpoint>>)>,
    /// Counts the changes of this process: a read that began before a change must not be remembered after it.
    changes: u64,
}

impl EndpointCache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets an endpoint that this process has changed.
    pub fn forget(&self, key: EndpointKey) {
        let mut inner = self.inner();
        inner.changes += 1;
        inner.entries.remove(&key);
    }

    /// The endpoint as it is now; `None` when it does not exist.
    ///
    /// Shape: `read` asks the database, if what is remembered is too old.
    pub async fn current(
        &self,
        key: EndpointKey,
        read: impl Future<Output = Result<Option<Endpoint>, StoreError>>,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        let changes = {
            let inner = self.inner();
            if let Some((read_at, endpoint)) = inner.entries.get(&key)
                && read_at.elapsed() < FRESH_FOR
            {
                return Ok(endpoint.clone());
            }
            inner.changes
        };
        let read_at = Instant::now();
        let endpoint = read.await?.map(Arc::new);
        let mut inner = self.inner();
        if inner.changes == changes {
            if inner.entries.len() >= ENTRIES_MAX {
                inner.entries.clear();
            }
            inner.entries.insert(key, (read_at, endpoint.clone()));
        }
        Ok(endpoint)
    }
}
