//! Settling a batch: what came of many claims, written in one transaction.
//!
//! Invariant: every attempt that was made is recorded. Outcomes that the database does not take are kept and
//! tried again, up to the time when their leases have long run out; one that it never takes costs no other. What
//! a claim holds in memory is given back as soon as it is written. Does not judge endpoints: `health` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::courier::Courier;
use super::deliver::{Ended, NotSent, Sent};
use super::health::{self, News};
use crate::domain::delivery::Settlement;
use crate::domain::endpoint::Endpoint;
use crate::domain::id::EnvironmentId;
use crate::store::gate::Slot;
use crate::store::handoff::EndpointKey;
use crate::store::settlements::Settled;
use crate::store::{StoreError, reconnecting};

/// How long outcomes are kept for a database that does not take them.
const KEEP_FOR: Duration = Duration::from_secs(120);
/// How long an endpoint is not asked again that turned out to be disabled: claims that fill what was wanted keep it on
/// the agenda. When it is enabled, a look through the outbox brings it forward.
const NOT_ENABLED_FOR: Duration = Duration::from_secs(10);
/// When a claim is made again whose endpoint could not be read.
const UNAVAILABLE_FOR: Duration = Duration::from_millis(500);

fn by_environment(batch: impl Iterator<Item = Ended>) -> BTreeMap<EnvironmentId, Vec<Ended>> {
    let mut parts: BTreeMap<EnvironmentId, Vec<Ended>> = BTreeMap::new();
    for ended in batch {
        parts
            .entry(ended.claim.environment)
            .or_default()
            .push(ended);
    }
    parts
}

/// Settles one batch and notes at once what it says about endpoints.
pub(super) async fn settle_now(courier: &Courier, batch: Vec<Ended>) {
    for (environment, part) in by_environment(batch.into_iter()) {
        for news in settle(courier, environment, part).await {
            health::note(courier, &news).await;
        }
    }
}

/// Settles a batch of one environment; answers what it says about endpoints.
pub(super) async fn settle(
    courier: &Courier,
    environment: EnvironmentId,
    batch: Vec<Ended>,
) -> Vec<News> {
    let (mut sent, mut released, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    let mut unsent_slots = Vec::new();
    let mut given_back: Vec<(EndpointKey, Instant)> = Vec::new();
    let mut not_enabled: Vec<EndpointKey> = Vec::new();
    let mut due_again: Vec<(EndpointKey, Duration)> = Vec::new();
    let mut breakers: BTreeMap<EndpointKey, Arc<Endpoint>> = BTreeMap::new();
    for Ended {
        claim,
        result,
        slot,
    } in batch
    {
        match result {
            Ok(Sent {
                settled,
                health,
                endpoint,
                breaker_changed,
            }) => {
                if breaker_changed {
                    breakers.insert((environment, claim.endpoint), endpoint.clone());
                }
                if let Settlement::RetryAfter(delay) = settled.settlement {
                    due_again.push(((environment, claim.endpoint), delay));
                }
                sent.push((settled, slot));
                seen.push((health, endpoint));
            }
            Err(unsent) => {
                released.push((claim.delivery, claim.lease));
                unsent_slots.push(slot);
                let key = (environment, claim.endpoint);
                match asked_again(unsent) {
                    Some(at) => given_back.push((key, at)),
                    None => not_enabled.push(key),
                }
            }
        }
    }
    if !released.is_empty()
        && let Err(error) = courier.release_in(environment, &released).await
    {
        tracing::warn!(%environment, error = %error, "claims not released; their leases will run out");
    }
    drop(unsent_slots);
    for (key, at) in given_back {
        courier.handoff.agenda.given_back([key], at);
    }
    for key in not_enabled {
        let until = Instant::now() + NOT_ENABLED_FOR;
        courier.handoff.agenda.postpone(key, until);
    }
    sent.sort_by_key(|(settled, _)| settled.delivery);
    record(courier, environment, sent).await;
    let now = Instant::now();
    for (key, delay) in due_again {
        courier.handoff.agenda.note([key], now + delay);
    }
    let mut news = health::news_of(seen, courier.world.clock.now());
    news.extend(breakers.into_values().map(News::of_breaker));
    news
}

/// When an endpoint is asked again of which a claim was given back; `None`: when somebody says so.
fn asked_again(unsent: NotSent) -> Option<Instant> {
    match unsent {
        NotSent::NotEnabled => None,
        NotSent::TooLate => Some(Instant::now()),
        NotSent::Unavailable => Some(Instant::now() + UNAVAILABLE_FOR),
        NotSent::Postponed(until) => Some(until),
    }
}

/// Outcomes that are written together, with the room that they hold.
struct Part {
    settled: Vec<Settled>,
    slots: Vec<Slot>,
    failures: u32,
}

impl Part {
    fn new(sent: Vec<(Settled, Slot)>) -> Self {
        let (settled, slots) = sent.into_iter().unzip();
        Self {
            settled,
            slots,
            failures: 0,
        }
    }

    /// What is to be tried next: from the second failure on, each half by itself.
    fn after_failure(mut self) -> Vec<Self> {
        self.failures += 1;
        if self.failures < 2 || self.settled.len() < 2 {
            return vec![self];
        }
        let half = self.settled.len() / 2;
        let second = Self {
            settled: self.settled.split_off(half),
            slots: self.slots.split_off(half),
            failures: self.failures,
        };
        vec![self, second]
    }
}

/// Writes attempts and verdicts, again and again while the database does not take them.
async fn record(courier: &Courier, environment: EnvironmentId, sent: Vec<(Settled, Slot)>) {
    if sent.is_empty() {
        return;
    }
    let left = Mutex::new(vec![Part::new(sent)]);
    let chance = || courier.world.unit();
    let tried = reconnecting(KEEP_FOR, chance, || async {
        write_all(&mut *left.lock().await, |part: Part| async {
            let written = write(courier, environment, &part.settled).await;
            (part, written)
        })
        .await
    });
    if let Err(error) = tried.await {
        let count: usize = left
            .lock()
            .await
            .iter()
            .map(|part| part.settled.len())
            .sum();
        tracing::error!(%environment, count, error = %error, "attempts not recorded; they will be made again");
    }
}

/// Tries every part once and keeps those that failed; fails when there are any.
async fn write_all<F>(left: &mut Vec<Part>, write: impl Fn(Part) -> F) -> Result<(), StoreError>
where
    F: Future<Output = (Part, Result<(), StoreError>)>,
{
    let mut failed = Ok(());
    let mut parts = std::mem::take(left).into_iter();
    while let Some(part) = parts.next() {
        match write(part).await {
            (_written, Ok(())) => {}
            // The others would meet the same.
            (part, Err(error)) if error.is_unavailable() => {
                left.push(part);
                left.extend(parts);
                return Err(error);
            }
            (part, Err(error)) => {
                failed = Err(error);
                left.extend(part.after_failure());
            }
        }
    }
    failed
}

async fn write(
    courier: &Courier,
    environment: EnvironmentId,
    settled: &[Settled],
) -> Result<(), StoreError> {
    let in_time = courier.world.ledger.settle(environment, settled).await?;
    if in_time < settled.len() {
        let late = settled.len() - in_time;
        tracing::info!(%environment, late, "attempts recorded after their lease was lost");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::domain::attempt::{Attempt, Outcome};
    use crate::domain::id::{DeliveryId, EndpointId, LeaseId};
    use crate::domain::time::from_millis;
    use crate::store::gate::{Gate, HoldLimits};

    fn gate() -> Gate {
        Gate::new(HoldLimits {
            claims_max: 1_000,
            claims_per_endpoint_max: 1_000,
            bytes_max: 1,
        })
    }

    fn sent(gate: &Gate, count: u128) -> Vec<(Settled, Slot)> {
        let one = |number: u128| {
            let settled = Settled {
                delivery: DeliveryId::at(1, number),
                lease: LeaseId::at(1, 1),
                number: 1,
                started_at: from_millis(0),
                attempt: Attempt {
                    outcome: Outcome::Accepted { status: 200 },
                    duration: Duration::ZERO,
                    answer: None,
                },
                settlement: Settlement::Delivered,
            };
            let key = (EnvironmentId::at(1, 1), EndpointId::at(1, number));
            (settled, gate.reserve(key, 0).expect("room"))
        };
        (0..count).map(one).collect()
    }

    fn refusal() -> StoreError {
        StoreError::Query(diesel::result::Error::RollbackTransaction)
    }

    #[tokio::test]
    async fn a_row_that_the_database_refuses_costs_itself_only() {
        let gate = gate();
        let mut left = vec![Part::new(sent(&gate, 500))];
        let poison = DeliveryId::at(1, 123);
        let write = |part: Part| {
            let refused = part.settled.iter().any(|one| one.delivery == poison);
            std::future::ready((part, if refused { Err(refusal()) } else { Ok(()) }))
        };

        for _ in 0..12 {
            assert!(write_all(&mut left, write).await.is_err());
        }

        let left: Vec<_> = left
            .iter()
            .flat_map(|part| &part.settled)
            .map(|one| one.delivery)
            .collect();
        assert_eq!(left, [poison]);
        assert_eq!(gate.held(), 1);
    }

    #[tokio::test]
    async fn a_deadlock_loses_nothing_and_splits_nothing() {
        let gate = gate();
        let mut left = vec![Part::new(sent(&gate, 500))];
        let calls = Cell::new(0);
        let write = |part: Part| {
            calls.set(calls.get() + 1);
            assert_eq!(part.settled.len(), 500);
            let first = calls.get() == 1;
            std::future::ready((part, if first { Err(refusal()) } else { Ok(()) }))
        };

        assert!(write_all(&mut left, write).await.is_err());
        assert!(write_all(&mut left, write).await.is_ok());
        assert_eq!((left.len(), gate.held()), (0, 0));
    }

    #[tokio::test]
    async fn while_the_database_is_away_batches_stay_whole() {
        let gate = gate();
        let mut left = vec![Part::new(sent(&gate, 5)), Part::new(sent(&gate, 7))];
        let calls = Cell::new(0);
        let write = |part: Part| {
            calls.set(calls.get() + 1);
            let away = StoreError::Unavailable("away".to_owned());
            std::future::ready((part, Err(away)))
        };

        for _ in 0..5 {
            assert!(write_all(&mut left, write).await.is_err());
        }

        let sizes: Vec<_> = left.iter().map(|part| part.settled.len()).collect();
        assert_eq!((sizes, calls.get()), (vec![5, 7], 5));
    }
}
