//! The gate: how much of what is owed a process holds, of one endpoint and in all.
//!
//! Invariant: a [`Slot`] bounds what a process holds from the claim to the end of its POST, so that one endpoint's
//! backlog stays in the database and not in memory. Counts only: how much an endpoint may hold is for its lane and
//! its breaker to say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::handoff::EndpointKey;
use super::shares::{Shares, Standing};

/// How much a process may hold.
#[derive(Debug, Clone, Copy)]
pub struct HoldLimits {
    pub claims_max: usize,
    pub claims_per_endpoint_max: usize,
    pub bytes_max: usize,
}

/// How many claims of an endpoint are held at first, until its lane says what it can take.
pub const FIRST_CLAIMS: usize = 32;

/// How much of one endpoint may be held, and from which share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub claims: usize,
    pub standing: Standing,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            claims: FIRST_CLAIMS,
            standing: Standing::default(),
        }
    }
}

/// Counts what is held.
#[derive(Clone)]
pub struct Gate {
    limits: HoldLimits,
    held: Arc<Mutex<Holdings>>,
    room_made: Arc<Notify>,
}

struct Holdings {
    claims: Shares,
    bytes: Shares,
    by_endpoint: HashMap<EndpointKey, Holding>,
    /// How many more claims must end before somebody is told.
    told_after: Option<usize>,
}

/// What is held of one endpoint.
#[derive(Default)]
struct Holding {
    claims: usize,
    bytes: usize,
    allowance: Allowance,
    /// Set while its breaker is not closed, whatever its lane can take.
    room: Option<usize>,
}

impl Holding {
    fn is_ordinary(&self) -> bool {
        self.claims == 0 && self.allowance == Allowance::default() && self.room.is_none()
    }
}

impl Holdings {
    fn has_room(&self, endpoint: EndpointKey, limits: &HoldLimits) -> bool {
        let ordinary = Holding::default();
        let holding = self.by_endpoint.get(&endpoint).unwrap_or(&ordinary);
        let allowance = holding.allowance;
        let room = holding.room.unwrap_or(usize::MAX);
        holding.claims
            < allowance
                .claims
                .min(limits.claims_per_endpoint_max)
                .min(room)
            && self.claims.room(allowance.standing) > 0
            && self.bytes.room(allowance.standing) > 0
    }

    fn held_of(&self, endpoint: EndpointKey) -> usize {
        self.by_endpoint
            .get(&endpoint)
            .map_or(0, |holding| holding.claims)
    }

    fn take(&mut self, endpoint: EndpointKey, claims: usize, bytes: usize) {
        let holding = self.by_endpoint.entry(endpoint).or_default();
        holding.claims += claims;
        holding.bytes += bytes;
        self.claims.take(holding.allowance.standing, claims);
        self.bytes.take(holding.allowance.standing, bytes);
    }

    /// Whether this was the last end that somebody waits for.
    fn counts_down(&mut self) -> bool {
        self.told_after = self.told_after.map(|ends| ends.saturating_sub(1));
        self.told_after.take_if(|ends| *ends == 0).is_some()
    }

    fn give_back(&mut self, endpoint: EndpointKey, bytes: usize) {
        let Some(holding) = self.by_endpoint.get_mut(&endpoint) else {
            return;
        };
        holding.claims = holding.claims.saturating_sub(1);
        holding.bytes = holding.bytes.saturating_sub(bytes);
        self.claims.give_back(holding.allowance.standing, 1);
        self.bytes.give_back(holding.allowance.standing, bytes);
        if holding.is_ordinary() {
            self.by_endpoint.remove(&endpoint);
        }
    }
}

/// Room for one claim; gives itself back.
pub struct Slot {
    gate: Gate,
    endpoint: EndpointKey,
    bytes: usize,
}

impl Gate {
    pub fn new(limits: HoldLimits) -> Self {
        let holdings = Holdings {
            claims: Shares::new(limits.claims_max),
            bytes: Shares::new(limits.bytes_max),
            by_endpoint: HashMap::new(),
            told_after: None,
        };
        Self {
            limits,
            held: Arc::new(Mutex::new(holdings)),
            room_made: Arc::default(),
        }
    }

    fn holdings(&self) -> MutexGuard<'_, Holdings> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for one claim of `bytes`, if there is any.
    pub fn reserve(&self, endpoint: EndpointKey, bytes: usize) -> Option<Slot> {
        let mut holdings = self.holdings();
        if !holdings.has_room(endpoint, &self.limits) {
            return None;
        }
        holdings.take(endpoint, 1, bytes);
        drop(holdings);
        Some(Slot {
            gate: self.clone(),
            endpoint,
            bytes,
        })
    }

    /// Takes all the room there is for claims of these endpoints and deals it out one by one: always to those
    /// of which the least is held, and among them in the order given.
    pub fn deal(&self, endpoints: &[EndpointKey]) -> Vec<Slot> {
        let mut holdings = self.holdings();
        let mut open = endpoints.to_vec();
        let mut slots = Vec::new();
        let mut level = 0;
        while !open.is_empty() {
            open.retain(|&endpoint| {
                if holdings.held_of(endpoint) > level {
                    return true;
                }
                let has_room = holdings.has_room(endpoint, &self.limits);
                if has_room {
                    holdings.take(endpoint, 1, 0);
                    slots.push(Slot {
                        gate: self.clone(),
                        endpoint,
                        bytes: 0,
                    });
                }
                has_room
            });
            level += 1;
        }
        slots
    }

    /// Sets how much of an endpoint may be held from now on; what is held already stays.
    pub fn allow(&self, endpoint: EndpointKey, allowance: Allowance) {
        let mut guard = self.holdings();
        let holdings = &mut *guard;
        let holding = holdings.by_endpoint.entry(endpoint).or_default();
        let before = holding.allowance.standing;
        holding.allowance = allowance;
        holdings.claims.give_back(before, holding.claims);
        holdings.claims.take(allowance.standing, holding.claims);
        holdings.bytes.give_back(before, holding.bytes);
        holdings.bytes.take(allowance.standing, holding.bytes);
        if holding.is_ordinary() {
            holdings.by_endpoint.remove(&endpoint);
        }
    }

    /// Sets how much of an endpoint may be held whatever its lane can take; `None`: as much as that.
    pub fn bound(&self, endpoint: EndpointKey, room: Option<usize>) {
        let mut holdings = self.holdings();
        let holding = holdings.by_endpoint.entry(endpoint).or_default();
        holding.room = room;
        if holding.is_ordinary() {
            holdings.by_endpoint.remove(&endpoint);
        }
    }

    /// Whether the bodies that are held leave no room for more.
    pub fn is_full_of_bytes(&self) -> bool {
        self.holdings().bytes.room(Standing::Prompt) == 0
    }

    /// How many claims are held in all.
    pub fn held(&self) -> usize {
        self.holdings().claims.in_use()
    }

    /// Makes `room_made` end when so many claims more have ended, or all that are held now.
    pub fn tell_after(&self, ends: usize) {
        let mut holdings = self.holdings();
        let ends = ends.min(holdings.claims.in_use());
        holdings.told_after = (ends > 0).then_some(ends);
        drop(holdings);
        if ends == 0 {
            self.room_made.notify_one();
        }
    }

    /// Waits until there is as much room as `tell_after` has asked for; one waits at a time.
    pub async fn room_made(&self) {
        self.room_made.notified().await;
    }
}

impl Slot {
    /// The endpoint whose claim has room here.
    pub const fn endpoint(&self) -> EndpointKey {
        self.endpoint
    }

    /// Says how large the body is, for a slot that was taken before that was known.
    pub fn weigh(&mut self, bytes: usize) {
        self.gate.holdings().take(self.endpoint, 0, bytes);
        self.bytes += bytes;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut holdings = self.gate.holdings();
        holdings.give_back(self.endpoint, self.bytes);
        if holdings.counts_down() {
            self.gate.room_made.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
