//! The recorder: queues what wants to be recorded, and commits all that waits in one transaction.
//!
//! Invariant: one transaction at a time for an environment, so what arrives while it runs is the next batch:
//! batches grow with the load, and under little load nobody waits for a timer (`gathering`). The queue is bounded, and
//! no environment can fill it alone; beyond that callers are refused at once. Whoever asked is answered exactly once
//! and within a bound, also when the commit's fate is unknown for longer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use super::commit::{self, Committed, Committer, Failure};
use super::gathering::{Gathering, WAIT_MAX};
use super::trails::NewItem;
use crate::domain::event::Event;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::time::Clock;
use crate::store::handoff::Handoff;
use crate::store::{Store, StoreError};

/// How long a caller waits for its answer. What is not known by then is answered as unavailable, and an idempotency
/// key tells the next try what became of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// An environment may have this many times as much waiting as there is room left: two thirds of an empty queue, and
/// the more others have taken, the less. So there is always room for one that has little.
const SHARE_OF_ROOM: usize = 2;

/// How much may wait, and how much goes into one transaction.
#[derive(Debug, Clone, Copy)]
pub struct RecorderSettings {
    /// Transactions at a time, one for each environment at most.
    pub connections: usize,
    pub queue_events_max: usize,
    pub queue_bytes_max: usize,
    pub batch_events_max: usize,
    pub batch_bytes_max: usize,
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Too much is waiting already.
    #[error("too many events are waiting")]
    Overloaded,
    /// Another request has used the idempotency key.
    #[error("the idempotency key was used by another request")]
    KeyReused,
    /// An audit log event is for an organization that does not exist.
    #[error("there is no organization {0}")]
    NoOrganization(OrganizationId),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What waits to be recorded, of all environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub events: usize,
    pub bytes: usize,
}

/// One request: its items are recorded together or not at all.
pub(super) struct Submission {
    pub(super) items: Vec<NewItem>,
    pub(super) key: Option<IdempotencyKey>,
    weight: usize,
    answer: oneshot::Sender<Result<Vec<Event>, RecordError>>,
}

/// Takes events to be recorded. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RecorderSettings,
    committer: Committer,
    connections: Semaphore,
    queues: Mutex<Queues>,
    runtime: Handle,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Queues {
    events: usize,
    bytes: usize,
    /// A queue is here as long as a task drains it.
    by_environment: HashMap<EnvironmentId, Queue>,
}

impl Queues {
    /// Whether one more request of `environment` may wait.
    fn has_room(&self, environment: EnvironmentId, settings: &RecorderSettings) -> bool {
        let own = self.by_environment.get(&environment);
        let (events, bytes) = own.map_or((0, 0), |own| (own.events, own.bytes));
        let room = |max: usize, all: usize| max.saturating_sub(all).saturating_mul(SHARE_OF_ROOM);
        events < room(settings.queue_events_max, self.events)
            && bytes < room(settings.queue_bytes_max, self.bytes)
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Submission>,
    events: usize,
    bytes: usize,
    /// How many the next batch waits for, if it does.
    wanted: Option<usize>,
    gathered: Arc<Notify>,
}

impl Queue {
    fn push(&mut self, submission: Submission) {
        self.events += submission.items.len();
        self.bytes += submission.weight;
        self.waiting.push_back(submission);
        if self
            .wanted
            .is_some_and(|wanted| self.waiting.len() >= wanted)
        {
            self.wanted = None;
            self.gathered.notify_one();
        }
    }
}

impl Recorder {
    /// Makes a recorder whose transactions run on the current runtime. With `handoff`, new deliveries are
    /// claimed for this process as far as there is room.
    pub fn new(
        settings: RecorderSettings,
        store: Store,
        clock: Clock,
        handoff: Option<Handoff>,
    ) -> Self {
        let inner = Inner {
            settings,
            committer: Committer::new(store, clock, handoff),
            connections: Semaphore::new(settings.connections),
            queues: Mutex::default(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Records the items of one request, all or none; answers when they are durable with their deliveries.
    ///
    /// Shape: one event for each item, in order; an audit log event's is the one that tells of it.
    pub async fn record(
        &self,
        environment: EnvironmentId,
        items: Vec<NewItem>,
        key: Option<IdempotencyKey>,
    ) -> Result<Vec<Event>, RecordError> {
        let (answer, answered) = oneshot::channel();
        let weight = items.iter().map(NewItem::weight).sum();
        self.submit(
            environment,
            Submission {
                items,
                key,
                weight,
                answer,
            },
        )?;
        let unavailable = |reason: &str| StoreError::Unavailable(reason.to_owned());
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_closed)) => Err(unavailable("the recorder has stopped").into()),
            Err(_late) => Err(unavailable("the commit is not confirmed yet").into()),
        }
    }

    fn submit(
        &self,
        environment: EnvironmentId,
        submission: Submission,
    ) -> Result<(), RecordError> {
        let mut queues = self.inner.queues();
        if !queues.has_room(environment, &self.inner.settings) {
            return Err(RecordError::Overloaded);
        }
        queues.events += submission.items.len();
        queues.bytes += submission.weight;
        if let Some(queue) = queues.by_environment.get_mut(&environment) {
            queue.push(submission);
            return Ok(());
        }
        let mut queue = Queue::default();
        queue.push(submission);
        queues.by_environment.insert(environment, queue);
        let inner = self.inner.clone();
        self.inner.tasks.spawn_on(
            async move { inner.drain(environment).await },
            &self.inner.runtime,
        );
        Ok(())
    }

    /// What waits now; what is being committed does not.
    pub fn waiting(&self) -> Waiting {
        let queues = self.inner.queues();
        Waiting {
            events: queues.events,
            bytes: queues.bytes,
        }
    }

    /// Waits until everything that was taken is answered.
    pub async fn finish(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits batch after batch until nothing of the environment waits.
    async fn drain(&self, environment: EnvironmentId) {
        let _guard = Abandoned {
            inner: self,
            environment,
        };
        let mut gathering = Gathering::default();
        loop {
            // The permit first: what arrives while we wait for it joins the batch.
            let permit = self.connections.acquire().await;
            let batch = self.next_batch(environment);
            if batch.is_empty() {
                return;
            }
            let answered = batch.len();
            let items = batch.iter().flat_map(|submission| &submission.items);
            let rows = items.map(NewItem::rows).sum();
            self.commit(environment, batch).await;
            drop(permit);
            self.gather(environment, answered, rows, &mut gathering)
                .await;
        }
    }

    /// Waits a moment for a fuller batch, if that pays.
    async fn gather(
        &self,
        environment: EnvironmentId,
        answered: usize,
        rows: usize,
        gathering: &mut Gathering,
    ) {
        let gathered = {
            let mut queues = self.queues();
            let Some(queue) = queues.by_environment.get_mut(&environment) else {
                return;
            };
            queue.wanted = gathering.wanted(answered, rows, queue.waiting.len());
            if queue.wanted.is_none() {
                return;
            }
            queue.gathered.clone()
        };
        let waited = tokio::time::timeout(WAIT_MAX, gathered.notified()).await;
        if let Some(queue) = self.queues().by_environment.get_mut(&environment) {
            queue.wanted = None;
        }
        gathering.ended(waited.is_ok());
    }

    /// Takes what fits into one transaction; when nothing waits, the queue ends.
    fn next_batch(&self, environment: EnvironmentId) -> Vec<Submission> {
        let mut queues = self.queues();
        let mut batch = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        let Some(queue) = queues.by_environment.get_mut(&environment) else {
            return batch;
        };
        while let Some(next) = queue.waiting.front() {
            let full = events + next.items.len() > self.settings.batch_events_max
                || bytes + next.weight > self.settings.batch_bytes_max;
            if full && !batch.is_empty() {
                break;
            }
            events += next.items.len();
            bytes += next.weight;
            batch.extend(queue.waiting.pop_front());
        }
        queue.events -= events;
        queue.bytes -= bytes;
        if batch.is_empty() {
            queues.by_environment.remove(&environment);
        }
        queues.events -= events;
        queues.bytes -= bytes;
        batch
    }

    /// Commits one batch and answers everybody in it. A batch that the database refuses is run again request
    /// by request, so that one bad row does not fail its neighbours.
    async fn commit(&self, environment: EnvironmentId, batch: Vec<Submission>) {
        match self.committer.commit(environment, &batch).await {
            Ok(committed) => answer_all(batch, committed),
            Err(Failure::Refused(_)) if batch.len() > 1 => {
                for submission in batch {
                    let alone = [submission];
                    let committed = self.committer.commit(environment, &alone).await;
                    let committed =
                        committed.unwrap_or_else(|failure| vec![Committed::Failed(failure)]);
                    answer_all(alone.into(), committed);
                }
            }
            Err(failure) if batch.len() == 1 => answer_all(batch, vec![Committed::Failed(failure)]),
            Err(failure) => {
                let failed = batch.iter();
                let failed = failed.map(|_| Committed::Failed(failure.again()));
                let failed = failed.collect();
                answer_all(batch, failed);
            }
        }
    }
}

/// Ends an environment's queue when its task ends badly: those who wait are answered that it failed, and the next
/// request begins a new queue.
struct Abandoned<'a> {
    inner: &'a Inner,
    environment: EnvironmentId,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        // A task that ends well has ended its queue itself, and the next one may have begun.
        if !std::thread::panicking() {
            return;
        }
        let mut queues = self.inner.queues();
        if let Some(queue) = queues.by_environment.remove(&self.environment) {
            queues.events -= queue.events;
            queues.bytes -= queue.bytes;
        }
    }
}

fn answer_all(batch: Vec<Submission>, committed: Vec<commit::Committed>) {
    for (submission, committed) in batch.into_iter().zip(committed) {
        let result = match committed {
            Committed::Events(events) => Ok(events),
            Committed::KeyReused => Err(RecordError::KeyReused),
            Committed::NoOrganization(id) => Err(RecordError::NoOrganization(id)),
            Committed::Failed(failure) => Err(RecordError::Store(failure.into())),
        };
        // Whoever asked may have gone; what was recorded stays recorded.
        let _gone = submission.answer.send(result);
    }
}

#[cfg(test)]
mod tests;
