//! The process of the server: is it there, is it ours, and how it is stopped.
//!
//! Invariant: a process is signalled only if it can be the postmaster of this cluster: its pid stands in
//! `postmaster.pid`, and where the system tells, it is called `postgres` and is run by the cluster's user in
//! the cluster's folder. A pid that was given to another process is never signalled and never waited for.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::account::Account;
use super::error::EmbeddedError;
use super::layout::Layout;

/// How long a fast shutdown (no more queries, a last checkpoint) may take.
const FAST_STOP_WITHIN: Duration = Duration::from_secs(12);
/// How long an immediate one may take; the postmaster itself kills its children after five seconds.
const IMMEDIATE_STOP_WITHIN: Duration = Duration::from_secs(8);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What `postmaster.pid` says of a server that may be running.
///
/// Source: `miscadmin.h` of PostgreSQL, `LOCK_FILE_LINE_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    /// Absent while the server is still young.
    pub(super) socket_dir: Option<PathBuf>,
}

impl Postmaster {
    /// Returns the server that runs on the cluster; `None` when there is none, or only its stale file.
    pub(super) fn running(layout: &Layout, account: &Account) -> Option<Self> {
        let cluster = layout.cluster();
        let postmaster = parse(&fs::read(pid_file(&cluster)).ok()?)?;
        let alive = is_alive(postmaster.pid);
        (alive && belongs(postmaster.pid, &cluster, account) != Belongs::No).then_some(postmaster)
    }

    /// Stops the server: fast, then immediately; its clients are disconnected.
    ///
    /// Errors: `NotStopped` when it is still there after both, some twenty seconds.
    pub(super) async fn stop(&self, layout: &Layout) -> Result<(), EmbeddedError> {
        for (signal, patience) in [
            (Signal::SIGINT, FAST_STOP_WITHIN),
            (Signal::SIGQUIT, IMMEDIATE_STOP_WITHIN),
        ] {
            match kill(Pid::from_raw(self.pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(EmbeddedError::io("stop the server of", layout.data_dir())(
                        errno.into(),
                    ));
                }
            }
            if is_gone_within(self.pid, patience).await {
                return Ok(());
            }
            tracing::warn!(postmaster.pid = self.pid, %signal, "the database server did not stop in time");
        }
        Err(EmbeddedError::NotStopped {
            pid: self.pid,
            log: layout.log_dir(),
        })
    }
}

/// Makes way for a new postmaster where none is running. Behind the gate only.
///
/// A killed postmaster leaves its backends at their last query: they are waited for until `deadline`, because
/// the new one refuses to start beside them. Then a file whose pid another process has got meanwhile (usual in
/// containers, where pids are small) is removed, because PostgreSQL would take that process for its rival.
pub(super) async fn clear_the_way(
    layout: &Layout,
    account: &Account,
    deadline: Instant,
) -> Result<(), EmbeddedError> {
    let cluster = layout.cluster();
    while has_orphans(&cluster, account) {
        if Instant::now() >= deadline {
            // the new postmaster refuses by itself, and says which memory is in use
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
    let path = pid_file(&cluster);
    let Some(stale) = fs::read(&path).ok().as_deref().and_then(parse) else {
        return Ok(());
    };
    if is_alive(stale.pid) && belongs(stale.pid, &cluster, account) == Belongs::No {
        tracing::info!(
            postmaster.pid = stale.pid,
            "removed a lock file whose pid now is another process"
        );
        fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?;
    }
    Ok(())
}

pub(super) fn pid_file(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

/// Is there such a process? One of our own that has ended is reaped and counts as gone.
pub(super) fn is_alive(pid: i32) -> bool {
    let pid = Pid::from_raw(pid);
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) => true,
        Ok(_) => false,
        // not our child: adopted, or reaped already
        Err(_) => kill(pid, None).is_ok(),
    }
}

async fn is_gone_within(pid: i32, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while is_alive(pid) {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Yes,
    No,
    /// No /proc (macOS), or a root without the right to look (a container without `SYS_PTRACE`).
    Unknown,
}

/// Is the process a server process on this cluster?
fn belongs(pid: i32, cluster: &Path, account: &Account) -> Belongs {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(name) = fs::read_to_string(process.join("comm")) else {
        return if Path::new("/proc/self/comm").exists() {
            Belongs::No
        } else {
            Belongs::Unknown
        };
    };
    let runs_as = fs::metadata(&process).map(|metadata| metadata.uid());
    if name.trim_end() != "postgres" || !runs_as.is_ok_and(|uid| uid == account.uid) {
        return Belongs::No;
    }
    // every process of PostgreSQL works in its data folder
    match fs::read_link(process.join("cwd")) {
        Ok(cwd) if cwd == cluster => Belongs::Yes,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Belongs::Unknown,
        Ok(_) | Err(_) => Belongs::No,
    }
}

fn has_orphans(cluster: &Path, account: &Account) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes
        .flatten()
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .any(|pid| belongs(pid, cluster, account) == Belongs::Yes)
}

/// Shape: lines of pid, data folder, start time, port, socket folder, …; a lone backend's pid is negative.
fn parse(content: &[u8]) -> Option<Postmaster> {
    let mut lines = content.split(|&byte| byte == b'\n');
    let pid: i32 = std::str::from_utf8(lines.next()?)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let socket_dir = lines.nth(3).filter(|line| !line.is_empty());
    // 0 and -1 would mean "every process" to the calls this goes to
    let pid = pid.checked_abs().filter(|&pid| pid > 1)?;
    Some(Postmaster {
        pid,
        socket_dir: socket_dir.map(|line| PathBuf::from(OsString::from_vec(line.to_vec()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_tells_the_process_and_its_socket() {
        let file =
            b"4711\n/data/postgres\n1700000000\n5432\n/data/socket\n\n  5432001  65536\nready   \n";

        let socket_dir = Some(PathBuf::from("/data/socket"));
        assert_eq!(
            parse(file),
            Some(Postmaster {
                pid: 4711,
                socket_dir
            })
        );
    }

    #[test]
    fn a_half_written_pid_file_has_no_socket_yet() {
        assert_eq!(
            parse(b"4711\n/data/postgres\n"),
            Some(Postmaster {
                pid: 4711,
                socket_dir: None
            })
        );
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_pid_that_means_every_process_is_no_postmaster() {
        assert_eq!(parse(b"0\n"), None);
        assert_eq!(parse(b"-1\n"), None);
        assert_eq!(
            parse(b"-4711\n").map(|postmaster| postmaster.pid),
            Some(4711)
        );
    }
}
