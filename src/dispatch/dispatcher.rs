//! The dispatcher: one loop that takes claims, gives out permits, and stops in order.
//!
//! Invariant: nothing is lost by stopping. Claims that are not being sent are given back; POSTs under way get a
//! grace period, and what they came to is written before the loop ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::courier::{Courier, RoundEnd};
use super::deliver::{self, Ended, NotSent};
use super::lanes::{LaneLimits, Lanes, Pace};
use super::scout::Scout;
use super::settler;
use super::under_way::UnderWay;
use crate::domain::attempt::Outcome;
use crate::store::handoff::Held;

/// From when on an answer counts as slow.
const SLOW_AFTER: Duration = Duration::from_secs(5);
/// From when on no answer counts as one that came too late: a name server that says nothing takes seconds to fail.
const HELD_UP_AFTER: Duration = Duration::from_secs(1);
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
    sending: UnderWay,
    ended: mpsc::UnboundedSender<Ended>,
    settling: JoinHandle<()>,
}

/// A claim round that is under way.
type Round = JoinHandle<RoundEnd>;

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
        let settling = tokio::spawn(settler::run(courier.clone(), settled));
        let gate = courier.handoff.gate.clone();
        let limits = LaneLimits {
            in_flight_max: settings.in_flight_max,
            per_endpoint_max: settings.per_endpoint_max,
        };
        Self {
            courier,
            settings,
            handed,
            lanes: Lanes::new(limits, gate),
            sending: UnderWay::default(),
            ended,
            settling,
        }
    }

    /// Sends until `stop`, then drains. When the settling task ends before, nothing more is sent: the hand-off
    /// closes, and readiness tells.
    pub async fn run(mut self, stop: CancellationToken) -> Drained {
        let mut poll = tokio::time::interval(self.settings.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round: Option<Round> = None;
        let scout = Scout::start(self.courier.clone(), self.settings.poll);
        let (agenda, gate) = (
            self.courier.handoff.agenda.clone(),
            self.courier.handoff.gate.clone(),
        );
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
        loop {
            // In this order, which starves nobody: all that comes before has a bound, the permits and the room.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.ended.closed() => {
                    tracing::error!("the settling task has ended; nothing more is sent");
                    break;
                }
                Some((endpoint, pace)) = self.sending.next() => {
                    self.lanes.ended(endpoint, pace);
                }
                _ = self.handed.recv_many(&mut taken, TAKEN_AT_ONCE) => {
                    taken.drain(..).for_each(|held| self.lanes.push(held));
                }
                found = finished(&mut round) => {
                    round = None;
                    self.note_round(found);
                }
                _ = poll.tick(), if round.is_none() => round = Some(self.start_round()),
                () = agenda.changed(), if round.is_none() => round = Some(self.start_round()),
                () = gate.room_made(), if round.is_none() => round = Some(self.start_round()),
            }
            self.send_all();
        }
        scout.finish().await;
        self.drain(round).await
    }

    /// Starts a claim round; what it claims comes through the hand-off, as from ingest.
    #[expect(
        clippy::disallowed_methods,
        reason = "the loop owns this task and waits for it"
    )]
    fn start_round(&self) -> Round {
        let courier = self.courier.clone();
        tokio::spawn(async move {
            let handoff = courier.handoff.clone();
            courier.claim_round(|held| handoff.pass(held)).await
        })
    }

    /// After a round that found work there may be more: it is worth looking again when some of what is held has
    /// been settled. That its POSTs have ended is not enough, because until then they take up the room.
    fn note_round(&self, found: Result<RoundEnd, JoinError>) {
        let worth_it = (self.settings.in_flight_max / 8).max(1);
        let gate = &self.courier.handoff.gate;
        match found {
            Ok(end) if end.claimed > 0 => gate.tell_after(end.claimed.min(worth_it)),
            Ok(end) if end.found_work && gate.held() > 0 => gate.tell_after(worth_it),
            Ok(_) => {}
            Err(error) => tracing::error!(error = %error, "a claim round ended badly"),
        }
    }

    /// Starts every POST that there is a permit for.
    fn send_all(&mut self) {
        while let Some(held) = self.lanes.next() {
            let (courier, ended) = (self.courier.clone(), self.ended.clone());
            let key = (held.claim.environment, held.claim.endpoint);
            self.sending.start(key, async move {
                let result = deliver::deliver(&courier, held).await;
                let pace = pace(&result);
                // The settling task outlives every sender.
                let _closed = ended.send(result);
                pace
            });
        }
    }

    /// Stops in order: gives back what waits, lets POSTs end within the grace period, writes everything.
    async fn drain(mut self, round: Option<Round>) -> Drained {
        let deadline = Instant::now() + self.settings.drain;
        if let Some(round) = round {
            let found = round.await;
            self.note_round(found);
        }
        self.handed.close();
        while let Some(held) = self.handed.recv().await {
            self.lanes.push(held);
        }
        let waiting = self.lanes.take_waiting();
        let released = self.courier.release(waiting).await;
        let mut finished = 0;
        while let Ok(Some(_ended)) = tokio::time::timeout_at(deadline, self.sending.next()).await {
            finished += 1;
        }
        let aborted = self.sending.len();
        self.sending.cut_off().await;
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
async fn finished(round: &mut Option<Round>) -> Result<RoundEnd, JoinError> {
    match round {
        Some(round) => round.await,
        None => std::future::pending().await,
    }
}

fn pace(ended: &Ended) -> Pace {
    let sent = match &ended.result {
        Ok(sent) => &sent.settled.attempt,
        // It says something about this process or the database, and nothing about the receiver.
        Err(
            NotSent::NotEnabled | NotSent::TooLate | NotSent::Unavailable | NotSent::Postponed(_),
        ) => return Pace::Unknown,
    };
    match sent.outcome {
        Outcome::TimedOut { .. } => Pace::TimedOut,
        Outcome::Accepted { .. } | Outcome::Refused { .. } if sent.duration > SLOW_AFTER => {
            Pace::Slow
        }
        Outcome::Accepted { .. } | Outcome::Refused { .. } => Pace::Answered,
        // No answer is as bad as a late one when it took a permit for nothing.
        Outcome::Unreachable { .. } | Outcome::Forbidden { .. }
            if sent.duration > HELD_UP_AFTER =>
        {
            Pace::TimedOut
        }
        Outcome::Unreachable { .. } | Outcome::Forbidden { .. } => Pace::Unknown,
    }
}
