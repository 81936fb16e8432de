//! The settler: gathers what came of claims into batches.
//!
//! Invariant: one batch of an environment is under way at a time, and they begin some milliseconds apart. What
//! arrives meanwhile is its next one, so batches grow with the load and nothing waits when there is little. A batch
//! that does not end in time no longer holds up the next. Does not write: `settle` does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::courier::Courier;
use super::deliver::Ended;
use super::health::{News, Noting};
use super::settle::settle;
use crate::domain::id::EnvironmentId;

/// Outcomes that go into one transaction.
const BATCH_MAX: usize = 500;
/// Batches that are under way at the same time.
const SETTLING_MAX: usize = 8;
/// Environments whose last batch is remembered; then those that have none under way are forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// How far apart the batches of an environment begin: nobody waits for a verdict, and each batch costs a commit.
const APART: Duration = Duration::from_millis(4);
/// How long a batch that is under way holds up the next one of its environment.
const HOLDS_UP_FOR: Duration = Duration::from_secs(1);

/// Settles what arrives until the channel is closed and empty.
pub(super) async fn run(courier: Arc<Courier>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let noting = Noting::start(courier.clone());
    let mut settler = Settler {
        courier,
        waiting: BTreeMap::new(),
        turns: VecDeque::new(),
        under_way: BTreeMap::new(),
        batches: JoinSet::new(),
    };
    let mut received = Vec::with_capacity(BATCH_MAX);
    let mut open = true;
    while open || !settler.is_idle() {
        let next = settler.begins_at();
        tokio::select! {
            biased;
            count = ended.recv_many(&mut received, BATCH_MAX), if open => {
                open = count > 0;
                received.drain(..).for_each(|one| settler.push(one));
            }
            Some(done) = settler.batches.join_next() => settler.ended(&noting, done),
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
        settler.begin();
    }
    noting.finish().await;
}

struct Settler {
    courier: Arc<Courier>,
    waiting: BTreeMap<EnvironmentId, Vec<Ended>>,
    /// The environments in `waiting`, those that wait longest first.
    turns: VecDeque<EnvironmentId>,
    /// When the latest batch of an environment was begun, and how many of them are under way.
    under_way: BTreeMap<EnvironmentId, (Instant, usize)>,
    batches: JoinSet<(EnvironmentId, Vec<News>)>,
}

impl Settler {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.batches.is_empty()
    }

    fn push(&mut self, one: Ended) {
        let environment = one.claim.environment;
        let waiting = self.waiting.entry(environment).or_insert_with(|| {
            self.turns.push_back(environment);
            Vec::new()
        });
        waiting.push(one);
    }

    /// Begins a batch of every environment that may have one, in turn.
    fn begin(&mut self) {
        for _ in 0..self.turns.len() {
            if self.batches.len() >= SETTLING_MAX {
                return;
            }
            let Some(environment) = self.turns.pop_front() else {
                return;
            };
            if self.may_begin(environment) {
                self.begin_batch(environment);
            } else {
                self.turns.push_back(environment);
            }
        }
    }

    fn may_begin(&self, environment: EnvironmentId) -> bool {
        self.may_begin_at(environment)
            .is_none_or(|at| at <= Instant::now())
    }

    /// When the environment may have a batch, if others of its own keep it waiting.
    fn may_begin_at(&self, environment: EnvironmentId) -> Option<Instant> {
        let (begun, count) = self.under_way.get(&environment)?;
        Some(*begun + if *count == 0 { APART } else { HOLDS_UP_FOR })
    }

    /// When the next batch may begin; `None`: not before one has ended, or something has arrived.
    fn begins_at(&self) -> Option<Instant> {
        if self.batches.len() >= SETTLING_MAX {
            return None;
        }
        let turns = self.turns.iter();
        turns.filter_map(|one| self.may_begin_at(*one)).min()
    }

    fn begin_batch(&mut self, environment: EnvironmentId) {
        let mut batch = self.waiting.remove(&environment).unwrap_or_default();
        if self.under_way.len() >= REMEMBERED_MAX {
            self.under_way.retain(|_, (_, count)| *count > 0);
        }
        if batch.len() > BATCH_MAX {
            let rest = batch.split_off(BATCH_MAX);
            self.waiting.insert(environment, rest);
            self.turns.push_back(environment);
        }
        let others = self
            .under_way
            .get(&environment)
            .map_or(0, |(_, count)| *count);
        self.under_way
            .insert(environment, (Instant::now(), others + 1));
        let courier = self.courier.clone();
        self.batches
            .spawn(async move { (environment, settle(&courier, environment, batch).await) });
    }

    /// Passes on what a batch says about endpoints.
    fn ended(&mut self, noting: &Noting, done: Result<(EnvironmentId, Vec<News>), JoinError>) {
        match done {
            Ok((environment, news)) => {
                if let Some((_, count)) = self.under_way.get_mut(&environment) {
                    *count -= 1;
                }
                news.into_iter().for_each(|one| noting.note(one));
            }
            // Its environment stays under way, so its later batches only wait for longer.
            Err(error) => {
                tracing::error!(error = %error, "settling ended badly; attempts will be made again");
            }
        }
    }
}
