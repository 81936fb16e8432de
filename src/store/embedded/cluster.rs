//! Creates the cluster and starts its server.
//!
//! Invariant: the cluster's folder appears whole or not at all (made beside its place, then renamed); the
//! settings that make a commit durable and the access private stand on the command line, where no file can
//! override them. Tuning is written once to `postgresql.conf`, where an operator may change it.
//! It does not wait for the server: that is `lifecycle`.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::OFlag;
use tokio::process::Command;

use super::access::{self, NAME};
use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::layout::{self, Layout, PORT};
use super::server_log;
use super::settings::Home;

/// `initdb` takes a second; a slow disk may need many for its final flush.
const CREATED_WITHIN: Duration = Duration::from_secs(300);
const CONFIG_FILE: &str = "postgresql.conf";

/// Not negotiable: a promise of Tidings breaks without it.
const FIXED: [&str; 17] = [
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "password_encryption=scram-sha-256",
    "restart_after_crash=on",
    // a file for each day of the week, begun anew when its day comes again
    "logging_collector=on",
    "log_destination=stderr",
    "log_filename=postgres-%a.log",
    "log_file_mode=0600",
    "log_rotation_age=1d",
    "log_rotation_size=0",
    "log_truncate_on_rotation=on",
    "log_line_prefix=%m [%p] ",
    "log_timezone=UTC",
    // a statement may hold what no log may hold
    "log_min_error_statement=panic",
];

/// For a small machine that also runs Tidings. Shape: lines of `postgresql.conf`.
const TUNING: &str = "
# Set by Tidings when it created this cluster; yours to change from here on.
# What Tidings itself relies on (durability, socket, log) is on the server's command line instead.
max_connections = 100
shared_buffers = 192MB
effective_cache_size = 512MB
maintenance_work_mem = 64MB
huge_pages = try
random_page_cost = 1.1
jit = off
max_wal_size = 2GB
min_wal_size = 256MB
autovacuum_naptime = 15s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_insert_scale_factor = 0.1
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000
";

/// Returns the major version of an existing cluster; `None` when there is none yet.
pub(super) fn existing_major(layout: &Layout) -> Result<Option<u32>, EmbeddedError> {
    let cluster = layout.cluster();
    let not_a_cluster = || EmbeddedError::NotACluster {
        path: cluster.clone(),
    };
    if let Ok(version) = fs::read_to_string(cluster.join("PG_VERSION")) {
        return version
            .trim()
            .parse()
            .map(Some)
            .map_err(|_unreadable| not_a_cluster());
    }
    match fs::read_dir(&cluster) {
        Ok(mut files) => match files.next() {
            Some(_) => Err(not_a_cluster()),
            None => Ok(None),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", &cluster)(error)),
    }
}

/// Creates the cluster and its password.
///
/// A killed predecessor may still have its `initdb` at work, so each works in a folder of its own.
pub(super) async fn create(
    layout: &Layout,
    home: &Home,
    account: &Account,
    binaries: &Binaries,
) -> Result<(), EmbeddedError> {
    let cluster = layout.cluster();
    access::ensure_password(layout, account)?;
    let draft = layout
        .data_dir()
        .join(format!("postgres.new-{:08x}", rand::random::<u32>()));
    layout::make_private_dir(&draft, account)?;
    let created = match initdb(layout, home, account, binaries, &draft).await {
        Ok(()) => tune(&draft).and_then(|()| {
            fs::rename(&draft, &cluster)?;
            fs::File::open(layout.data_dir())?.sync_all()
        }),
        Err(output) => {
            remove_draft(&draft);
            return Err(EmbeddedError::Initdb { cluster, output });
        }
    };
    created.map_err(EmbeddedError::io("create", &cluster))?;
    tracing::info!(cluster = %cluster.display(), "created a database cluster");
    Ok(())
}

/// Starts a postmaster and returns its pid; it is not ready yet.
///
/// It leads a process group of its own, so that a terminal's Ctrl-C does not stop it under Tidings' drain.
pub(super) fn launch(
    layout: &Layout,
    home: &Home,
    account: &Account,
    binaries: &Binaries,
    socket_dir: &Path,
) -> Result<i32, EmbeddedError> {
    let (program, said_to) = (binaries.postgres(), layout.start_log());
    let (stdout, stderr) =
        open_start_log(&said_to).map_err(EmbeddedError::io("write", &said_to))?;
    layout::make_private_dir(&layout.log_dir(), account)?;
    let mut command = command_of(&program, home, account);
    command
        .arg("-D")
        .arg(layout.cluster())
        .current_dir(layout.data_dir());
    for setting in server_settings(layout, socket_dir) {
        command.arg("-c").arg(setting);
    }
    command.stdout(stdout).stderr(stderr).process_group(0);
    // dropping the handle leaves it running; the runtime reaps it when it ends
    let child = command
        .spawn()
        .map_err(EmbeddedError::io("run", &program))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    pid.ok_or_else(|| server_log::start_failed(layout))
}

fn server_settings(layout: &Layout, socket_dir: &Path) -> Vec<OsString> {
    let mut settings: Vec<OsString> = FIXED.iter().map(OsString::from).collect();
    settings.push(format!("port={PORT}").into());
    let mut log_dir = OsString::from("log_directory=");
    log_dir.push(layout.log_dir());
    settings.push(log_dir);
    let mut socket_dirs = OsString::from("unix_socket_directories=");
    socket_dirs.push(quoted(socket_dir));
    settings.push(socket_dirs);
    settings
}

/// Quotes a folder for a setting that is a list, where a comma would end it.
fn quoted(dir: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut quoted = vec![b'"'];
    for &byte in dir.as_os_str().as_bytes() {
        if byte == b'"' {
            quoted.push(byte);
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

async fn initdb(
    layout: &Layout,
    home: &Home,
    account: &Account,
    binaries: &Binaries,
    draft: &Path,
) -> Result<(), String> {
    let mut command = command_of(&binaries.initdb(), home, account);
    command
        .arg("-D")
        .arg(draft)
        .arg("--pwfile")
        .arg(layout.password());
    command.args([
        "-U",
        NAME,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    command
        .args(["--data-checksums", "--no-instructions"])
        .current_dir(layout.data_dir());
    command.process_group(0).kill_on_drop(true);
    let output = match tokio::time::timeout(CREATED_WITHIN, command.output()).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_elapsed) => {
            return Err(format!(
                "it was not done after {} s",
                CREATED_WITHIN.as_secs()
            ));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned())
}

/// A program of PostgreSQL, with next to nothing of the environment: there are secrets in it, and `PG…`
/// variables that would redirect it.
fn command_of(program: &Path, home: &Home, account: &Account) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C");
    if let Some(path) = &home.path {
        command.env("PATH", path);
    }
    command.stdin(Stdio::null());
    account.run(&mut command);
    command
}

fn tune(cluster: &Path) -> std::io::Result<()> {
    let nofollow = OFlag::O_NOFOLLOW.bits();
    let path: PathBuf = cluster.join(CONFIG_FILE);
    let mut file = OpenOptions::new()
        .append(true)
        .custom_flags(nofollow)
        .open(path)?;
    file.write_all(TUNING.as_bytes())?;
    file.sync_all()
}

fn open_start_log(path: &Path) -> std::io::Result<(Stdio, Stdio)> {
    let nofollow = OFlag::O_NOFOLLOW.bits();
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(nofollow);
    let file = options.open(path)?;
    Ok((file.try_clone()?.into(), file.into()))
}

fn remove_draft(draft: &Path) {
    if let Err(error) = fs::remove_dir_all(draft) {
        tracing::debug!(dir = %draft.display(), %error, "left an unfinished cluster");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_a_promise_rests_on_are_fixed() {
        for setting in [
            "fsync=on",
            "full_page_writes=on",
            "synchronous_commit=on",
            "listen_addresses=",
        ] {
            assert!(FIXED.contains(&setting), "{setting}");
        }
    }

    #[test]
    fn a_socket_folder_with_a_comma_or_a_quote_stays_one_folder() {
        assert_eq!(
            quoted(Path::new("/a,b \"c\"")),
            OsString::from("\"/a,b \"\"c\"\"\"")
        );
    }
}
