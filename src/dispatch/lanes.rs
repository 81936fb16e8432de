//! Lanes: what is in hand, one lane for each endpoint, served in turn.
//!
//! Invariant: an endpoint has at most its lane's width of POSTs under way, and lanes take turns for the permits
//! of the process, so a slow endpoint delays only itself. A lane that times out is narrowed, and widens again
//! with every answer. Does no IO and reads no clock.

use std::collections::{HashMap, VecDeque};

use crate::store::handoff::{EndpointKey, Held};

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneLimits {
    pub(super) in_flight_max: usize,
    pub(super) per_endpoint_max: usize,
}

/// What a POST says about its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Answered,
    TimedOut,
}

/// Everything in hand.
pub(super) struct Lanes {
    limits: LaneLimits,
    in_flight: usize,
    waiting: usize,
    lanes: HashMap<EndpointKey, Lane>,
    /// Lanes that have something to send and room for it, in turn.
    turn: VecDeque<EndpointKey>,
}

struct Lane {
    queue: VecDeque<Held>,
    in_flight: usize,
    width: usize,
    in_turn: bool,
}

impl Lane {
    fn is_ready(&self) -> bool {
        !self.queue.is_empty() && self.in_flight < self.width
    }
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Self {
        Self {
            limits,
            in_flight: 0,
            waiting: 0,
            lanes: HashMap::new(),
            turn: VecDeque::new(),
        }
    }

    /// Puts a claim at the end of its lane.
    pub(super) fn push(&mut self, held: Held) {
        let key = (held.claim.environment, held.claim.endpoint);
        let width = self.limits.per_endpoint_max;
        let lane = self.lanes.entry(key).or_insert_with(|| Lane {
            queue: VecDeque::new(),
            in_flight: 0,
            width,
            in_turn: false,
        });
        lane.queue.push_back(held);
        self.waiting += 1;
        self.enqueue(key);
    }

    /// Takes the next claim to send, if a permit and a lane are free.
    pub(super) fn next(&mut self) -> Option<Held> {
        while self.in_flight < self.limits.in_flight_max {
            let key = self.turn.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&key) else {
                continue;
            };
            lane.in_turn = false;
            if !lane.is_ready() {
                continue;
            }
            let held = lane.queue.pop_front();
            lane.in_flight += 1;
            self.in_flight += 1;
            self.waiting -= 1;
            self.enqueue(key);
            return held;
        }
        None
    }

    /// Frees the permit of a claim that `next` gave out.
    pub(super) fn ended(&mut self, key: EndpointKey, pace: Pace) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.width = match pace {
            Pace::Answered => (lane.width + 1).min(self.limits.per_endpoint_max),
            Pace::TimedOut => (lane.width / 2).max(1),
        };
        let forgettable = lane.queue.is_empty()
            && lane.in_flight == 0
            && lane.width == self.limits.per_endpoint_max;
        if forgettable {
            self.lanes.remove(&key);
        } else {
            self.enqueue(key);
        }
    }

    /// Gives the lane a place in the turn, if it has something to send and room for it.
    fn enqueue(&mut self, key: EndpointKey) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && lane.is_ready()
            && !lane.in_turn
        {
            lane.in_turn = true;
            self.turn.push_back(key);
        }
    }

    /// Claims that are not being sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Empties the lanes of what is not being sent.
    pub(super) fn take_waiting(&mut self) -> Vec<Held> {
        self.turn.clear();
        self.waiting = 0;
        let mut taken = Vec::new();
        for lane in self.lanes.values_mut() {
            lane.in_turn = false;
            taken.extend(lane.queue.drain(..));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::domain::delivery::Claim;
    use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId};
    use crate::store::handoff::{Gate, HoldLimits};

    fn key(endpoint: u128) -> EndpointKey {
        (EnvironmentId::at(1, 1), EndpointId::at(1, endpoint))
    }

    fn held(endpoint: u128) -> Held {
        let gate = Gate::new(HoldLimits {
            claims_max: 1,
            claims_per_endpoint_max: 1,
            bytes_max: 1,
        });
        let claim = Claim {
            environment: key(endpoint).0,
            delivery: DeliveryId::at(1, 1),
            event: EventId::at(1, 1),
            endpoint: key(endpoint).1,
            lease: LeaseId::at(1, 1),
            number: 1,
            body: "{}".into(),
        };
        let slot = gate.reserve(key(endpoint), 0).expect("room");
        Held {
            claim,
            start_by: Instant::now() + Duration::from_secs(1),
            slot,
        }
    }

    fn started(lanes: &mut Lanes) -> Vec<EndpointKey> {
        std::iter::from_fn(|| lanes.next())
            .map(|held| (held.claim.environment, held.claim.endpoint))
            .collect()
    }

    #[tokio::test]
    async fn lanes_take_turns() {
        let mut lanes = Lanes::new(LaneLimits {
            in_flight_max: 4,
            per_endpoint_max: 4,
        });
        for endpoint in [1, 1, 1, 1, 2, 3] {
            lanes.push(held(endpoint));
        }

        assert_eq!(started(&mut lanes), [key(1), key(2), key(3), key(1)]);
        assert_eq!(lanes.waiting(), 2);
    }

    #[tokio::test]
    async fn a_lane_is_no_wider_than_its_limit() {
        let mut lanes = Lanes::new(LaneLimits {
            in_flight_max: 100,
            per_endpoint_max: 2,
        });
        for _ in 0..5 {
            lanes.push(held(1));
        }

        assert_eq!(started(&mut lanes).len(), 2);
        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes).len(), 1);
    }

    #[tokio::test]
    async fn a_lane_that_times_out_is_narrowed_and_widens_with_answers() {
        let mut lanes = Lanes::new(LaneLimits {
            in_flight_max: 100,
            per_endpoint_max: 8,
        });
        for _ in 0..40 {
            lanes.push(held(1));
        }
        assert_eq!(started(&mut lanes).len(), 8);

        (0..8).for_each(|_| lanes.ended(key(1), Pace::TimedOut));
        assert_eq!(started(&mut lanes).len(), 1);

        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes).len(), 2);
    }

    #[tokio::test]
    async fn what_waits_can_be_taken_back_and_what_is_under_way_cannot() {
        let mut lanes = Lanes::new(LaneLimits {
            in_flight_max: 1,
            per_endpoint_max: 8,
        });
        for endpoint in [1, 2, 3] {
            lanes.push(held(endpoint));
        }
        assert_eq!(started(&mut lanes), [key(1)]);

        assert_eq!(lanes.take_waiting().len(), 2);
        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes), []);
    }
}
