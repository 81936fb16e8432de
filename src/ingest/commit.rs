//! The commit: one transaction for one batch of requests, and the truth about it when the connection breaks.
//!
//! Invariant: claims are handed over only after the commit was confirmed. When COMMIT was sent and not answered,
//! the outcome is unknown: under the environment's lock the old transaction has ended, so the rows tell.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio::time::Instant;

use super::batch::{Batch, Drawn, Start};
use super::memory::Memory;
use super::plan::{Answer, keys, made, missing, plan};
use super::recorder::Submission;
use super::trails::{Trails, trees_of};
use crate::domain::event::{Event, Place};
use crate::domain::id::{EnvironmentId, EventId, OrganizationId};
use crate::domain::time::Clock;
use crate::store::events;
use crate::store::handoff::Handoff;
use crate::store::idempotency;
use crate::store::{Conn, Store, StoreError, Turn, reconnecting};

/// How long an unknown outcome is looked into.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);
/// How often a transaction is run that changes nothing.
const TRIES_MAX: u32 = 4;
/// After this long no new try begins: those who wait would rather be told.
const TRY_WITHIN: Duration = Duration::from_secs(12);
/// How long the second try waits; later ones wait longer.
const WAIT_BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What became of a commit that was not answered.
enum Fate {
    Committed,
    Absent,
}

/// What became of one request.
pub(super) enum Committed {
    Events(Vec<Event>),
    KeyReused,
    NoOrganization(OrganizationId),
    Failed(Failure),
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database was away, or another was in the way; nothing was written, and a later try may succeed.
    Unavailable(String),
    /// The database has no room; nothing was written, and a try that follows at once would only add to it.
    Exhausted(String),
    /// The database refused a row or a statement; nothing was written.
    Refused(StoreError),
}

impl Failure {
    /// The same failure for each request of a batch that failed together.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Unavailable(reason) => Self::Unavailable(reason.clone()),
            Self::Exhausted(reason) => Self::Exhausted(reason.clone()),
            Self::Refused(error) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            StoreError::Exhausted(reason) => Self::Exhausted(reason),
            StoreError::Conflict { .. } | StoreError::Corrupt(_) | StoreError::Query(_) => {
                Self::Refused(error)
            }
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(reason) => Self::Unavailable(reason),
            Failure::Exhausted(reason) => Self::Exhausted(reason),
            Failure::Refused(error) => error,
        }
    }
}

/// Commits batches.
pub(super) struct Committer {
    store: Store,
    clock: Clock,
    handoff: Option<Handoff>,
    memory: Memory,
}

/// What a transaction has written.
struct Written {
    batch: Batch,
    answers: Vec<Answer>,
}

impl Committer {
    pub(super) fn new(store: Store, clock: Clock, handoff: Option<Handoff>) -> Self {
        Self {
            store,
            clock,
            handoff,
            memory: Memory::default(),
        }
    }

    /// Commits the requests of one environment in one transaction; answers each, in order.
    ///
    /// Shape: a transaction that is known to have changed nothing is run again a few times where that may help: its
    /// connection was dead, or another was in the way. What the database refuses, or has no room for, is told at once.
    pub(super) async fn commit(
        &self,
        environment: EnvironmentId,
        batch: &[Submission],
    ) -> Result<Vec<Committed>, Failure> {
        let (began, mut tries) = (Instant::now(), 1);
        loop {
            let conn = self.store.conn().await?;
            let failure = match self.transact(&conn, environment, batch).await {
                Ok((written, Ok(()))) => return Ok(self.conclude(environment, written)),
                Ok((written, Err(unknown))) => {
                    match self.resolve(environment, &written, &unknown).await? {
                        Fate::Committed => return Ok(self.conclude(environment, written)),
                        Fate::Absent => Failure::Unavailable(unknown),
                    }
                }
                Err(failure) => failure,
            };
            let may_help = matches!(failure, Failure::Unavailable(_));
            if !may_help || tries == TRIES_MAX || began.elapsed() > TRY_WITHIN {
                return Err(failure);
            }
            tracing::debug!(%environment, ?failure, "a transaction changed nothing; running it again");
            tokio::time::sleep(WAIT_BETWEEN_TRIES * tries).await;
            tries += 1;
        }
    }

    /// Runs the transaction: what it reads is sent together, and then what it writes together with its commit.
    ///
    /// Shape: `Err` when nothing was changed. A commit that was sent and is not known to have been made, or not,
    /// has an unknown outcome.
    async fn transact(
        &self,
        conn: &Conn,
        environment: EnvironmentId,
        batch: &[Submission],
    ) -> Result<(Written, Result<(), String>), Failure> {
        let turn = conn.turn(environment).await;
        let (drawn, answers) = match self.draw(conn, &turn, batch).await {
            Ok(drawn) => drawn,
            Err(error) => {
                return match conn.rollback().await {
                    Ok(()) => Err(error.into()),
                    // The connection is gone, and the transaction with it.
                    Err(_broken) => Err(Failure::Unavailable(error.to_string())),
                };
            }
        };
        let made = made(batch, &answers, &drawn.batch.events);
        let saved = futures_util::try_join!(
            drawn.save(conn),
            idempotency::insert(conn, environment, drawn.now, &made),
            conn.commit(),
        );
        let written = Written {
            batch: drawn.batch,
            answers,
        };
        match saved {
            Ok(_committed) => Ok((written, Ok(()))),
            Err(error) => match conn.rollback().await {
                // The server has refused a statement, and so the commit behind it.
                Ok(()) => Err(error.into()),
                Err(_broken) => Ok((written, Err(error.to_string()))),
            },
        }
    }

    /// Takes the environment's lock, looks up what the batch depends on, and draws its rows.
    async fn draw(
        &self,
        conn: &Conn,
        turn: &Turn,
        submissions: &[Submission],
    ) -> Result<(Drawn, Vec<Answer>), StoreError> {
        let environment = turn.environment();
        let began = Instant::now();
        let committed = self.memory.place(environment);
        let keys = keys(submissions);
        let trees = trees_of(submissions.iter().flat_map(|submission| &submission.items));
        // Sent together, run one after the other: what is read after the lock is read under it.
        let (_begun, lock, (found, now), used, missing, trails) = futures_util::try_join!(
            conn.begin(),
            events::lock(conn, turn),
            events::last_place(conn, environment, committed.id, self.clock.for_database()),
            idempotency::find(conn, environment, &keys),
            missing(conn, environment, submissions),
            Trails::lock(conn, environment, &trees),
        )?;
        let known = committed.max(lock.dropped_through);
        let last = found.map_or(known, |found| found.max(known));
        let (answers, new) = plan(conn, environment, submissions, used, &missing).await?;
        let mut fanout = self.memory.fanout(conn, &lock).await?;
        let start = Start { last, now, began };
        let handoff = self.handoff.as_ref();
        let drawn = Drawn::of(environment, trails, &mut fanout, &start, &new, handoff);
        self.memory.remember_fanout(environment, fanout);
        Ok((drawn?, answers))
    }

    /// Hands claims over, remembers the last place, and makes the answers; the commit is confirmed.
    fn conclude(&self, environment: EnvironmentId, written: Written) -> Vec<Committed> {
        let Written { batch, answers } = written;
        if let Some(event) = batch.events.last() {
            self.memory.remember_place(
                environment,
                Place {
                    id: event.id,
                    position: event.position,
                },
            );
        }
        if let Some(handoff) = &self.handoff {
            batch.held.into_iter().for_each(|held| handoff.pass(held));
            if !batch.left_due.is_empty() {
                let left = batch.left_due.into_iter().map(|one| (environment, one));
                handoff.agenda.note(left, Instant::now());
            }
        }
        let mut committed: Vec<Committed> = Vec::with_capacity(answers.len());
        for answer in answers {
            committed.push(match answer {
                Answer::New(from, to) => {
                    Committed::Events(batch.events.get(from..to).unwrap_or_default().to_vec())
                }
                Answer::Old(events) => Committed::Events(events),
                Answer::As(earlier) => match committed.get(earlier) {
                    Some(Committed::Events(events)) => Committed::Events(events.clone()),
                    Some(&Committed::NoOrganization(id)) => Committed::NoOrganization(id),
                    _ => Committed::KeyReused,
                },
                Answer::KeyReused => Committed::KeyReused,
                Answer::NoOrganization(id) => Committed::NoOrganization(id),
            });
        }
        committed
    }

    /// Finds out what became of a commit that was not answered.
    ///
    /// Errors: `Unavailable` when it cannot be found out. Nothing may be run again then.
    async fn resolve(
        &self,
        environment: EnvironmentId,
        written: &Written,
        reason: &str,
    ) -> Result<Fate, Failure> {
        tracing::warn!(%environment, reason, "the outcome of a commit is unknown; looking for its rows");
        // A batch of nothing but old answers has changed nothing.
        let Some(first) = written.batch.events.first() else {
            return Ok(Fate::Committed);
        };
        let fate = reconnecting(RESOLVE_WITHIN, rand::random, || {
            self.fate_of(environment, first.id)
        })
        .await;
        fate.map_err(|error| Failure::Unavailable(error.to_string()))
    }

    /// Looks for a batch's first event on a new connection, under the lock: the old transaction has ended then.
    async fn fate_of(
        &self,
        environment: EnvironmentId,
        first: EventId,
    ) -> Result<Fate, StoreError> {
        let mut conn = self.store.dedicated().await?;
        let turn = conn.turn(environment).await;
        let found = conn
            .transaction(async |conn| {
                events::lock(conn, &turn).await?;
                events::find(conn, environment, first).await
            })
            .await?;
        Ok(found.map_or(Fate::Absent, |_| Fate::Committed))
    }
}
