//! Progress: one line on a terminal while it runs, and the watch over whether anything still moves.
//!
//! Invariant: writes to standard error, and only when that is a terminal; the line is gone when it ends.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ledger::Ledger;

const EVERY: Duration = Duration::from_millis(100);
/// Back to the start of the line, and clear it.
const CLEAR: &str = "\r\u{1b}[K";

/// Shows progress until nothing has moved for `patience`, or until `ended`; answers whether it ended.
pub(super) async fn watch(
    what: &str,
    ledger: &Ledger,
    patience: Duration,
    mut ended: impl FnMut() -> bool,
) -> bool {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut progress, mut moved_at) = (ledger.progress(), Instant::now());
    loop {
        ticks.tick().await;
        if ended() {
            clear();
            return true;
        }
        show(what, ledger);
        let now = ledger.progress();
        if now != progress {
            (progress, moved_at) = (now, Instant::now());
        } else if moved_at.elapsed() > patience {
            clear();
            return false;
        }
    }
}

/// Says what is being done, while nothing can be counted.
pub(super) fn say(what: &str) {
    put(&format!("{CLEAR}{what} …"));
}

pub(super) fn clear() {
    put(CLEAR);
}

fn show(what: &str, ledger: &Ledger) {
    let counts = &ledger.counts;
    let [accepted, delivered, failed] = [&counts.accepted, &counts.delivered, &counts.failed]
        .map(|count| count.load(Ordering::Relaxed));
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    put(&format!(
        "{CLEAR}{what}: {accepted} accepted, {delivered} delivered{failed}"
    ));
}

fn put(text: &str) {
    let mut to = stderr();
    if to.is_terminal() {
        // A terminal that is gone is no reason to stop measuring.
        let _gone = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }
}
