//! The private platform: a server and a Postgres of its own, for as long as they are measured.
//!
//! Invariant: it is the real program, started as `serve` with the settings in effect, in a process of its own so
//! that its CPU time can be told from the bench's. Whatever became of the run, it is stopped and its folder
//! removed. It never touches a database that the settings name.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use crate::cli::client::Client;
use crate::config::Config;
use crate::domain::access::ApiKeyText;
use crate::runtime;

/// How long the server may take to start, `initdb` included.
const START_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take to stop; longer than it takes on itself.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// The line of the server's banner that names its address.
const API_LINE: &str = "  API ";
/// Lines of the server's log that are told when it does not start.
const LOG_LINES_TOLD: usize = 10;

/// A running private platform.
pub(super) struct Private {
    folder: PathBuf,
    child: Child,
    pub(super) client: Client,
    /// The settings of its database.
    pub(super) config: Config,
}

impl Private {
    /// Starts it in a new folder below `scratch`; `file` is the configuration file that was given.
    pub(super) async fn start(
        scratch: Option<&Path>,
        file: Option<&Path>,
        mut config: Config,
    ) -> anyhow::Result<Self> {
        let folder = make_folder(scratch)?;
        config.database.url = None;
        config.data.dir = Some(folder.join("data"));
        match launch(&folder, file).await {
            Ok((child, client)) => Ok(Self {
                folder,
                child,
                client,
                config,
            }),
            Err(error) => {
                let told = log_tail(&folder);
                let left = end_postgres(&config).await;
                remove(&folder)?;
                left?;
                Err(error.context(format!("the private platform did not start{told}")))
            }
        }
    }

    /// The server's process.
    pub(super) fn pid(&self) -> Option<i32> {
        pid(&self.child)
    }

    /// Stops the server and its Postgres, and removes their folder.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            folder,
            mut child,
            config,
            ..
        } = self;
        let stopped = match end(&mut child).await {
            Ok(status) if status.success() => Ok(()),
            // It may have left its Postgres behind.
            Ok(_) | Err(_) => end_postgres(&config).await,
        };
        remove(&folder)?;
        stopped.context("the private platform did not stop in order")
    }
}

async fn launch(folder: &Path, file: Option<&Path>) -> anyhow::Result<(Child, Client)> {
    let key = format!("sk_bench_{:032x}", rand::random::<u128>());
    let log = fs::File::create(log_file(folder))?;
    let mut command = Command::new(std::env::current_exe()?);
    // Flags come before the environment and files, so that none of those can lead to another database.
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--database-url", ""])
        .args(["--egress-allow", "127.0.0.0/8,::1"])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .env("TIDINGS_BOOTSTRAP_API_KEY", &key)
        .env("TIDINGS__BOOTSTRAP__API_KEY", &key)
        .env("TIDINGS__SERVER__PUBLIC_URL", "")
        .env("TIDINGS__EGRESS__HTTPS_ONLY", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // A terminal's Ctrl-C is for the bench, which stops the server last.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let mut child = command.spawn()?;
    let started = tokio::time::timeout(START_WITHIN, address(&mut child)).await;
    let address = match started {
        Ok(Ok(address)) => address,
        Ok(Err(error)) => {
            let _ended = end(&mut child).await;
            return Err(error);
        }
        Err(_elapsed) => {
            let _ended = end(&mut child).await;
            anyhow::bail!("it was not ready within {START_WITHIN:?}");
        }
    };
    let key = ApiKeyText::parse(&key).map_err(|invalid| anyhow::anyhow!(invalid.message))?;
    Ok((child, Client::at(address, key)?))
}

/// Reads the server's address from its banner.
async fn address(child: &mut Child) -> anyhow::Result<Url> {
    let banner = child.stdout.take().context("it has no standard output")?;
    let mut lines = BufReader::new(banner).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(API_LINE) {
            let address = address.trim().parse().context("its address is no URL")?;
            drain(lines);
            return Ok(address);
        }
    }
    anyhow::bail!("it ended")
}

/// Reads the rest, so that the server is never held up, or ended, by a pipe that nobody reads.
fn drain(mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) {
    tokio::runtime::Handle::current()
        .spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

fn pid(child: &Child) -> Option<i32> {
    child.id().and_then(|pid| i32::try_from(pid).ok())
}

/// Tells the process to stop, and waits; ends it by force when it does not.
async fn end(child: &mut Child) -> anyhow::Result<ExitStatus> {
    if let Some(pid) = pid(child) {
        // One that has just ended is as good.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_elapsed) => {
            child.kill().await?;
            anyhow::bail!("the server had to be killed")
        }
    }
}

/// Ends a Postgres that its server has left: by joining the cluster, and leaving it as the last.
async fn end_postgres(config: &Config) -> anyhow::Result<()> {
    if runtime::database_url(config).await.is_err() {
        return Ok(());
    }
    runtime::connect(config).await?.close().await
}

/// Makes a folder that the unprivileged user can get through who runs Postgres when this is root.
fn make_folder(scratch: Option<&Path>) -> anyhow::Result<PathBuf> {
    let parent = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
    let parent = std::path::absolute(parent)?;
    let folder = parent.join(format!("tidings-bench-{:016x}", rand::random::<u64>()));
    let made = DirBuilder::new()
        .mode(0o755)
        .create(&folder)
        .and_then(|()| {
            // Whatever the umask is.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))
        });
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The last lines of the server's log, each on a line of its own.
fn log_tail(folder: &Path) -> String {
    let log = fs::read_to_string(log_file(folder)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let told = lines.len().saturating_sub(LOG_LINES_TOLD);
    let told = lines.into_iter().skip(told);
    told.map(|line| format!("\n  {}", crate::cli::output::printable(line)))
        .collect()
}
