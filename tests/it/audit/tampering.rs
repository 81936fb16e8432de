//! Bar: whoever owns the database edits it, and the auditor finds out offline.
//!
//! Each edit is one transaction of a superuser: edit, then the export is made on that same connection by the code
//! that servers run, verified with a retained checkpoint and the extent *whole*, and rolled back. An edit counts as
//! found when the verifier calls the export broken, or when no export comes out of it at all. What nobody commits to
//! has a test of its own: editing it leaves the export as it was, byte for byte. `TIDINGS_TEST_LONG=1` makes it
//! 10,000 edits and 1,000 untouched exports; the seed is told when a test fails, and taken from `TIDINGS_TEST_SEED`.

mod edits;
mod scene;
mod untouched;

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use edits::Edit;
use scene::{Outcome, Scene};

use tidings::domain::audit::verify::Verdict;

fn variable(name: &str) -> Option<String> {
    std::env::vars().find_map(|(key, value)| (key == name).then_some(value))
}

fn is_long() -> bool {
    variable("TIDINGS_TEST_LONG").is_some()
}

fn seed() -> u64 {
    let given = variable("TIDINGS_TEST_SEED").map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_of_what_a_kept_checkpoint_covers_is_found() {
    let count = if is_long() { 10_000 } else { 300 };
    let seed = seed();
    let scene = Scene::new().await;
    let mut found: BTreeMap<&'static str, [u32; 2]> = BTreeMap::new();
    for number in 0..count {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
        let edit = Edit::any(&mut random);
        let name = edit.name();
        let tally = found.entry(name).or_default();
        match scene.judge(edit, &mut random).await {
            Outcome::Verdict(Verdict::Broken(_)) => tally[0] += 1,
            Outcome::NoExport(_) => tally[1] += 1,
            missed @ (Outcome::Verdict(_) | Outcome::AsBefore) => {
                panic!("edit {number} of seed {seed}, {name}: {missed:?}")
            }
        }
    }
    println!("seed {seed}: {count} edits, all found");
    for (name, [broken, no_export]) in found {
        println!("{name:32} broken {broken:5}  no export {no_export:5}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_nobody_commits_to_changes_no_export() {
    let scene = Scene::new().await;

    for edit in Edit::UNCOMMITTED {
        let mut random = StdRng::seed_from_u64(1);
        let outcome = scene.judge(edit, &mut random).await;
        assert!(
            matches!(outcome, Outcome::AsBefore),
            "{edit:?}: {outcome:?}"
        );
    }
}
