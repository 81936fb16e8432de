//! The queue is bounded, and shared.
//!
//! Does not commit: the tests in `tests/it` do.

use super::*;
use crate::domain::time::Clock;

fn settings() -> RecorderSettings {
    RecorderSettings {
        connections: 1,
        queue_events_max: 900,
        queue_bytes_max: 9_000,
        batch_events_max: 500,
        batch_bytes_max: 9_000,
    }
}

/// Lets an environment queue as many requests of one event as it may.
fn filled(queues: &mut Queues, environment: EnvironmentId, weight: usize) -> usize {
    let mut taken = 0;
    while queues.has_room(environment, &settings()) {
        let queue = queues.by_environment.entry(environment).or_default();
        queue.events += 1;
        queue.bytes += weight;
        queues.events += 1;
        queues.bytes += weight;
        taken += 1;
    }
    taken
}

#[test]
fn no_environment_fills_the_queue_and_there_is_room_for_the_next() {
    let mut queues = Queues::default();
    let next = || EnvironmentId::new(Clock::System.now());

    let greedy: Vec<usize> = (0..4).map(|_| filled(&mut queues, next(), 1)).collect();

    assert_eq!(greedy, [600, 200, 67, 22]);
    assert!(queues.has_room(next(), &settings()));
}

#[test]
fn bytes_are_shared_as_events_are() {
    let mut queues = Queues::default();
    let next = || EnvironmentId::new(Clock::System.now());

    assert_eq!(filled(&mut queues, next(), 100), 60);
    assert!(queues.has_room(next(), &settings()));
}
