//! Reads from the server's logs why it did not start.
//!
//! Invariant: only lines of the last start are shown, and only the fatal ones with what explains them. The logs
//! are the server's own; this never writes to them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::EmbeddedError;
use super::layout::Layout;

const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// Returns the error of a start that failed, with the server's own reason.
pub(super) fn start_failed(layout: &Layout) -> EmbeddedError {
    EmbeddedError::StartFailed {
        lines: why_it_failed(layout),
        start_log: layout.start_log(),
        log_dir: layout.log_dir(),
    }
}

/// Returns the fatal lines of the last start, or what else was said, or that nothing was.
fn why_it_failed(layout: &Layout) -> String {
    let said = tail(&layout.start_log());
    let logged = newest_log(&layout.log_dir())
        .map(|path| tail(&path))
        .unwrap_or_default();
    let mut lines = fatal_lines(&said);
    if lines.is_empty() {
        // it got as far as opening its own log
        lines = fatal_lines(&logged);
    }
    if lines.is_empty() {
        lines.extend(
            said.lines()
                .rev()
                .take(5)
                .collect::<Vec<_>>()
                .into_iter()
                .rev(),
        );
    }
    if lines.is_empty() {
        return "  it said nothing".to_owned();
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// Returns the fatal messages since the server last began to start, without time stamps.
fn fatal_lines(log: &str) -> Vec<&str> {
    let mut fatal = Vec::new();
    let mut explains = false;
    for line in log.lines() {
        if line.contains("LOG:  starting PostgreSQL") {
            fatal.clear();
        }
        let started = ["FATAL:", "PANIC:"]
            .iter()
            .find_map(|level| line.find(level));
        let explained = ["DETAIL:", "HINT:"]
            .iter()
            .find_map(|level| line.find(level));
        let shown = started.or_else(|| explained.filter(|_| explains));
        explains = shown.is_some();
        let message = shown.and_then(|at| line.get(at..));
        // whoever asks "are you ready" meanwhile is refused with the same line again and again
        fatal.extend(message.filter(|message| !fatal.contains(message)));
    }
    fatal
}

fn newest_log(dir: &Path) -> Option<PathBuf> {
    let logs = fs::read_dir(dir).ok()?.flatten();
    let newest =
        logs.max_by_key(|log| log.metadata().and_then(|metadata| metadata.modified()).ok())?;
    Some(newest.path())
}

fn tail(path: &Path) -> String {
    read_tail(path).unwrap_or_default()
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file: File = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fatal_lines_of_the_last_start_are_shown() {
        let log = "\
2024-01-01 00:00:00 UTC [1] LOG:  starting PostgreSQL 15.1
2024-01-01 00:00:00 UTC [1] FATAL:  an old sorrow
2024-01-02 00:00:00 UTC [2] LOG:  starting PostgreSQL 15.1
2024-01-02 00:00:00 UTC [2] HINT:  of nothing fatal
2024-01-02 00:00:00 UTC [2] FATAL:  not yet ready
2024-01-02 00:00:00 UTC [2] FATAL:  not yet ready
2024-01-02 00:00:00 UTC [2] FATAL:  could not map memory
2024-01-02 00:00:00 UTC [2] HINT:  ask for less
2024-01-02 00:00:00 UTC [2] LOG:  database system is shut down
";

        assert_eq!(
            fatal_lines(log),
            [
                "FATAL:  not yet ready",
                "FATAL:  could not map memory",
                "HINT:  ask for less"
            ]
        );
    }
}
