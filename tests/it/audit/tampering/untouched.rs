//! No false alarm: exports of logs that live, and that nobody has edited.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidings::domain::audit::verify::{Extent, Verdict, verify};
use tidings::domain::time;

use super::{is_long, seed};
use crate::audit::redaction::redact;
use crate::audit::trail::Trail;

/// Exports of one log.
const EACH: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_export_raises_no_alarm() {
    let logs = if is_long() { 20 } else { 1 };
    let seed = seed();
    let (mut intact, mut undecided) = (0, 0);
    for log in 0..logs {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(log));
        let mut trail = Trail::new().await;
        trail.record(random.random_range(1..40)).await;
        let mut kept = vec![trail.checkpoint().await];
        let mut times = vec![trail.platform.clock.now()];
        for number in 0..EACH {
            live(&mut trail, &mut random).await;
            kept.push(trail.checkpoint().await);
            times.push(trail.platform.clock.now());
            let (more, extent) = wanted(&times, &mut random);
            let text = trail.export(more.clone()).await;
            let retained = &kept[random.random_range(0..kept.len())];
            let trust = trail.trust(Some(retained), extent).await;
            let report = verify(text.lines(), &trust);
            let told = format!("seed {seed}, log {log}, export {number}, {more}: {report}");
            match report.verdict {
                Verdict::Intact => intact += 1,
                Verdict::Undecided => undecided += 1,
                Verdict::Broken(_) => panic!("{told}"),
            }
            let may_be_undecided = extent == Extent::AsStated;
            assert!(report.is_intact() || may_be_undecided, "{told}");
        }
    }
    println!("seed {seed}: {intact} intact, {undecided} without the entry that links them");
}

/// Something happens, or nothing.
async fn live(trail: &mut Trail, random: &mut StdRng) {
    let hours = Duration::from_secs(3_600 * random.random_range(1..24));
    trail.platform.clock.advance(hours);
    match random.random_range(0..6) {
        0..3 => trail.record(random.random_range(1..20)).await,
        3 => {
            let leaves = trail.kept_leaves().await;
            let some = leaves.into_iter().filter(|_| random.random_ratio(1, 8));
            let some: Vec<i64> = some.collect();
            redact(trail, &some).await;
        }
        4 => trail.expire(0).await,
        _ => {}
    }
}

/// Everything, a range of times, a filter, or both.
fn wanted(times: &[chrono::DateTime<chrono::Utc>], random: &mut StdRng) -> (Value, Extent) {
    let mut more = json!({});
    let is_part = random.random();
    let is_filtered = random.random();
    if is_part {
        let (a, b) = (
            random.random_range(0..times.len()),
            random.random_range(0..times.len()),
        );
        more["range_start"] = json!(time::to_text(times[a.min(b)]));
        more["range_end"] = json!(time::to_text(times[a.max(b)]));
    }
    if is_filtered {
        let filters = [
            ("actions", "user.action_1"),
            ("actions", "user.*"),
            ("actions", "audit_log.redacted"),
            ("actor_ids", "u3"),
            ("targets", "team"),
        ];
        let (name, value) = filters[random.random_range(0..filters.len())];
        more[name] = json!([value]);
    }
    let extent = if is_part || is_filtered {
        Extent::AsStated
    } else {
        Extent::Whole
    };
    (more, extent)
}
