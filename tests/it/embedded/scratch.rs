//! A temporary data directory that takes its server down with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use tempfile::TempDir;
use tidings::store::embedded::{EmbeddedSettings, Home};
use tokio_postgres::{Client, NoTls};

pub(super) struct Scratch {
    root: TempDir,
    pub(super) settings: EmbeddedSettings,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self::with_data_dir("data")
    }

    /// `name` may be a path of several folders, none of which exists yet.
    pub(super) fn with_data_dir(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        // the user who runs the server has to get through
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let settings = EmbeddedSettings {
            data_dir: root.path().join(name),
            bin_dir: None,
            home: Home::default(),
        };
        Self { root, settings }
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.settings.data_dir.join("postgres")
    }

    pub(super) fn pid_in_file(&self) -> Option<i32> {
        let content = fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        content.lines().next()?.parse().ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // a test that stopped its server left no file; a test may also have put another pid there
        let pid = self
            .pid_in_file()
            .filter(|&pid| pid > 1 && is_postgres(pid));
        if let Some(pid) = pid.map(Pid::from_raw) {
            let _ = kill(pid, Signal::SIGQUIT);
            // a child of this process, so this returns when it has ended
            let _ = waitpid(pid, None);
        }
    }
}

fn is_postgres(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "postgres")
}

/// Connects and returns the client; its connection lives as long as the runtime of the test.
pub(super) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    runtime.spawn(connection);
    client
}

pub(super) async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}
