//! Lanes: what is in hand, one lane for each endpoint, served in turn.
//!
//! Invariant: an endpoint has at most its lane's width of POSTs under way, and lanes take turns for the permits
//! of the process, of which a share is kept for those that answer, so a slow endpoint delays only itself. A lane
//! begins narrow, widens with every answer and is halved by a timeout; the gate is told, so that what waits for
//! a lane follows its width. Does no IO and reads no clock.

use std::collections::{HashMap, VecDeque};

use crate::store::gate::{Allowance, FIRST_CLAIMS, Gate};
use crate::store::handoff::{EndpointKey, Held};
use crate::store::shares::{Shares, Standing};

/// Claims that may be held for each POST that a lane may have under way.
const CLAIMS_PER_PERMIT: usize = 4;
/// How wide a lane is of which nothing is known.
const FIRST_WIDTH: usize = FIRST_CLAIMS / CLAIMS_PER_PERMIT;
/// Idle lanes that are remembered; then all are forgotten, and begin anew.
const LANES_MAX: usize = 10_000;

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneLimits {
    pub(super) in_flight_max: usize,
    pub(super) per_endpoint_max: usize,
}

/// What the end of a POST says about its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Answered,
    /// It answered, but so late that permits are better kept for others.
    Slow,
    TimedOut,
    /// Nothing: no POST was made.
    Unknown,
}

/// Everything in hand.
pub(super) struct Lanes {
    limits: LaneLimits,
    gate: Gate,
    permits: Shares,
    lanes: HashMap<EndpointKey, Lane>,
    /// Lanes that have something to send and room for it, in turn, by their standing.
    turns: [VecDeque<(u64, EndpointKey)>; 3],
    /// The next place in the turn.
    place: u64,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Held>,
    in_flight: usize,
    width: usize,
    standing: Standing,
    in_turn: bool,
}

impl Lane {
    fn is_ready(&self) -> bool {
        !self.queue.is_empty() && self.in_flight < self.width
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0
    }

    /// Width and standing after one more end.
    fn paced(&self, pace: Pace, limits: LaneLimits) -> (usize, Standing) {
        let first = FIRST_WIDTH.min(limits.per_endpoint_max);
        match pace {
            Pace::Unknown => (self.width, self.standing),
            Pace::TimedOut => ((self.width / 2).max(1), Standing::Late),
            Pace::Slow if self.standing == Standing::Late => (self.width, Standing::Late),
            Pace::Slow => (self.width.min(first), Standing::Untried),
            Pace::Answered => {
                let width = (self.width + 1).min(limits.per_endpoint_max);
                match self.standing == Standing::Late && width < first {
                    true => (width, Standing::Late),
                    false => (width, Standing::Prompt),
                }
            }
        }
    }
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits, gate: Gate) -> Self {
        Self {
            limits,
            gate,
            permits: Shares::new(limits.in_flight_max),
            lanes: HashMap::new(),
            turns: Default::default(),
            place: 0,
        }
    }

    /// Puts a claim at the end of its lane.
    pub(super) fn push(&mut self, held: Held) {
        let key = (held.claim.environment, held.claim.endpoint);
        let width = FIRST_WIDTH.min(self.limits.per_endpoint_max);
        let lane = self.lanes.entry(key).or_insert_with(|| Lane {
            width,
            ..Lane::default()
        });
        lane.queue.push_back(held);
        self.enqueue(key);
    }

    /// Takes the next claim to send, if a permit and a lane are free.
    pub(super) fn next(&mut self) -> Option<Held> {
        loop {
            let permits = &self.permits;
            let open = self.turns.iter_mut().zip(TURNS);
            let open = open.filter(|(_, standing)| permits.room(*standing) > 0);
            let fronts = open.filter_map(|(turn, standing)| {
                let place = turn.front()?.0;
                Some((place, turn, standing))
            });
            let (_, turn, standing) = fronts.min_by_key(|(place, ..)| *place)?;
            let (_, key) = turn.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&key) else {
                continue;
            };
            lane.in_turn = false;
            // What ended meanwhile may have changed its standing, and with it its turn.
            if lane.is_ready() && lane.standing == standing {
                let held = lane.queue.pop_front();
                lane.in_flight += 1;
                self.permits.take(standing, 1);
                self.enqueue(key);
                return held;
            }
            self.enqueue(key);
        }
    }

    /// Frees the permit of a claim that `next` gave out.
    pub(super) fn ended(&mut self, key: EndpointKey, pace: Pace) {
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        self.permits.give_back(lane.standing, lane.in_flight);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        let before = (lane.width, lane.standing);
        (lane.width, lane.standing) = lane.paced(pace, self.limits);
        self.permits.take(lane.standing, lane.in_flight);
        if before != (lane.width, lane.standing) {
            let allowance = Allowance {
                claims: lane.width * CLAIMS_PER_PERMIT,
                standing: lane.standing,
            };
            self.gate.allow(key, allowance);
        }
        self.enqueue(key);
        if self.lanes.len() > LANES_MAX {
            self.forget_idle();
        }
    }

    fn forget_idle(&mut self) {
        let gate = &self.gate;
        self.lanes.retain(|key, lane| {
            let idle = lane.is_idle();
            if idle {
                gate.allow(*key, Allowance::default());
            }
            !idle
        });
    }

    /// Gives the lane a place in the turn, if it has something to send and room for it.
    fn enqueue(&mut self, key: EndpointKey) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && lane.is_ready()
            && !lane.in_turn
        {
            lane.in_turn = true;
            let [prompt, untried, late] = &mut self.turns;
            let turn = match lane.standing {
                Standing::Prompt => prompt,
                Standing::Untried => untried,
                Standing::Late => late,
            };
            turn.push_back((self.place, key));
            self.place += 1;
        }
    }

    /// Empties the lanes of what is not being sent.
    pub(super) fn take_waiting(&mut self) -> Vec<Held> {
        self.turns = Default::default();
        let mut taken = Vec::new();
        for lane in self.lanes.values_mut() {
            lane.in_turn = false;
            taken.extend(lane.queue.drain(..));
        }
        taken
    }
}

/// Whose turns `Lanes::turns` holds.
const TURNS: [Standing; 3] = [Standing::Prompt, Standing::Untried, Standing::Late];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::domain::delivery::Claim;
    use crate::domain::id::{DeliveryId, EndpointId, EnvironmentId, EventId, LeaseId};
    use crate::store::gate::HoldLimits;

    fn key(endpoint: u128) -> EndpointKey {
        (EnvironmentId::at(1, 1), EndpointId::at(1, endpoint))
    }

    fn gate(claims_max: usize) -> Gate {
        Gate::new(HoldLimits {
            claims_max,
            claims_per_endpoint_max: claims_max,
            bytes_max: 1,
        })
    }

    fn held(endpoint: u128) -> Held {
        let claim = Claim {
            environment: key(endpoint).0,
            delivery: DeliveryId::at(1, 1),
            event: EventId::at(1, 1),
            endpoint: key(endpoint).1,
            lease: LeaseId::at(1, 1),
            number: 1,
            body: "{}".into(),
        };
        let slot = gate(1).reserve(key(endpoint), 0).expect("room");
        Held {
            claim,
            start_by: Instant::now() + Duration::from_secs(1),
            slot,
        }
    }

    fn lanes(in_flight_max: usize, per_endpoint_max: usize) -> Lanes {
        let limits = LaneLimits {
            in_flight_max,
            per_endpoint_max,
        };
        Lanes::new(limits, gate(1_000))
    }

    fn push(lanes: &mut Lanes, endpoint: u128, count: usize) {
        (0..count).for_each(|_| lanes.push(held(endpoint)));
    }

    fn started(lanes: &mut Lanes) -> Vec<EndpointKey> {
        std::iter::from_fn(|| lanes.next())
            .map(|held| (held.claim.environment, held.claim.endpoint))
            .collect()
    }

    #[tokio::test]
    async fn lanes_take_turns() {
        let mut lanes = lanes(5, 4);
        push(&mut lanes, 1, 4);
        push(&mut lanes, 2, 1);
        push(&mut lanes, 3, 1);

        // a quarter is kept from endpoints that nothing is known of
        assert_eq!(started(&mut lanes), [key(1), key(2), key(3), key(1)]);
        assert_eq!(lanes.take_waiting().len(), 2);
    }

    #[tokio::test]
    async fn a_lane_is_no_wider_than_its_limit() {
        let mut lanes = lanes(100, 2);
        push(&mut lanes, 1, 5);

        assert_eq!(started(&mut lanes).len(), 2);
        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes).len(), 1);
    }

    #[tokio::test]
    async fn a_lane_that_times_out_is_narrowed_and_widens_with_answers() {
        let mut lanes = lanes(100, 8);
        push(&mut lanes, 1, 40);
        assert_eq!(started(&mut lanes).len(), 8);

        (0..8).for_each(|_| lanes.ended(key(1), Pace::TimedOut));
        assert_eq!(started(&mut lanes).len(), 1);

        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes).len(), 2);
    }

    #[tokio::test]
    async fn claims_that_were_not_sent_do_not_widen_a_lane() {
        let mut lanes = lanes(100, 8);
        push(&mut lanes, 1, 40);
        assert_eq!(started(&mut lanes).len(), 8);
        (0..8).for_each(|_| lanes.ended(key(1), Pace::TimedOut));

        for _ in 0..10 {
            assert_eq!(started(&mut lanes).len(), 1);
            lanes.ended(key(1), Pace::Unknown);
        }
    }

    #[tokio::test]
    async fn lanes_that_hang_leave_permits_to_others_from_the_first_moment_on() {
        let mut lanes = lanes(256, 32);
        push(&mut lanes, 999, 1);
        assert_eq!(started(&mut lanes), [key(999)]);
        lanes.ended(key(999), Pace::Answered);
        for hanging in 0..100 {
            push(&mut lanes, hanging, 32);
        }
        assert_eq!(started(&mut lanes).len(), 192);

        push(&mut lanes, 999, 9);
        assert_eq!(started(&mut lanes), [key(999); 9]);

        // once they have timed out, there is room for newcomers too
        let mut timed_out = 0;
        while timed_out < 192 {
            (0..100).for_each(|hanging| lanes.ended(key(hanging), Pace::TimedOut));
            timed_out += 100;
        }
        let again = started(&mut lanes);
        assert!(again.len() <= 128, "{}", again.len());
        push(&mut lanes, 998, 8);
        assert_eq!(started(&mut lanes), [key(998); 8]);
    }

    #[tokio::test]
    async fn the_gate_holds_as_much_of_an_endpoint_as_its_lane_can_take() {
        let gate = gate(1_000);
        let limits = LaneLimits {
            in_flight_max: 100,
            per_endpoint_max: 32,
        };
        let mut lanes = Lanes::new(limits, gate.clone());
        assert_eq!(gate.deal(&[key(1)]).len(), FIRST_CLAIMS);
        push(&mut lanes, 1, 3);
        assert_eq!(started(&mut lanes).len(), 3);

        (0..3).for_each(|_| lanes.ended(key(1), Pace::TimedOut));
        assert_eq!(gate.deal(&[key(1)]).len(), CLAIMS_PER_PERMIT);

        lanes.forget_idle();
        assert_eq!(gate.deal(&[key(1)]).len(), FIRST_CLAIMS);
    }

    #[tokio::test]
    async fn what_waits_can_be_taken_back_and_what_is_under_way_cannot() {
        let mut lanes = lanes(1, 8);
        [1, 2, 3]
            .into_iter()
            .for_each(|endpoint| push(&mut lanes, endpoint, 1));
        assert_eq!(started(&mut lanes), [key(1)]);

        assert_eq!(lanes.take_waiting().len(), 2);
        lanes.ended(key(1), Pace::Answered);
        assert_eq!(started(&mut lanes), []);
    }
}
