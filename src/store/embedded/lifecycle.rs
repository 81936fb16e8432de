//! The life of a cluster as Tidings sees it: entered, used, left.
//!
//! Invariant: whoever holds an `Embedded` may rely on a server that answers; the last one to leave stops it.
//! Being dropped without `stop` is what being killed is: the server goes on, and the next to come adopts it.

use std::time::Duration;

use tokio::time::Instant;

use super::access::{Access, Answer};
use super::account::Account;
use super::binaries::Binaries;
use super::cluster;
use super::error::EmbeddedError;
use super::layout::Layout;
use super::locks::{Gate, Left, Serving, User};
use super::postmaster::{self, Postmaster};
use super::server_log;
use super::settings::EmbeddedSettings;

/// How long a server may start, recovery included, before that is reported; it goes on meanwhile.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longer than another command may need behind the gate: for a start, or for a stop by force.
const ENTER_WITHIN: Duration = Duration::from_secs(90);
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A running cluster, in use.
#[derive(Debug)]
#[must_use = "dropping it leaves the server running; `stop` is how to leave"]
pub struct Embedded {
    url: Url,
    settings: EmbeddedSettings,
    layout: Layout,
    account: Account,
    user: User,
    // last, so that the next server finds everything else let go of
    serving: Option<Serving>,
}

impl Embedded {
    /// Starts or adopts the cluster for the one server of this data directory.
    ///
    /// Errors: `AlreadyServed`, at once, when there is another; else what kept the cluster from running.
    pub async fn start(settings: &EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let layout = Layout::prepare(settings)?;
        let serving = Serving::take(&layout)?;
        Self::enter(settings, layout, Some(serving)).await
    }

    /// Uses the cluster beside a server and other commands; starts it when it is not running.
    pub async fn join(settings: &EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let layout = Layout::prepare(settings)?;
        Self::enter(settings, layout, None).await
    }

    /// The URL of the database, for tokio-postgres and libpq. It holds the password.
    pub fn url(&self) -> &str {
        &self.url.0
    }

    /// The process of the server; `None` when it is no longer there.
    pub fn postmaster_pid(&self) -> Option<i32> {
        Postmaster::running(&self.layout, &self.account).map(|postmaster| postmaster.pid)
    }

    /// Starts the server again when it is gone; answers whether it was. The URL stays the same.
    ///
    /// Errors: what keeps it from running; it may be tried again.
    pub async fn revive(&self) -> Result<bool, EmbeddedError> {
        if self.postmaster_pid().is_some() {
            return Ok(false);
        }
        let _gate = Gate::pass(&self.layout, ENTER_WITHIN).await?;
        adopt_or_start(&self.settings, &self.layout, &self.account).await?;
        Ok(true)
    }

    /// Leaves the cluster, and stops its server unless another command still uses it (which then does).
    ///
    /// The last thing at shutdown; takes up to some twenty seconds when the server has to be forced.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let Self {
            layout,
            account,
            user,
            serving,
            ..
        } = self;
        let gate = Gate::pass(&layout, LEAVE_WITHIN).await?;
        let left = user.leave(&layout, &gate)?;
        let stopped = match (left, Postmaster::running(&layout, &account)) {
            (Left::Nobody, Some(postmaster)) => stop_server(&layout, &postmaster).await,
            (Left::Nobody, None) => Ok(()),
            (Left::Others, _) => {
                tracing::info!("left the database server running for another command");
                Ok(())
            }
        };
        drop(serving);
        stopped
    }

    async fn enter(
        settings: &EmbeddedSettings,
        layout: Layout,
        serving: Option<Serving>,
    ) -> Result<Self, EmbeddedError> {
        let account = Account::of(layout.data_dir(), &layout.cluster())?;
        account.check_can_enter(layout.data_dir())?;
        let gate = Gate::pass(&layout, ENTER_WITHIN).await?;
        let user = User::join(&layout, &gate)?;
        let access = adopt_or_start(settings, &layout, &account).await?;
        let url = Url(access.url());
        Ok(Self {
            url,
            settings: settings.clone(),
            layout,
            account,
            user,
            serving,
        })
    }
}

/// Returns the URL of the cluster of this data directory if its server runs. Starts and waits for nothing.
pub fn running_url(settings: &EmbeddedSettings) -> Option<String> {
    let layout = Layout::existing(settings)?;
    let account = Account::of(layout.data_dir(), &layout.cluster()).ok()?;
    let socket_dir = Postmaster::running(&layout, &account)?.socket_dir?;
    let access = Access::load(&layout, socket_dir).ok()??;
    Some(access.url())
}

/// A URL that does not show its password.
struct Url(String);

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgres://(redacted)")
    }
}

/// Takes over a server that is running, ready or soon to be; `None` when there is none, or it ends meanwhile.
async fn adopt(layout: &Layout, account: &Account) -> Result<Option<Access>, EmbeddedError> {
    let deadline = Instant::now() + READY_WITHIN;
    // read again each time: a server that was stopping goes, one that was starting tells its socket late
    while let Some(Postmaster { pid, socket_dir }) = Postmaster::running(layout, account) {
        let mut last = "it has no socket yet".to_owned();
        if let Some(socket_dir) = socket_dir {
            let access = load_access(layout, socket_dir)?;
            match ask(layout, &access).await? {
                Readiness::Ready => {
                    tracing::info!(
                        postmaster.pid = pid,
                        "joined the database server that was running"
                    );
                    return Ok(Some(access));
                }
                Readiness::NotYet(why) => last = why,
            }
        }
        if Instant::now() >= deadline {
            return Err(not_ready(layout, pid, last));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    Ok(None)
}

/// Behind the gate only.
async fn adopt_or_start(
    settings: &EmbeddedSettings,
    layout: &Layout,
    account: &Account,
) -> Result<Access, EmbeddedError> {
    match adopt(layout, account).await? {
        Some(access) => Ok(access),
        None => start_server(settings, layout, account).await,
    }
}

async fn start_server(
    settings: &EmbeddedSettings,
    layout: &Layout,
    account: &Account,
) -> Result<Access, EmbeddedError> {
    let major = cluster::existing_major(layout)?;
    let binaries = Binaries::find(settings, account, &layout.cluster(), major).await?;
    if major.is_none() {
        cluster::create(layout, &settings.home, account, &binaries).await?;
    }
    let socket_dir = layout.open_socket_dir(&settings.home, account)?;
    let access = load_access(layout, socket_dir.clone())?;

    let deadline = Instant::now() + READY_WITHIN;
    postmaster::clear_the_way(layout, account, deadline).await?;
    let pid = cluster::launch(layout, &settings.home, account, &binaries, &socket_dir)?;
    loop {
        let last = match ask(layout, &access).await? {
            Readiness::Ready => break,
            Readiness::NotYet(why) => why,
        };
        if !postmaster::is_alive(pid) {
            return Err(server_log::start_failed(layout));
        }
        if Instant::now() >= deadline {
            return Err(not_ready(layout, pid, last));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    tracing::info!(postmaster.pid = pid, "started the database server");
    Ok(access)
}

async fn stop_server(layout: &Layout, postmaster: &Postmaster) -> Result<(), EmbeddedError> {
    postmaster.stop(layout).await?;
    if let Some(socket_dir) = &postmaster.socket_dir {
        layout.close_socket_dir(socket_dir);
    }
    tracing::info!(
        postmaster.pid = postmaster.pid,
        "stopped the database server"
    );
    Ok(())
}

enum Readiness {
    Ready,
    NotYet(String),
}

/// Asks the server whether it is ready, and finishes setting it up if its creator could not.
async fn ask(layout: &Layout, access: &Access) -> Result<Readiness, EmbeddedError> {
    match access.ask().await {
        Answer::Ready => Ok(Readiness::Ready),
        Answer::Bare => {
            access.set_up().await?;
            Ok(Readiness::Ready)
        }
        Answer::NotYet(error) => Ok(Readiness::NotYet(described(&error))),
        Answer::TimedOut => Ok(Readiness::NotYet("it does not answer".to_owned())),
        Answer::Refused(source) => {
            let password = layout.password();
            Err(EmbeddedError::PasswordRefused { password, source })
        }
    }
}

fn load_access(layout: &Layout, socket_dir: std::path::PathBuf) -> Result<Access, EmbeddedError> {
    Access::load(layout, socket_dir)?.ok_or_else(|| EmbeddedError::PasswordLost {
        cluster: layout.cluster(),
        password: layout.password(),
    })
}

fn not_ready(layout: &Layout, pid: i32, last: String) -> EmbeddedError {
    EmbeddedError::NotReady {
        pid,
        waited_secs: READY_WITHIN.as_secs(),
        last,
        log: layout.log_dir(),
        pid_file: postmaster::pid_file(&layout.cluster()),
    }
}

/// The whole chain in a line: the outermost says only "error connecting to server".
fn described(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", described(source)),
        None => error.to_string(),
    }
}
