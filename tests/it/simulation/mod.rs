//! Simulation: dispatch as it is, on a simulated database and network, driven by one seed through days of trouble.
//!
//! ```sh
//! cargo test --test it -- simulation                                          # seconds
//! TIDINGS_SIMULATION_SEED=17 cargo test --test it -- simulation --nocapture    # one seed again
//! TIDINGS_SIMULATION_DAYS=5000 cargo test --release --test it -- --ignored simulation --nocapture
//! ```
//!
//! Invariant: a seed is a history. Time is the paused runtime's, chance is [`dice`], and all of it runs on one thread.

mod conformance;
mod dice;
mod happenings;
mod laws;
mod ledger;
mod network;
mod rows;
mod sea;
mod server;
mod voyage;

use std::time::{Duration, Instant};

use tidings::domain::id::WorkerId;

use voyage::{Log, Pace, Voyage};

const DAY: Duration = Duration::from_secs(86_400);
/// Seeds of the short form.
const SEEDS: std::ops::Range<u64> = 0..3;
/// Days of the long form, unless somebody says how many.
const DAYS: u64 = 2_000;

/// The worker that a life of a server is.
fn worker(life: usize) -> WorkerId {
    WorkerId::at(1, u128::try_from(life).unwrap())
}

fn setting(name: &str) -> Option<u64> {
    let set = std::env::vars().find_map(|(key, value)| (key == name).then_some(value))?;
    Some(
        set.parse()
            .unwrap_or_else(|_| panic!("{name}={set} is no number")),
    )
}

/// Much within minutes, or less within a day or a week.
fn pace(seed: u64) -> Pace {
    let [lasts, gap, poll] = match seed % 3 {
        0 => [DAY / 144, DAY / 288_000, DAY / 172_800],
        1 => [DAY, DAY / 720, DAY / 1_440],
        _ => [DAY * 7, DAY / 72, DAY / 288],
    };
    Pace { lasts, gap, poll }
}

/// One voyage, on a runtime of its own.
fn sail(seed: u64) -> Log {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { Voyage::new(seed, pace(seed)).sail().await })
}

/// Sails seed after seed and tells what it came to.
fn sail_all(seeds: impl Iterator<Item = u64>, enough: Duration) {
    let began = Instant::now();
    let mut all = Log::default();
    let mut count = 0;
    for seed in seeds {
        let log = sail(seed);
        count += 1;
        all.lasted += log.lasted;
        all.happened += log.happened;
        all.deliveries += log.deliveries;
        all.posts += log.posts;
        all.again += log.again;
        all.lives += log.lives;
        if all.lasted >= enough {
            break;
        }
    }
    println!(
        "{count} seeds, {} days in {:.1} s: {} happenings, {} servers, {} deliveries, {} requests, {} of them again",
        all.lasted.as_secs() / DAY.as_secs(),
        began.elapsed().as_secs_f64(),
        all.happened,
        all.lives,
        all.deliveries,
        all.posts,
        all.again,
    );
    assert!(all.posts > 0 && all.again > 0, "{all:?}");
}

#[test]
fn whatever_happens_no_law_is_broken_and_every_delivery_ends() {
    match setting("TIDINGS_SIMULATION_SEED") {
        Some(seed) => println!("{:?}", sail(seed)),
        None => sail_all(SEEDS, Duration::MAX),
    }
}

#[test]
fn a_seed_is_one_history() {
    assert_eq!(sail(2), sail(2));
}

#[test]
#[ignore = "takes minutes; see the commands above"]
fn thousands_of_days_go_by_and_no_law_is_broken() {
    let days = setting("TIDINGS_SIMULATION_DAYS").unwrap_or(DAYS);
    let first = setting("TIDINGS_SIMULATION_SEED").unwrap_or(1_000);
    sail_all(first.., DAY * u32::try_from(days).unwrap());
}
