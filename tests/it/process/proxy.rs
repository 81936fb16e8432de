//! A TCP proxy that breaks: between a server and its database, it freezes, cuts connections at a byte or around a
//! COMMIT, and holds COMMITs back.
//!
//! Invariant: until it is told to break it passes every byte on. What it is told to cut it cuts once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A transaction's end as the server's driver sends it.
const COMMIT: &[u8] = b"COMMIT\0";

/// What happens at the next COMMIT, or at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The database never gets the COMMIT.
    BeforeCommit,
    /// The database commits; its answer never arrives.
    AfterCommit,
    /// The connection ends after so many more bytes from the database, on whichever connection they come.
    AtByte(usize),
}

pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    frozen: watch::Sender<bool>,
    holding: watch::Sender<bool>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    armed: Option<Cut>,
    cuts: usize,
    held: usize,
}

impl Proxy {
    /// In front of a database on this machine.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], port)),
            frozen: watch::Sender::new(false),
            holding: watch::Sender::new(false),
            plan: Mutex::default(),
        });
        let (runtime, passed) = (tokio::runtime::Handle::current(), shared.clone());
        let accepting = runtime.clone().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                runtime.spawn(connection(passed.clone(), client));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn url(&self, options: &str) -> String {
        format!("postgres://tidings@{}/postgres?{options}", self.address)
    }

    /// Passes nothing on any more, in either direction, until it is thawed.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    pub(crate) fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.shared.plan.lock().unwrap().armed = Some(cut);
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.plan.lock().unwrap().cuts
    }

    /// Holds every COMMIT back until [`Proxy::release_commits`].
    pub(crate) fn hold_commits(&self) {
        self.shared.holding.send_replace(true);
    }

    pub(crate) fn release_commits(&self) {
        self.shared.holding.send_replace(false);
    }

    /// How many COMMITs were held back.
    pub(crate) fn held(&self) -> usize {
        self.shared.plan.lock().unwrap().held
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    async fn thawed(&self) {
        let mut frozen = self.frozen.subscribe();
        let _gone = frozen.wait_for(|frozen| !frozen).await;
    }

    /// Waits while COMMITs are held back.
    async fn let_commit(&self) {
        if *self.holding.borrow() {
            self.plan.lock().unwrap().held += 1;
        }
        let mut holding = self.holding.subscribe();
        let _gone = holding.wait_for(|holding| !holding).await;
    }

    /// Takes the cut that a COMMIT sets off.
    fn cut_at_commit(&self) -> Option<Cut> {
        let mut plan = self.plan.lock().unwrap();
        match plan.armed {
            Some(cut @ (Cut::BeforeCommit | Cut::AfterCommit)) => {
                plan.armed = None;
                plan.cuts += 1;
                Some(cut)
            }
            Some(Cut::AtByte(_)) | None => None,
        }
    }

    /// How many of these bytes from the database may pass; fewer than all when the connection ends here.
    fn passing(&self, bytes: usize) -> usize {
        let mut plan = self.plan.lock().unwrap();
        let Some(Cut::AtByte(left)) = plan.armed else {
            return bytes;
        };
        if left > bytes {
            plan.armed = Some(Cut::AtByte(left - bytes));
            return bytes;
        }
        plan.armed = None;
        plan.cuts += 1;
        left.saturating_sub(1)
    }
}

/// Both directions of one connection; when one ends, both do.
async fn connection(shared: Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(shared.upstream).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let deaf = CancellationToken::new();
    tokio::select! {
        () = requests(&shared, from_client, to_server, &deaf) => {}
        () = answers(&shared, from_server, to_client, &deaf) => {}
    }
}

async fn requests(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    deaf: &CancellationToken,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        shared.thawed().await;
        let bytes = &buffer[..read];
        let commits = bytes.windows(COMMIT.len()).any(|seen| seen == COMMIT);
        if commits {
            shared.let_commit().await;
            match shared.cut_at_commit() {
                Some(Cut::BeforeCommit) => return,
                Some(Cut::AfterCommit) => deaf.cancel(),
                Some(Cut::AtByte(_)) | None => {}
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn answers(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    deaf: &CancellationToken,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        shared.thawed().await;
        if deaf.is_cancelled() {
            // the database has committed
            return;
        }
        let passing = shared.passing(read);
        if to.write_all(&buffer[..passing]).await.is_err() || passing < read {
            return;
        }
    }
}
