//! Who may serve, who may start and stop the cluster, and who still uses it.
//!
//! Three advisory locks, all dropped by the kernel when their holder dies:
//! `serve.lock` is held by the one server, with its pid inside. `cluster.lock` is the *gate*: entering (join the
//! users, then adopt or start) and leaving (leave the users, then stop if nobody is left) each happen as a whole
//! behind it. `users.lock` is held *shared* by every user of the cluster.
//!
//! Invariant: `users.lock` changes hands only behind the gate, so "nobody else holds it" stays true until the
//! gate opens: a cluster is never stopped under a command that has just found it running, nor started twice.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::error::EmbeddedError;
use super::layout::Layout;

const TRY_AGAIN_AFTER: Duration = Duration::from_millis(25);

/// A held lock.
#[derive(Debug)]
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // closing is not enough: a child between fork and exec has a copy of the descriptor for a moment
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "could not unlock; closing the file does it");
        }
    }
}

/// The right to be the only server of a data directory.
#[derive(Debug)]
pub(super) struct Serving {
    _held: Held,
}

impl Serving {
    /// Takes the right at once or says which process has it.
    pub(super) fn take(layout: &Layout) -> Result<Self, EmbeddedError> {
        let path = layout.serve_lock();
        let mut file = layout.open_own_file(&path)?;
        if !try_exclusive(&file, &path)? {
            let data_dir = layout.data_dir().to_path_buf();
            return Err(EmbeddedError::AlreadyServed {
                data_dir,
                pid: read_pid(&mut file),
            });
        }
        write_pid(&mut file).map_err(EmbeddedError::io("write", &path))?;
        Ok(Self { _held: Held(file) })
    }
}

/// The right to enter or leave; held for as long as that takes.
#[derive(Debug)]
pub(super) struct Gate {
    _held: Held,
}

impl Gate {
    /// Waits for its turn, for at most `patience`.
    pub(super) async fn pass(layout: &Layout, patience: Duration) -> Result<Self, EmbeddedError> {
        let path = layout.gate_lock();
        let file = layout.open_own_file(&path)?;
        let deadline = Instant::now() + patience;
        while !try_exclusive(&file, &path)? {
            if Instant::now() >= deadline {
                return Err(EmbeddedError::Contended {
                    data_dir: layout.data_dir().to_path_buf(),
                    waited_secs: patience.as_secs(),
                });
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
        Ok(Self { _held: Held(file) })
    }
}

/// Being one of those who use the cluster.
#[derive(Debug)]
pub(super) struct User {
    held: Held,
}

impl User {
    /// Joins the users; the borrowed gate is the proof that nobody is leaving meanwhile.
    pub(super) fn join(layout: &Layout, _gate: &Gate) -> Result<Self, EmbeddedError> {
        let path = layout.users_lock();
        let file = layout.open_own_file(&path)?;
        // held exclusively by leavers only, behind the gate: this does not wait
        file.lock_shared()
            .map_err(EmbeddedError::io("lock", &path))?;
        Ok(Self { held: Held(file) })
    }

    /// Leaves the users, and tells whether that leaves none.
    pub(super) fn leave(self, layout: &Layout, _gate: &Gate) -> Result<Left, EmbeddedError> {
        let path = layout.users_lock();
        let file = &self.held.0;
        file.unlock().map_err(EmbeddedError::io("unlock", &path))?;
        let last = try_exclusive(file, &path)?;
        Ok(if last { Left::Nobody } else { Left::Others })
    }
}

/// Who still uses the cluster after one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nobody,
    Others,
}

fn try_exclusive(file: &File, path: &Path) -> Result<bool, EmbeddedError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(EmbeddedError::io("lock", path)(error)),
    }
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
