//! Presence: this process is a worker that is alive, and others that are gone are found out.
//!
//! Invariant: the worker's lock is held on a connection of its own for as long as the process sends. When that
//! connection breaks the lock is taken again; meanwhile others may release what this worker holds, and the
//! lease fence keeps the verdicts right.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::id::WorkerId;
use crate::domain::time::Clock;
use crate::store::handoff::Handoff;
use crate::store::{Conn, Store, StoreError, outbox, workers};

/// How often other workers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A registered worker.
pub(super) struct Presence {
    store: Store,
    clock: Clock,
    handoff: Handoff,
    host: String,
    conn: Option<Conn>,
}

impl Presence {
    /// Registers this process, and releases what workers that are gone have left.
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
            conn: None,
        };
        presence.look().await?;
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
            if let Err(error) = self.look().await {
                tracing::warn!(error = %error, "this worker's presence is in doubt; its connection is made anew");
                self.conn = None;
            }
        }
        if let Err(error) = self.leave().await {
            tracing::debug!(error = %error, "this worker was not signed off; others will find it gone");
        }
    }

    /// Signs this worker off. What it was cut off from is due again: without its row nobody would look for it.
    async fn leave(&mut self) -> Result<(), StoreError> {
        let Some(mut conn) = self.conn.take() else {
            return Ok(());
        };
        self.release(&mut conn, self.handoff.worker).await.map(drop)
    }

    /// Makes sure that this worker is registered, and looks after the others.
    async fn look(&mut self) -> Result<(), StoreError> {
        let own = self.handoff.worker;
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let mut conn = self.store.dedicated().await?;
                let now = self.clock.now();
                if !workers::register(&mut conn, own, &self.host, now).await? {
                    // The connection that broke is still ending on the server; the next look tries again.
                    return Err(StoreError::Unavailable(
                        "this worker's lock is still held".to_owned(),
                    ));
                }
                conn
            }
        };
        for worker in workers::all(&mut conn).await? {
            if worker != own && workers::is_gone(&mut conn, worker).await? {
                let released = self.release(&mut conn, worker).await?;
                tracing::info!(worker.id = %worker, released, "a worker is gone; its deliveries are due again");
                self.handoff.wake();
            }
        }
        self.conn = Some(conn);
        Ok(())
    }

    /// Makes what a worker holds due again, and forgets the worker, whose lock `conn` holds.
    async fn release(&self, conn: &mut Conn, worker: WorkerId) -> Result<usize, StoreError> {
        let mut released = 0;
        for environment in outbox::environments_of(conn, worker).await? {
            released +=
                outbox::release_worker(conn, environment, worker, self.clock.for_database())
                    .await?;
        }
        workers::forget(conn, worker).await?;
        Ok(released)
    }
}
