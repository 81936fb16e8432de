//! What earlier commits have taught: fan-out tables and last places, by environment.
//!
//! Invariant: losing it costs a read and nothing else. A table is used only when it is current under the lock, and
//! a place only as the floor from which the last one is looked for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fanout::{Fanout, Fanouts};
use crate::domain::event::Place;
use crate::domain::id::EnvironmentId;
use crate::store::events::EnvironmentLock;
use crate::store::{Conn, StoreError};

/// How many environments are remembered; then all are forgotten, and read again.
const ENVIRONMENTS_MAX: usize = 10_000;

/// Tables and places of environments that were committed to.
#[derive(Default)]
pub(super) struct Memory(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    fanouts: Fanouts,
    places: HashMap<EnvironmentId, Place>,
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the fan-out table that is current under `lock`, or reads it.
    pub(super) async fn fanout(
        &self,
        conn: &Conn,
        lock: &EnvironmentLock,
    ) -> Result<Fanout, StoreError> {
        let remembered = self.entries().fanouts.remove(&lock.environment);
        match remembered {
            Some(fanout) if fanout.is_current(lock) => Ok(fanout),
            Some(_) | None => Fanout::load(conn, lock).await,
        }
    }

    pub(super) fn remember_fanout(&self, environment: EnvironmentId, fanout: Fanout) {
        let mut entries = self.entries();
        if entries.fanouts.len() >= ENVIRONMENTS_MAX {
            entries.fanouts.clear();
        }
        entries.fanouts.insert(environment, fanout);
    }

    /// The last place that this process has committed; the origin when it knows none.
    pub(super) fn place(&self, environment: EnvironmentId) -> Place {
        let place = self.entries().places.get(&environment).copied();
        place.unwrap_or(Place::ORIGIN)
    }

    pub(super) fn remember_place(&self, environment: EnvironmentId, place: Place) {
        let mut entries = self.entries();
        if entries.places.len() >= ENVIRONMENTS_MAX {
            entries.places.clear();
        }
        entries.places.insert(environment, place);
    }
}
