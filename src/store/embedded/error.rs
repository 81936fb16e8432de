//! Everything that can keep the embedded cluster from running, said so that a person can act on it.
//!
//! Invariant: a message names the path, process or user concerned and what to do next; none holds the password.
//! Each is shown once, by the command that needed the cluster.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded cluster is not available.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no PostgreSQL server found on this machine\n  \
         looked in: {}\n  \
         choose one:\n    \
         apt-get install postgresql     (Debian, Ubuntu)\n    \
         dnf install postgresql-server  (Fedora, RHEL)\n    \
         brew install postgresql@17     (macOS)\n    \
         tidings serve --database-url postgres://user:password@host/db     (a server you already run)",
        super::binaries::LOOKED_IN
    )]
    NoServer,
    #[error(
        "only PostgreSQL {found} found on this machine, at {}; Tidings needs {} or newer", 
        dir.display(), super::binaries::MAJOR_MIN
    )]
    TooOld { found: u32, dir: PathBuf },
    #[error(
        "no PostgreSQL {wanted} (the version of {}) server found{}\n  \
         install PostgreSQL {wanted} beside it, or move the data with pg_dump",
        cluster.display(), found_instead(found)
    )]
    NoSuchMajor {
        wanted: u32,
        cluster: PathBuf,
        found: Vec<u32>,
    },
    #[error("no PostgreSQL server in {} (the configured folder): {reason}", dir.display())]
    BadBinDir { dir: PathBuf, reason: String },
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor `nobody`; \
         create one, or run Tidings as an ordinary user"
    )]
    NoAccount,
    #[error(
        "the user id {uid} has no name on this machine, and PostgreSQL needs one; \
         add it to /etc/passwd, or run Tidings as a user that is listed there"
    )]
    NamelessUser { uid: u32 },
    #[error(
        "the user `{user}`, who runs PostgreSQL, cannot enter {} on the way to {}; choose another data \
         directory (such as /var/lib/tidings), or let others pass through with `chmod o+x {}`",
        folder.display(), path.display(), folder.display()
    )]
    Unenterable {
        folder: PathBuf,
        path: PathBuf,
        user: String,
    },
    #[error(
        "{} belongs to the user id {owner}; run this as that user, as root, or choose another data directory",
        path.display()
    )]
    Foreign { path: PathBuf, owner: u32 },
    #[error(
        "{} belongs to root, and PostgreSQL refuses to run as root; \
         if it was restored from a backup, run `chown -R {user} {}`",
        cluster.display(), cluster.display()
    )]
    OwnedByRoot { cluster: PathBuf, user: String },
    #[error(
        "another Tidings server ({}) already serves the data directory {}; \
         stop it first, or choose another data directory",
        holder(*pid), data_dir.display()
    )]
    AlreadyServed { data_dir: PathBuf, pid: Option<i32> },
    #[error(
        "another Tidings command has been starting or stopping the database of {} for {waited_secs} s; \
         try again when it is done",
        data_dir.display()
    )]
    Contended { data_dir: PathBuf, waited_secs: u64 },
    #[error("{} is neither empty nor a PostgreSQL cluster; move it away, or choose another data directory", path.display())]
    NotACluster { path: PathBuf },
    #[error(
        "the cluster {} is there but its password file {} is not; restore it from a backup of the data directory",
        cluster.display(), password.display()
    )]
    PasswordLost { cluster: PathBuf, password: PathBuf },
    #[error("the running PostgreSQL server refused the password in {}; restore that file from a backup", password.display())]
    PasswordRefused {
        password: PathBuf,
        source: tokio_postgres::Error,
    },
    #[error(
        "no folder for the server's socket: {} is too long for one (at most {max_bytes} bytes), \
         and none of {} can be used; choose a shorter data directory",
        data_dir.display(), listed(tried)
    )]
    NoSocketFolder {
        data_dir: PathBuf,
        max_bytes: usize,
        tried: Vec<PathBuf>,
    },
    #[error("initdb could not create the cluster {}:\n{output}", cluster.display())]
    Initdb { cluster: PathBuf, output: String },
    #[error("the PostgreSQL server did not start:
{lines}
  its logs: {} and {}", start_log.display(), log_dir.display())]
    StartFailed {
        lines: String,
        start_log: PathBuf,
        log_dir: PathBuf,
    },
    #[error(
        "the PostgreSQL server (process {pid}) is not ready after {waited_secs} s ({last}); it goes on \
         starting, so run this again to wait for it\n  its log: {}\n  \
         if process {pid} is no PostgreSQL server of this folder, remove {}",
        log.display(), pid_file.display()
    )]
    NotReady {
        pid: i32,
        waited_secs: u64,
        last: String,
        log: PathBuf,
        pid_file: PathBuf,
    },
    #[error("the PostgreSQL server (process {pid}) has not stopped; its log: {}", log.display())]
    NotStopped { pid: i32, log: PathBuf },
    #[error("the new database could not be set up: {0}")]
    SetUp(#[source] tokio_postgres::Error),
    #[error(
        "not permitted to {action} {}; run this as root or as the user who owns the data directory",
        path.display()
    )]
    NotPermitted {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl EmbeddedError {
    /// Whether the machine or the settings must change first; trying again would not help.
    pub fn needs_setup(&self) -> bool {
        match self {
            Self::NoServer
            | Self::TooOld { .. }
            | Self::NoSuchMajor { .. }
            | Self::BadBinDir { .. }
            | Self::NoAccount
            | Self::NamelessUser { .. }
            | Self::Unenterable { .. }
            | Self::Foreign { .. }
            | Self::OwnedByRoot { .. }
            | Self::NotACluster { .. }
            | Self::PasswordLost { .. }
            | Self::NoSocketFolder { .. }
            | Self::NotPermitted { .. } => true,
            Self::AlreadyServed { .. }
            | Self::Contended { .. }
            | Self::PasswordRefused { .. }
            | Self::Initdb { .. }
            | Self::StartFailed { .. }
            | Self::NotReady { .. }
            | Self::NotStopped { .. }
            | Self::SetUp(_)
            | Self::Io { .. } => false,
        }
    }

    /// Returns a closure for `map_err` that says what was being done to `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_path_buf();
            if source.kind() == io::ErrorKind::PermissionDenied {
                Self::NotPermitted {
                    action,
                    path,
                    source,
                }
            } else {
                Self::Io {
                    action,
                    path,
                    source,
                }
            }
        }
    }
}

fn holder(pid: Option<i32>) -> String {
    pid.map_or_else(
        || "its process is unknown".to_owned(),
        |pid| format!("process {pid}"),
    )
}

fn found_instead(majors: &[u32]) -> String {
    if majors.is_empty() {
        return String::new();
    }
    let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
    format!(", only {}", majors.join(", "))
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_postgres_is_told_where_we_looked_and_what_to_do() {
        let message = EmbeddedError::NoServer.to_string();

        assert!(
            message.starts_with("no PostgreSQL server found on this machine\n  looked in: PATH"),
            "{message}"
        );
        assert!(
            message.contains("\n    apt-get install postgresql"),
            "{message}"
        );
        assert!(
            message.contains("\n    tidings serve --database-url"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_major_names_the_cluster_and_what_was_found_instead() {
        let error = EmbeddedError::NoSuchMajor {
            wanted: 15,
            cluster: PathBuf::from("/data/postgres"),
            found: vec![17, 18],
        };

        assert_eq!(
            error.to_string().lines().next(),
            Some("no PostgreSQL 15 (the version of /data/postgres) server found, only 17, 18")
        );
    }

    #[test]
    fn a_second_server_is_told_the_process_of_the_first() {
        let error = EmbeddedError::AlreadyServed {
            data_dir: PathBuf::from("/data"),
            pid: Some(4711),
        };

        assert!(
            error
                .to_string()
                .contains("(process 4711) already serves the data directory /data"),
            "{error}"
        );
    }
}
