//! The pools: connections to Postgres, one pool for each kind of work, with limits that end every wait.
//!
//! Invariant: a connection's driver runs on the runtime that built the pool, never on a worker of the HTTP
//! server, whose single thread may be busy. Every connection carries the time limits that let another server
//! go on when this one freezes with a lock in hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection as _, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conn::Conn;
use super::error::StoreError;
use super::turns::Turns;
use super::wire::{Overheard, Refusals, Tap};
use super::work::Work;

/// A connection on loan from the pool.
pub type Loan<'a> = PooledConnection<'a, Conn>;

/// Which database, and how many connections to it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    pub url: String,
    pub connections_max: u32,
    /// PEM file of the authority that signs the server's certificate; `None`: the machine's own trust.
    pub ca_file: Option<std::path::PathBuf>,
}

/// How long a caller waits for a connection.
const LOAN_WAIT: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The port of a URL that names none.
const PORT: u16 = 5432;
/// After how long without an answer a connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// The first and the longest wait between two tries.
const RECONNECT_WAIT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);

/// The pool of one kind of work.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool<Conn>,
    connector: Arc<Connector>,
    work: Work,
}

impl Connections {
    /// Opens the pools of recording, of requests and of upkeep, and one connection, to see that the database is
    /// there.
    ///
    /// Errors: a malformed URL or CA file; `Unavailable` when the database does not answer.
    pub(super) async fn open(settings: &DatabaseSettings) -> Result<[Self; 3], StoreError> {
        let connector = Arc::new(Connector::new(settings)?);
        let pools = [Work::Record, Work::Request, Work::Upkeep].map(|work| Self {
            pool: pool(settings, connector.clone(), work),
            connector: connector.clone(),
            work,
        });
        let [record, _, _] = &pools;
        drop(record.dedicated().await?);
        Ok(pools)
    }

    /// Borrows a connection.
    pub(super) async fn loan(&self) -> Result<Loan<'_>, StoreError> {
        self.pool
            .get()
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Opens a connection outside the pool, for whoever keeps one.
    pub(super) async fn dedicated(&self) -> Result<Conn, StoreError> {
        self.connector
            .connect(self.work)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

fn pool(settings: &DatabaseSettings, connector: Arc<Connector>, work: Work) -> Pool<Conn> {
    let mut manager = ManagerConfig::<Conn>::default();
    // A connection that is known to be dead is not handed out; one that died unseen is found by its first
    // statement, not by a ping before each.
    manager.recycling_method = RecyclingMethod::CustomFunction(Box::new(|conn: &mut Conn| {
        let dead = conn.is_broken();
        std::future::ready(match dead {
            true => Err(diesel::result::Error::BrokenTransactionManager),
            false => Ok(()),
        })
        .boxed()
    }));
    let (setup, runtime) = (connector, Handle::current());
    manager.custom_setup = Box::new(move |_url| {
        let (setup, runtime) = (setup.clone(), runtime.clone());
        async move {
            let connecting = runtime.spawn(async move { setup.connect(work).await });
            connecting
                .await
                .map_err(|error| ConnectionError::BadConnection(error.to_string()))?
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(settings.url.as_str(), manager);
    Pool::builder()
        .max_size(work.share(settings.connections_max))
        .connection_timeout(LOAN_WAIT)
        .idle_timeout(Some(Duration::from_secs(600)))
        .max_lifetime(Some(Duration::from_secs(3600)))
        .test_on_check_out(true)
        .build_unchecked(manager)
}

/// Makes connections: address, TLS, session settings.
struct Connector {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    turns: Turns,
}

impl Connector {
    fn new(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let unusable = |error: &dyn std::fmt::Display| {
            StoreError::Unavailable(format!("unusable setting: {error}"))
        };
        let mut config: tokio_postgres::Config =
            settings.url.parse().map_err(|error| unusable(&error))?;
        config.connect_timeout(CONNECT_TIMEOUT);
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
        config.keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("tidings");
        }
        let tls = match &settings.ca_file {
            Some(file) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    unusable(&format_args!(
                        "database.ca_file {}: {error}",
                        file.display()
                    ))
                };
                let mut roots = rustls::RootCertStore::empty();
                let authorities =
                    CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))?;
                for authority in authorities {
                    let authority = authority.map_err(|error| unusable(&error))?;
                    roots.add(authority).map_err(|error| unusable(&error))?;
                }
                rustls::ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth()
            }
            None => rustls::ClientConfig::with_platform_verifier().unwrap_or_else(|error| {
                tracing::debug!(error = %error, "no root certificates: no TLS server can be trusted");
                rustls::ClientConfig::builder()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth()
            }),
        };
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls),
            turns: Turns::default(),
        })
    }

    /// Connects within a bound: a server that is frozen takes connections and never greets.
    async fn connect(&self, work: Work) -> ConnectionResult<Conn> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect_in_time(work));
        let late = |late: Elapsed| ConnectionError::BadConnection(late.to_string());
        connecting.await.map_err(late)?
    }

    async fn connect_in_time(&self, work: Work) -> ConnectionResult<Conn> {
        let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(describe(&error));
        let refusals = Refusals::default();
        let hosts = self.config.get_hosts();
        let mut conn = match hosts {
            [Host::Unix(folder)] => self.connect_locally(folder, &refusals).await?,
            _ if !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Tcp(_))) => {
                let tap = Tap {
                    tls: self.tls.clone(),
                    mode: self.config.get_ssl_mode(),
                    negotiation: self.config.get_ssl_negotiation(),
                    refusals: refusals.clone(),
                };
                let mut config = self.config.clone();
                config.ssl_mode(SslMode::Require);
                config.ssl_negotiation(SslNegotiation::Direct);
                let (client, connection) = config.connect(tap).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
            // Sockets and addresses mixed: nothing is overheard.
            _ if self.config.get_ssl_mode() == SslMode::Disable => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
            _ => {
                let connecting = self.config.connect(self.tls.clone());
                let (client, connection) = connecting.await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
        };
        conn.batch_execute(&work.session())
            .await
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
        let turns = self.turns.clone();
        Ok(Conn::new(conn, refusals, turns, work.answer_within()))
    }

    /// Connects to a server on this machine, through its socket in `folder`.
    async fn connect_locally(
        &self,
        folder: &Path,
        refusals: &Refusals,
    ) -> ConnectionResult<AsyncPgConnection> {
        let bad = |reason: String| ConnectionError::BadConnection(reason);
        let port = self.config.get_ports().first().copied();
        let socket = folder.join(format!(".s.PGSQL.{}", port.unwrap_or(PORT)));
        let stream = UnixStream::connect(&socket).await;
        let stream = stream.map_err(|error| bad(describe(&error)))?;
        let overheard = Overheard::new(stream, refusals.clone());
        let connected = self.config.connect_raw(overheard, NoTls).await;
        let (client, connection) = connected.map_err(|error| bad(describe(&error)))?;
        // Ends with the connection; what it would say, the client is told too.
        Handle::current().spawn(async move { drop(connection.await) });
        AsyncPgConnection::try_from(client).await
    }
}

/// An error with its causes on one line: the driver's own text leaves them out.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Tries `connect` again and again with growing waits until it succeeds or `limit` has passed.
///
/// Shape: `unit` draws numbers in `[0, 1)`; they lengthen each wait by up to a half, so that not all who wait come
/// back at once. The one place that knows the `backoff` crate, whose own chance and clock nobody could replay; the
/// delivery schedule is `domain::retry`.
pub async fn reconnecting<T, E, F>(
    limit: Duration,
    unit: impl Fn() -> f64,
    mut connect: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    use backoff::backoff::Backoff;
    let until = Instant::now() + limit;
    let mut waits = backoff::ExponentialBackoffBuilder::new()
        .with_initial_interval(RECONNECT_WAIT_MIN)
        .with_max_interval(RECONNECT_WAIT_MAX)
        .with_multiplier(2.0)
        .with_randomization_factor(0.0)
        .with_max_elapsed_time(None)
        .build();
    loop {
        match connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) => match waits.next_backoff() {
                Some(wait) if Instant::now() + wait <= until => {
                    tokio::time::sleep(wait.mul_f64(1.0 + unit() / 2.0)).await;
                }
                Some(_) | None => return Err(error),
            },
        }
    }
}
