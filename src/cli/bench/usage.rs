//! Usage: the CPU time and memory of processes on this machine, read from `/proc`.
//!
//! Invariant: the time of a Postgres counts its backends, those that have ended too; the time of a server does not
//! count the Postgres that it has started. Where there is no `/proc`, or a process is not known, the answer is
//! `None`, never a guess. Units: the system counts CPU time in hundredths of a second for each process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// The processes that do the work.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    server: Option<i32>,
    postmaster: Option<i32>,
}

/// CPU time since the processes began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    pub(super) server: Option<Duration>,
    pub(super) postgres: Option<Duration>,
    /// This process.
    pub(super) bench: Option<Duration>,
    /// Everything on the machine.
    pub(super) machine: Option<Duration>,
}

impl Processes {
    /// Finds the Postgres: a child of the server, or else the parent of one of its backends.
    pub(super) fn find(server: Option<i32>, backend: Option<i32>) -> Self {
        let all = Table::read();
        let child = server.and_then(|server| {
            let mut children = all.children(server);
            children.find(|&pid| is_postgres(pid))
        });
        let parent = || {
            backend
                .filter(|&pid| is_postgres(pid))
                .and_then(|pid| all.parent(pid))
        };
        Self {
            server: server.filter(|&pid| all.parent(pid).is_some()),
            postmaster: child.or_else(|| parent().filter(|&pid| is_postgres(pid))),
        }
    }

    pub(super) fn know_the_server(&self) -> bool {
        self.server.is_some()
    }

    pub(super) fn cpu(&self) -> Cpu {
        let all = Table::read();
        let postgres = self.postmaster.map(|root| all.tree(root));
        let ticks = |pids: &BTreeSet<i32>| pids.iter().filter_map(|&pid| all.ticks(pid)).sum();
        let own = |pid: i32| {
            let pids = all.tree(pid);
            let without = postgres.as_ref().map_or_else(
                || pids.clone(),
                |postgres| pids.difference(postgres).copied().collect(),
            );
            time(ticks(&without))
        };
        Cpu {
            server: self.server.and_then(own),
            postgres: postgres.as_ref().and_then(|pids| time(ticks(pids))),
            // Without children: the server that the bench has started is one.
            bench: own_pid().and_then(|pid| time(all.own_ticks(pid)?)),
            machine: machine_ticks().and_then(time),
        }
    }

    /// Forgets the server's peak, as far as the system lets us.
    pub(super) fn forget_peak(&self) {
        if let Some(pid) = self.server {
            // Another user's process keeps its peak, which is then too high rather than too low.
            let _refused = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// The most memory that the server had resident.
    pub(super) fn server_peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}

impl Cpu {
    /// The time between two readings.
    pub(super) fn since(&self, before: &Self) -> Self {
        let between =
            |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before?));
        Self {
            server: between(self.server, before.server),
            postgres: between(self.postgres, before.postgres),
            bench: between(self.bench, before.bench),
            machine: between(self.machine, before.machine),
        }
    }

    /// Server and Postgres together; only when both are known.
    pub(super) fn platform(&self) -> Option<Duration> {
        Some(self.server? + self.postgres?)
    }

    /// What the rest of the machine did meanwhile.
    pub(super) fn others(&self) -> Option<Duration> {
        let ours = self.platform()? + self.bench?;
        Some(self.machine?.saturating_sub(ours))
    }
}

/// All processes at one moment.
struct Table(BTreeMap<i32, Process>);

struct Process {
    parent: i32,
    /// Its threads', those that have ended too.
    own: u64,
    /// Of children that have ended.
    reaped: u64,
}

impl Table {
    fn read() -> Self {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let stat =
                pid.and_then(|pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
            if let (Some(pid), Some(process)) = (pid, stat.as_deref().and_then(Process::parse)) {
                all.insert(pid, process);
            }
        }
        Self(all)
    }

    fn parent(&self, pid: i32) -> Option<i32> {
        self.0.get(&pid).map(|process| process.parent)
    }

    fn own_ticks(&self, pid: i32) -> Option<u64> {
        self.0.get(&pid).map(|process| process.own)
    }

    fn ticks(&self, pid: i32) -> Option<u64> {
        let process = self.0.get(&pid)?;
        Some(process.own + process.reaped)
    }

    fn children(&self, pid: i32) -> impl Iterator<Item = i32> {
        let all = self.0.iter();
        all.filter(move |(_, process)| process.parent == pid)
            .map(|(&child, _)| child)
    }

    /// The process and all below it.
    fn tree(&self, root: i32) -> BTreeSet<i32> {
        let (mut found, mut open) = (BTreeSet::new(), vec![root]);
        while let Some(pid) = open.pop() {
            if self.0.contains_key(&pid) && found.insert(pid) {
                open.extend(self.children(pid));
            }
        }
        found
    }
}

impl Process {
    /// Source: proc_pid_stat(5). The name in brackets may hold anything, so the fields are counted behind it: state
    /// is the third, parent the fourth, utime, stime, cutime and cstime the fourteenth to seventeenth.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let mut ticks = fields.skip(9).map(|field| field.parse::<u64>().ok());
        Some(Self {
            parent,
            own: ticks.next()?? + ticks.next()??,
            reaped: ticks.next()?? + ticks.next()??,
        })
    }
}

fn own_pid() -> Option<i32> {
    i32::try_from(std::process::id()).ok()
}

/// Backends change their command line to "postgres: …", but not the name of their program.
fn is_postgres(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| matches!(name.trim_end(), "postgres" | "postmaster"))
}

/// Source: proc_stat(5): user, nice, system, (idle, iowait,) irq, softirq.
fn machine_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6].map(|index| fields.get(index).copied());
    busy.into_iter().sum()
}

fn time(ticks: u64) -> Option<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    let nanos_per_tick = 1_000_000_000 / u64::try_from(per_second).ok()?;
    Some(Duration::from_nanos(ticks.checked_mul(nanos_per_tick)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(parent: i32, own: u64, reaped: u64) -> Process {
        Process {
            parent,
            own,
            reaped,
        }
    }

    #[test]
    fn a_name_with_brackets_and_blanks_shifts_no_field() {
        let stat = "17 (a) b (c) S 4 17 17 0 -1 4194304 1 2 3 4 50 6 700 8 20 0 1 0";
        let read = Process::parse(stat).unwrap();

        assert_eq!((read.parent, read.own, read.reaped), (4, 56, 708));
        assert!(Process::parse("17 (cut").is_none());
    }

    #[test]
    fn a_tree_holds_all_that_is_below_its_root() {
        let all = [(1, 0), (2, 1), (3, 2), (4, 1), (5, 0)];
        let table = Table(all.map(|(pid, parent)| (pid, process(parent, 1, 0))).into());

        assert_eq!(table.tree(2), [2, 3].into());
        assert_eq!(table.tree(1), [1, 2, 3, 4].into());
        assert!(table.tree(9).is_empty());
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let known = Cpu {
            server: Some(Duration::from_millis(20)),
            ..Cpu::default()
        };

        assert_eq!(known.platform(), None);
        assert_eq!(known.others(), None);
        assert_eq!(known.since(&known).server, Some(Duration::ZERO));
        assert_eq!(Processes::find(None, None).cpu().server, None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_time_and_memory() {
        let us = Processes::find(own_pid(), None);
        let before = us.cpu();
        let mut number = 1_u64;
        while us.cpu().since(&before).server < Some(Duration::from_millis(200)) {
            for step in 0..1_000_000 {
                number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(step));
            }
        }

        let used = us.cpu().since(&before);
        // Both count ticks of 10 ms, each from its own beginning.
        let machine = used.machine.map(|time| time + Duration::from_millis(40));
        assert!(machine >= used.bench, "{used:?}");
        assert!(us.server_peak_bytes() > Some(1024 * 1024));
    }
}
