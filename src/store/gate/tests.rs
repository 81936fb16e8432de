//! The gate: what one endpoint may take, what is dealt out, and when room is told of.

use futures_util::FutureExt;

use super::*;
use crate::domain::id::{EndpointId, EnvironmentId};

fn endpoint(number: u128) -> EndpointKey {
    (EnvironmentId::at(1, 1), EndpointId::at(1, number))
}

fn gate(claims_max: usize, claims_per_endpoint_max: usize) -> Gate {
    Gate::new(HoldLimits {
        claims_max,
        claims_per_endpoint_max,
        bytes_max: 1000,
    })
}

fn counts(slots: &[Slot], endpoints: &[EndpointKey]) -> Vec<usize> {
    let of = |key: &EndpointKey| slots.iter().filter(|slot| slot.endpoint() == *key).count();
    endpoints.iter().map(of).collect()
}

#[test]
fn one_endpoint_cannot_take_all_the_room() {
    let gate = gate(3, 2);
    let first = [gate.reserve(endpoint(1), 1), gate.reserve(endpoint(1), 1)];

    assert!(first.iter().all(Option::is_some));
    assert!(gate.reserve(endpoint(1), 1).is_none());
    assert!(gate.reserve(endpoint(2), 1).is_some());
    drop(first);
    assert_eq!(gate.held(), 0);
}

#[test]
fn large_bodies_fill_the_gate_by_their_bytes() {
    let gate = gate(100, 100);
    let mut slots = gate.deal(&[endpoint(1)]);
    slots[0].weigh(1000);

    assert!(gate.is_full_of_bytes());
    assert!(gate.reserve(endpoint(2), 1).is_none());
    drop(slots);
    assert!(gate.reserve(endpoint(2), 1).is_some());
}

#[test]
fn a_deal_never_gives_out_more_than_there_is_and_starts_with_whom_least_is_held_of() {
    let gate = gate(16, 8);
    let keys: Vec<_> = (1..=5).map(endpoint).collect();
    let held: Vec<_> = (0..4).map(|_| gate.reserve(endpoint(1), 1)).collect();

    // a quarter of 16 is kept from endpoints that nothing is known of
    let slots = gate.deal(&keys);

    assert!(held.iter().all(Option::is_some));
    assert_eq!(counts(&slots, &keys), [0, 2, 2, 2, 2]);
    assert!(gate.deal(&keys).is_empty());
}

#[test]
fn endpoints_that_hang_leave_room_for_others() {
    let gate = gate(64, 8);
    let keys: Vec<_> = (1..=100).map(endpoint).collect();
    let prompt = Allowance {
        claims: 8,
        standing: Standing::Prompt,
    };
    let late = Allowance {
        claims: 4,
        standing: Standing::Late,
    };
    gate.allow(endpoint(200), prompt);
    let slots = gate.deal(&keys);
    assert_eq!(slots.len(), 48);

    keys.iter().for_each(|&key| gate.allow(key, late));

    assert_eq!(gate.deal(&keys).len(), 0);
    assert_eq!(gate.deal(&[endpoint(200)]).len(), 8);
    drop(slots);
    assert_eq!(gate.held(), 0);
    assert_eq!(gate.deal(&keys).len(), 32);
}

#[test]
fn a_bound_counts_whatever_the_lane_can_take_until_it_is_lifted() {
    let gate = gate(100, 64);
    gate.bound(endpoint(1), Some(0));
    gate.allow(endpoint(1), Allowance::default());
    assert!(gate.reserve(endpoint(1), 1).is_none());

    gate.bound(endpoint(1), Some(1));
    let probe = gate.deal(&[endpoint(1)]);
    assert_eq!(probe.len(), 1);
    gate.bound(endpoint(1), None);

    assert_eq!(gate.deal(&[endpoint(1)]).len(), FIRST_CLAIMS - 1);
}

#[tokio::test]
async fn room_is_told_of_when_as_many_claims_as_asked_for_or_all_have_ended() {
    let gate = gate(100, 64);
    let mut slots = gate.deal(&[endpoint(1)]);
    let told = async || gate.room_made().now_or_never().is_some();

    gate.tell_after(2);
    drop(slots.pop());
    assert!(!told().await);
    drop(slots.pop());
    assert!(told().await);
    drop(slots.pop());
    assert!(!told().await);

    gate.tell_after(slots.len() + 1);
    drop(slots);
    assert!(told().await);
    gate.tell_after(5);
    assert!(told().await, "nothing is held that could end");
}

#[test]
fn what_is_held_of_an_endpoint_follows_its_allowance() {
    let gate = gate(100, 64);
    assert_eq!(gate.deal(&[endpoint(1)]).len(), FIRST_CLAIMS);

    gate.allow(
        endpoint(1),
        Allowance {
            claims: 4,
            standing: Standing::Late,
        },
    );

    assert_eq!(gate.deal(&[endpoint(1)]).len(), 4);
}
