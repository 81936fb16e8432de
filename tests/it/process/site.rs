//! A site: a data directory and the settings of the servers and commands that run on it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Server, end_postgres};

/// The key that every site's first environment is opened with.
pub(crate) const KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// Where nobody answers; who asks there waits.
pub(crate) const SILENT_NAME_SERVER: &str = "127.3.3.7";
const MOUNTED: &str =
    r#"mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@""#;

/// Whether this test may mount files for a process of its own.
pub(crate) fn may_mount() -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
    trial.output().is_ok_and(|output| output.status.success())
}

pub(crate) struct Site {
    root: TempDir,
    variables: Vec<(String, String)>,
}

impl Site {
    /// On an embedded Postgres of its own.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // as root the embedded Postgres runs as somebody else, who has to get through
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            root,
            variables: Vec::new(),
        }
    }

    /// On a Postgres that is there already.
    pub(crate) fn on_database(url: &str) -> Self {
        Self::new()
            .with("DATABASE_URL", url)
            .with("TIDINGS_MASTER_KEY", "the same for all servers of a test")
    }

    /// With one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The process of the embedded Postgres.
    pub(crate) fn postmaster(&self) -> Option<i32> {
        let file = self.data_dir().join("postgres/postmaster.pid");
        fs::read_to_string(file).ok()?.lines().next()?.parse().ok()
    }

    /// The program with this site's settings, and nothing else of the environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("HOME", self.root.path())
            .env("TIDINGS__DATA__DIR", self.data_dir())
            .env("TIDINGS__EGRESS__ALLOW", "127.0.0.0/8")
            .env("TIDINGS__SERVER__WORKERS", "2")
            .env("TIDINGS_BOOTSTRAP_API_KEY", KEY)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let command = self.command(arguments);
        tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    /// Runs a command that has to succeed, and reads what it prints.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Starts a server on any free port, and waits until it serves.
    pub(crate) async fn serve(&self) -> Server {
        self.serve_on("127.0.0.1:0").await
    }

    /// The same, where names are looked up in the file `hosts`, and then asked of a name server that says nothing.
    ///
    /// Shape: needs to mount files over others, for this process alone: see [`may_mount`].
    pub(crate) async fn serve_without_names(&self, hosts: &str) -> Server {
        let files = ["hosts", "resolv.conf"].map(|name| self.root.path().join(name));
        fs::write(&files[0], hosts).unwrap();
        let silent = format!("nameserver {SILENT_NAME_SERVER}\noptions timeout:30 attempts:1\n");
        fs::write(&files[1], silent).unwrap();
        let inner = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut outer = Command::new("unshare");
        let variables = inner
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        outer
            .args(["--mount", "sh", "-c", MOUNTED, "sh"])
            .args(&files)
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null());
        Server::start(outer).await
    }

    pub(crate) async fn serve_on(&self, address: &str) -> Server {
        Server::start(self.command(&["serve", "--listen", address])).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            end_postgres(pid);
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
