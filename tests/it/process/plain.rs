//! A Postgres as an operator would set one up: on a TCP port, with TLS or without, durable or not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::{User, chown, geteuid};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::{end_postgres, eventually, is_running, processes_of, seconds, signal};

pub(crate) struct PlainPostgres {
    root: TempDir,
    server: Option<Child>,
    pub(crate) port: u16,
}

impl PlainPostgres {
    /// Creates a cluster that is not running yet.
    pub(crate) fn create() -> Self {
        let plain = Self::prepare();
        let mut initdb = plain.program("initdb");
        run(initdb
            .args(["-U", "tidings", "-A", "trust", "--no-sync", "-D"])
            .arg(plain.cluster()));
        plain
    }

    /// A copy of a running cluster that will follow it once it is started.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let plain = Self::prepare();
        let mut copy = plain.program("pg_basebackup");
        run(copy
            .args(["-h", "127.0.0.1", "-U", "tidings", "--no-sync", "-R"])
            .args(["-c", "fast", "-p", &primary.port.to_string(), "-D"])
            .arg(plain.cluster()));
        fs::set_permissions(plain.cluster(), fs::Permissions::from_mode(0o700)).unwrap();
        plain
    }

    fn prepare() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let plain = Self {
            root,
            server: None,
            port: super::free_port(),
        };
        fs::create_dir(plain.cluster()).unwrap();
        plain.give(&plain.cluster());
        plain
    }

    /// Kills it with all of its sessions, and waits until they are gone: until then it cannot be started again.
    pub(crate) async fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        let pid = server.id().try_into().unwrap();
        // it must not begin another session meanwhile
        signal(pid, Signal::SIGSTOP);
        let processes = processes_of(pid);
        for &process in &processes {
            signal(process, Signal::SIGKILL);
        }
        server.wait().unwrap();
        eventually("every session is gone", seconds(10), async || {
            let gone = !processes.iter().any(|&process| is_running(process));
            gone.then_some(())
        })
        .await;
    }

    /// A file in the cluster's folder that Postgres may read and nobody else.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.cluster().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give(&path);
    }

    /// Starts the server with these settings, and waits until it takes connections.
    pub(crate) async fn start(&mut self, settings: &[&str]) {
        let mut postgres = self.program("postgres");
        postgres
            .arg("-D")
            .arg(self.cluster())
            .args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories="]
            .iter()
            .chain(settings)
        {
            postgres.args(["-c", setting]);
        }
        self.server = Some(postgres.spawn().unwrap());
        let url = format!(
            "postgres://tidings@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        );
        eventually("Postgres answers", seconds(20), async || {
            match tokio_postgres::connect(&url, NoTls).await {
                Ok(_) => Some(()),
                // that it refuses is an answer too: it may want TLS
                Err(error) => error
                    .code()
                    .is_some_and(|code| code.code().starts_with("28"))
                    .then_some(()),
            }
        })
        .await;
    }

    pub(crate) fn url(&self, options: &str) -> String {
        format!(
            "postgres://tidings@127.0.0.1:{}/postgres?{options}",
            self.port
        )
    }

    fn cluster(&self) -> PathBuf {
        self.root.path().join("cluster")
    }

    /// Postgres refuses root, so root runs it as somebody else.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(self.root.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if name == "postgres" {
            command.stderr(Stdio::null());
        }
        if let Some(user) = other_user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Makes a file or a folder the server's own.
    pub(crate) fn give(&self, path: &Path) {
        if let Some(user) = other_user() {
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }
}

impl Drop for PlainPostgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            end_postgres(server.id().try_into().unwrap());
            let _reaped = server.wait();
        }
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

fn other_user() -> Option<User> {
    let named = |name| User::from_name(name).unwrap();
    geteuid()
        .is_root()
        .then(|| named("postgres").or_else(|| named("nobody")).unwrap())
}

/// One of PostgreSQL's programs.
pub(crate) fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let packaged = versions.map(|version| version.path().join("bin"));
    let on_path = std::env::split_paths(env!("PATH"));
    let mut folders = packaged.chain(on_path);
    let folder = folders.find(|folder| {
        ["initdb", "postgres"]
            .iter()
            .all(|program| folder.join(program).exists())
    });
    folder.expect("PostgreSQL is installed").join(name)
}
