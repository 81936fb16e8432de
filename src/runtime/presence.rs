//! Presence: this process is a worker that is alive, and others that are gone are found out.
//!
//! Invariant: the worker's lock is held on a connection of its own for as long as the process sends. When that
//! connection breaks the lock is taken again; meanwhile others may release what this worker holds, and the
//! lease fence keeps the verdicts right.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::id::WorkerId;
use crate::domain::time::Clock;
use crate::store::handoff::Handoff;
use crate::store::{Conn, Store, StoreError, outbox, workers};

/// How often other workers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often in a row a worker's lock must be free before the worker counts as gone: after a restart of the
/// database every lock is free for a moment, until its worker is back.
const LOOKS_TO_BE_GONE: u32 = 3;

/// A registered worker.
pub(super) struct Presence {
    store: Store,
    clock: Clock,
    handoff: Handoff,
    host: String,
    /// Holds the own lock, and is used for nothing else: what goes wrong with others must not cost it.
    own: Option<Conn>,
    /// Looks after the others.
    watch: Option<Conn>,
    /// How often in a row a worker's lock was free.
    free: HashMap<WorkerId, u32>,
    /// The workers there were at the last look.
    known: Vec<WorkerId>,
}

impl Presence {
    /// Registers this process.
    pub(super) async fn begin(
        store: Store,
        clock: Clock,
        handoff: Handoff,
    ) -> Result<Self, StoreError> {
        let host = nix::unistd::gethostname().map_or_else(
            |_| String::new(),
            |name| name.to_string_lossy().into_owned(),
        );
        let mut presence = Self {
            store,
            clock,
            handoff,
            host,
            own: None,
            watch: None,
            free: HashMap::new(),
            known: Vec::new(),
        };
        presence.stay().await?;
        Ok(presence)
    }

    /// Stays present until `stop`, then takes leave.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.stay().await {
                tracing::warn!(error = %error, "this worker's presence is in doubt; its connection is made anew");
            }
            if let Err(error) = self.look().await {
                tracing::warn!(error = %error, "other workers were not looked after");
            }
        }
        if let Err(error) = self.leave().await {
            tracing::debug!(error = %error, "this worker was not signed off; others will find it gone");
        }
    }

    /// Signs this worker off. What it was cut off from is due again: without its row nobody would look for it.
    async fn leave(&mut self) -> Result<(), StoreError> {
        let Some(mut conn) = self.own.take() else {
            return Ok(());
        };
        self.release(&mut conn, self.handoff.worker).await.map(drop)
    }

    /// Makes sure that this worker is registered and its lock is held.
    async fn stay(&mut self) -> Result<(), StoreError> {
        let own = self.handoff.worker;
        if let Some(mut conn) = self.own.take()
            && workers::is_known(&mut conn, own).await?
        {
            self.own = Some(conn);
            return Ok(());
        }
        let mut conn = self.store.dedicated().await?;
        let keys = self.store.vault().fingerprints();
        if !workers::register(&mut conn, own, (&self.host, &keys), self.clock.now()).await? {
            // The connection that broke is still ending on the server; the next look tries again.
            let reason = "this worker's lock is still held";
            return Err(StoreError::Unavailable(reason.to_owned()));
        }
        self.own = Some(conn);
        Ok(())
    }

    /// Releases what workers that are gone have left.
    async fn look(&mut self) -> Result<(), StoreError> {
        let mut conn = match self.watch.take() {
            Some(conn) => conn,
            None => self.store.dedicated().await?,
        };
        let known = workers::all(&mut conn).await?;
        self.free.retain(|worker, _| known.contains(worker));
        if self.known.iter().any(|worker| !known.contains(worker)) {
            // It has signed off, and what it had not sent is due for others.
            self.handoff.wake();
        }
        self.known.clone_from(&known);
        for worker in known {
            if worker == self.handoff.worker {
                continue;
            }
            if !workers::take_lock(&mut conn, worker).await? {
                self.free.remove(&worker);
                continue;
            }
            let looks = self.free.entry(worker).or_insert(0);
            *looks += 1;
            if *looks >= LOOKS_TO_BE_GONE {
                let released = self.release(&mut conn, worker).await?;
                tracing::info!(worker.id = %worker, released, "a worker is gone; its deliveries are due again");
                self.handoff.wake();
            } else {
                workers::give_lock_back(&mut conn, worker).await?;
            }
        }
        self.watch = Some(conn);
        Ok(())
    }

    /// Makes what a worker holds due again, and forgets the worker, whose lock `conn` holds.
    async fn release(&self, conn: &mut Conn, worker: WorkerId) -> Result<usize, StoreError> {
        let mut released = 0;
        for environment in outbox::environments_of(conn, worker).await? {
            let now = self.clock.for_database();
            released += outbox::release_worker(conn, environment, worker, now).await?;
        }
        workers::forget(conn, worker).await?;
        Ok(released)
    }
}
