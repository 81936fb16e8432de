//! The dispatcher: one loop that takes claims, gives out permits, and stops in order.
//!
//! Invariant: nothing is lost by stopping. Claims that are not being sent are given back; POSTs under way get a
//! grace period, and what they came to is written before the loop ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::deliver::{self, Ended};
use super::lanes::{LaneLimits, Lanes, Pace};
use super::settle;
use crate::domain::attempt::Outcome;
use crate::store::StoreError;
use crate::store::handoff::{EndpointKey, Held};

/// Claims that are taken from the channel at a time.
const TAKEN_AT_ONCE: usize = 256;

/// How many POSTs at once, how often the outbox is looked at, and how long stopping may take.
#[derive(Debug, Clone, Copy)]
pub struct DispatcherSettings {
    pub in_flight_max: usize,
    pub per_endpoint_max: usize,
    pub poll: Duration,
    pub drain: Duration,
}

/// What stopping came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// POSTs that ended within the grace period.
    pub finished: usize,
    /// Claims that were given back unsent.
    pub released: usize,
    /// POSTs that were cut off; their leases will be released by whoever finds this worker gone.
    pub aborted: usize,
}

/// Sends deliveries until it is told to stop.
pub struct Dispatcher {
    courier: Arc<Courier>,
    settings: DispatcherSettings,
    handed: mpsc::UnboundedReceiver<Held>,
    lanes: Lanes,
    sending: JoinSet<(EndpointKey, Pace)>,
    ended: mpsc::UnboundedSender<Ended>,
    settling: JoinHandle<()>,
}

/// A claim round that is under way.
type Round = JoinHandle<Result<Vec<Held>, StoreError>>;

impl Dispatcher {
    /// Starts the settling task on the current runtime; `handed` is the other end of the courier's hand-off.
    #[expect(
        clippy::disallowed_methods,
        reason = "the dispatcher owns this task and waits for it in `drain`"
    )]
    pub fn new(
        courier: Arc<Courier>,
        settings: DispatcherSettings,
        handed: mpsc::UnboundedReceiver<Held>,
    ) -> Self {
        let (ended, settled) = mpsc::unbounded_channel();
        let settling = tokio::spawn(settle::run(courier.clone(), settled));
        let limits = LaneLimits {
            in_flight_max: settings.in_flight_max,
            per_endpoint_max: settings.per_endpoint_max,
        };
        Self {
            courier,
            settings,
            handed,
            lanes: Lanes::new(limits),
            sending: JoinSet::new(),
            ended,
            settling,
        }
    }

    /// Sends until `stop`, then drains.
    pub async fn run(mut self, stop: CancellationToken) -> Drained {
        let mut poll = tokio::time::interval(self.settings.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round: Option<Round> = None;
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
        // After a round that found work there may be more: look again as soon as there is room.
        let mut hungry = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.sending.join_next() => self.note_end(ended),
                _ = self.handed.recv_many(&mut taken, TAKEN_AT_ONCE) => {
                    taken.drain(..).for_each(|held| self.lanes.push(held));
                }
                found = finished(&mut round) => {
                    round = None;
                    hungry = self.take_round(found);
                }
                _ = poll.tick(), if round.is_none() => round = Some(self.start_round()),
                () = self.courier.handoff.woken(), if round.is_none() => round = Some(self.start_round()),
            }
            self.send_all();
            if hungry && round.is_none() && self.lanes.waiting() < self.settings.in_flight_max / 8 {
                hungry = false;
                round = Some(self.start_round());
            }
        }
        self.drain(round).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the loop owns this task and waits for it"
    )]
    fn start_round(&self) -> Round {
        let courier = self.courier.clone();
        tokio::spawn(async move { courier.claim_round().await })
    }

    /// Puts what a round has claimed into the lanes; answers whether there may be more.
    fn take_round(&mut self, found: Result<Result<Vec<Held>, StoreError>, JoinError>) -> bool {
        match found {
            Ok(Ok(held)) => {
                let found_work = !held.is_empty();
                held.into_iter().for_each(|held| self.lanes.push(held));
                found_work
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "no claims could be made");
                false
            }
            Err(error) => {
                tracing::error!(error = %error, "a claim round ended badly");
                false
            }
        }
    }

    /// Starts every POST that there is a permit for.
    fn send_all(&mut self) {
        while let Some(held) = self.lanes.next() {
            let (courier, ended) = (self.courier.clone(), self.ended.clone());
            let key = (held.claim.environment, held.claim.endpoint);
            self.sending.spawn(async move {
                let result = deliver::deliver(&courier, held).await;
                let pace = pace(&result);
                // The settling task outlives every sender.
                let _closed = ended.send(result);
                (key, pace)
            });
        }
    }

    fn note_end(&mut self, ended: Result<(EndpointKey, Pace), JoinError>) {
        match ended {
            Ok((key, pace)) => self.lanes.ended(key, pace),
            Err(error) => {
                tracing::error!(error = %error, "a delivery ended badly; its lease will run out")
            }
        }
    }

    /// Stops in order: gives back what waits, lets POSTs end within the grace period, writes everything.
    async fn drain(mut self, round: Option<Round>) -> Drained {
        let deadline = Instant::now() + self.settings.drain;
        if let Some(round) = round {
            let found = round.await;
            self.take_round(found);
        }
        self.handed.close();
        while let Some(held) = self.handed.recv().await {
            self.lanes.push(held);
        }
        let waiting = self.lanes.take_waiting();
        let released = self.courier.release(waiting).await;
        let mut finished = 0;
        while let Ok(Some(_ended)) =
            tokio::time::timeout_at(deadline, self.sending.join_next()).await
        {
            finished += 1;
        }
        let aborted = self.sending.len();
        self.sending.shutdown().await;
        drop(self.ended);
        if self.settling.await.is_err() {
            tracing::error!("the settling task ended badly");
        }
        Drained {
            finished,
            released,
            aborted,
        }
    }
}

/// The round's result when there is a round; never otherwise.
async fn finished(round: &mut Option<Round>) -> Result<Result<Vec<Held>, StoreError>, JoinError> {
    match round {
        Some(round) => round.await,
        None => std::future::pending().await,
    }
}

fn pace(ended: &Ended) -> Pace {
    match &ended.result {
        Ok(sent) if matches!(sent.settled.attempt.outcome, Outcome::TimedOut { .. }) => {
            Pace::TimedOut
        }
        Ok(_) | Err(_) => Pace::Answered,
    }
}
