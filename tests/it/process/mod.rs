//! The real binary as a process: started, asked, killed, and gone when its test ends.
//!
//! Invariant: nothing outlives a test, whether it passed or not: a `Server` takes its process with it, a `Site`
//! the Postgres that its servers have left. Waiting is done in `eventually` alone.

mod child;
mod database;
mod hostile;
mod load;
mod plain;
mod proxy;
mod receiver;
mod server;
mod site;

pub(crate) use child::Process;
pub(crate) use database::{Cluster, connect};
pub(crate) use hostile::{Hostile, Manner};
pub(crate) use load::Load;
pub(crate) use plain::{PlainPostgres, program};
pub(crate) use proxy::{Cut, Proxy};
pub(crate) use receiver::Receiver;
pub(crate) use server::Server;
pub(crate) use site::{KEY, SILENT_NAME_SERVER, Site, may_mount, text};

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidings::config::load::variable;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When it has found nothing within `limit`.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    let mut looks = looks();
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
    }
}

/// The pace of looking, and of trying again.
pub(crate) fn looks() -> Interval {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How much of something: `short` with each change, `long` with `TIDINGS_TEST_LONG=1` (`.ci/campaign`).
pub(crate) fn at_length(short: usize, long: usize) -> usize {
    match variable("TIDINGS_TEST_LONG") {
        Some(_) => long,
        None => short,
    }
}

/// Says that a test is skipped for want of a tool, which `TIDINGS_TEST_REQUIRE=1` does not allow.
pub(crate) fn skipped_without(tool: &str) {
    let required = variable("TIDINGS_TEST_REQUIRE").is_some();
    assert!(!required, "{tool} is not installed");
    eprintln!("skipped: {tool} is not installed");
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Sends a signal to a process that this test has started, or that one of its servers has.
pub(crate) fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "{pid} would mean every process");
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether the process is there; one that has ended and was not reaped yet is not.
pub(crate) fn is_running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

/// Ends a Postgres that this test has started, and waits until it is gone. For `drop`, where nothing can wait.
fn end_postgres(pid: i32) {
    let is_postgres = std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| name.trim_end() == "postgres");
    if pid <= 1 || !is_postgres {
        return;
    }
    let _gone = kill(Pid::from_raw(pid), Signal::SIGQUIT);
    let deadline = std::time::Instant::now() + seconds(10);
    while is_running(pid) && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
}

/// A process and its children.
pub(crate) fn processes_of(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    std::iter::once(parent)
        .chain(pids.filter(is_child))
        .collect()
}
