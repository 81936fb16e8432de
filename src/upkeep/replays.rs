//! Replays, made in the background on every server.
//!
//! Invariant: the deliveries of a part and the place that it reaches are one transaction under the environment's lock;
//! so a job that is broken off goes on where it was, on whichever server, and makes no delivery twice. Replays take
//! turns, one of each environment. The rate holds by the time at which the next part may be made, which is kept with
//! the place. What is made is due like any other delivery; sending it is dispatch's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JOBS_EVERY;
use super::put_off::PutOff;
use crate::domain::endpoint::Endpoint;
use crate::domain::id::{DeliveryId, EnvironmentId, ReplayId};
use crate::domain::replay::{ReplayFailure, ReplayState, bite, rest};
use crate::domain::time::Clock;
use crate::store::handoff::{EndpointKey, Handoff};
use crate::store::outbox::NewDelivery;
use crate::store::replay_candidates::{self, Look, Search};
use crate::store::replays::{self, ReplayRow};
use crate::store::{Conn, Store, StoreError, endpoints, events, installation, outbox};

/// How often it looks while a replay is under way.
const POLL_AT_WORK: Duration = Duration::from_millis(100);
/// How long a server waits after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Replays that take turns, one of each environment.
const TURNS: i64 = 16;

/// Makes replays until `stop`.
pub async fn run(store: Store, clock: Clock, handoff: Handoff, stop: CancellationToken) {
    loop {
        let work = async {
            let wait = match round(&store, &clock, &handoff).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(error = %error, "replays are put off");
                    PAUSE
                }
            };
            let _woken_or_not = tokio::time::timeout(wait, store.waiting_replay()).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = work => {}
        }
    }
}

/// Does what is due; answers how long to wait for more.
async fn round(store: &Store, clock: &Clock, handoff: &Handoff) -> Result<Duration, StoreError> {
    make_due(store, clock, handoff).await?;
    let mut conn = store.conn().await?;
    let at_work = replays::any_active(&mut conn).await?;
    Ok(if at_work { POLL_AT_WORK } else { JOBS_EVERY })
}

/// Takes every replay as far as its rate allows now.
///
/// Errors: the last that was met; the other replays have gone on.
pub async fn make_due(store: &Store, clock: &Clock, handoff: &Handoff) -> Result<(), StoreError> {
    let mut conn = store.conn().await?;
    let (mut put_off, mut failed) = (PutOff::new(), Ok(()));
    loop {
        let now = installation::time(&mut conn, clock.for_database()).await?;
        let due = replays::due(&mut conn, now, put_off.jobs(), TURNS).await?;
        if due.is_empty() {
            return failed;
        }
        for (environment, id) in due {
            match make_some(&mut conn, store, clock, environment, id).await {
                Ok(None) => {}
                Ok(Some(owed)) => {
                    handoff.agenda.note([owed], Instant::now());
                    handoff.wake();
                }
                Err(error) => {
                    tracing::warn!(replay = %id, error = %error, "a replay was broken off");
                    failed = Err(error);
                    put_off.push(id);
                }
            }
        }
    }
}

/// Makes the next part of one replay; answers which endpoint is owed something now.
pub async fn make_some(
    conn: &mut Conn,
    store: &Store,
    clock: &Clock,
    environment: EnvironmentId,
    id: ReplayId,
) -> Result<Option<EndpointKey>, StoreError> {
    let Some(seen) = replays::find(conn, environment, id).await? else {
        return Ok(None);
    };
    let endpoint = endpoints::find(conn, store.vault(), environment, seen.endpoint_id).await?;
    // Without the lock: however long it takes to find them, nobody waits.
    let (part, look) = match &endpoint {
        Some(endpoint) if endpoint.is_enabled() => {
            let part = Part::of(&seen, endpoint)?;
            let mut look = replay_candidates::look(conn, &part.search, seen.looked_through).await?;
            look.cut(usize::try_from(bite(part.rate)).unwrap_or(usize::MAX));
            (Some(part), look)
        }
        Some(_) | None => (None, Look::default()),
    };
    let turn = conn.turn(environment).await;
    conn.transaction(async |conn| {
        // The rows are few, and whoever is asked to make none holds the lock for a moment.
        events::lock(conn, &turn).await?;
        let Some(mut job) = replays::take(conn, environment, id).await? else {
            return Ok(None);
        };
        if job.looked_through != seen.looked_through {
            // Another server was faster; what it has left is looked for again.
            return Ok(None);
        }
        let now = installation::time(conn, clock.for_database()).await?;
        // As it is under the lock, which every change of an endpoint takes.
        let current = endpoints::find(conn, store.vault(), environment, seen.endpoint_id).await?;
        let made = match (stopped(current.as_ref()), part) {
            (Some(failure), _) => {
                job.enter(ReplayState::Failed(failure), now);
                0
            }
            // It was enabled in between.
            (None, None) => return Ok(None),
            (None, Some(part)) => part.make(conn, &mut job, &look, now).await?,
        };
        replays::advance(conn, &job).await?;
        if job.finished_at.is_some() {
            tracing::info!(replay = %id, state = job.state, made = job.made, "a replay has ended");
        }
        Ok((made > 0).then_some((environment, seen.endpoint_id)))
    })
    .await
}

/// Why nothing can be sent to the endpoint any more.
fn stopped(endpoint: Option<&Endpoint>) -> Option<ReplayFailure> {
    match endpoint {
        Some(endpoint) if endpoint.is_enabled() => None,
        Some(endpoint) if endpoint.deleted_at.is_none() => Some(ReplayFailure::EndpointDisabled),
        Some(_) | None => Some(ReplayFailure::EndpointDeleted),
    }
}

/// What one turn of a replay is about.
struct Part<'a> {
    search: Search<'a>,
    rate: u32,
}

impl<'a> Part<'a> {
    fn of(row: &ReplayRow, endpoint: &'a Endpoint) -> Result<Self, StoreError> {
        let replay = row.read()?;
        Ok(Self {
            search: Search {
                endpoint,
                scope: replay.scope,
                range: replay.range,
                asked_at: replay.created_at,
            },
            rate: replay.rate,
        })
    }

    /// Makes the deliveries of what was found and moves the job behind it, or ends it; answers how many they are.
    async fn make(
        &self,
        conn: &mut Conn,
        job: &mut ReplayRow,
        look: &Look,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let Some(through) = look.through else {
            job.enter(ReplayState::Completed, now);
            return Ok(0);
        };
        let endpoint = self.search.endpoint;
        let sent = replay_candidates::sent(conn, &self.search, &look.candidates).await?;
        let new = sent.into_iter().map(|(event, repeats)| NewDelivery {
            id: DeliveryId::for_event(event),
            event,
            endpoint: endpoint.id,
            leased: false,
            replay_of: repeats,
        });
        let new: Vec<_> = new.collect();
        outbox::insert(conn, endpoint.environment, now, None, &new).await?;
        let made = u32::try_from(new.len()).unwrap_or(u32::MAX);
        job.enter(ReplayState::Running, now);
        job.made += i64::from(made);
        job.looked_through = Some(through);
        job.next_at = now + rest(self.rate, made);
        Ok(new.len())
    }
}
