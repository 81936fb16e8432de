//! The pool: connections to Postgres, made on the main runtime, with limits that end every wait.
//!
//! Invariant: a connection's driver runs on the runtime that built the pool, never on a worker of the HTTP
//! server, whose single thread may be busy. Every connection carries the time limits that let another server
//! go on when this one freezes with a lock in hand.

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
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conn::Conn;
use super::error::StoreError;

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
/// After how long without an answer a connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// What every session is told. A frozen holder of a lock loses it after five seconds, a host that has vanished
/// after ten. The order of the feed stands on READ COMMITTED: a statement after the lock must see what the lock's
/// last holder wrote, whatever the server's default is. Every look-up has its index; a table that is read whole
/// because it was small when a statement was first planned would still be read whole when it is large.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = '30s'; \
                       SET lock_timeout = '10s'; SET default_transaction_isolation = 'read committed'; \
                       SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
                       SET tcp_keepalives_count = 3; SET tcp_user_timeout = '10s'; \
                       SET TIME ZONE 'UTC'; SET jit = off; SET enable_seqscan = off";

/// The pool of connections.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool<Conn>,
    connector: Arc<Connector>,
}

impl Connections {
    /// Opens the pool and one connection, to see that the database is there.
    ///
    /// Errors: a malformed URL or CA file; `Unavailable` when the database does not answer.
    pub(super) async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let connector = Arc::new(Connector::new(settings)?);
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
        let (setup, runtime) = (connector.clone(), Handle::current());
        manager.custom_setup = Box::new(move |_url| {
            let (setup, runtime) = (setup.clone(), runtime.clone());
            async move {
                let connecting = runtime.spawn(async move { setup.connect().await });
                connecting
                    .await
                    .map_err(|error| ConnectionError::BadConnection(error.to_string()))?
            }
            .boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config(settings.url.as_str(), manager);
        let pool = Pool::builder()
            .max_size(settings.connections_max)
            .connection_timeout(LOAN_WAIT)
            .idle_timeout(Some(Duration::from_secs(600)))
            .max_lifetime(Some(Duration::from_secs(3600)))
            .test_on_check_out(true)
            .build_unchecked(manager);
        let connections = Self { pool, connector };
        drop(connections.dedicated().await?);
        Ok(connections)
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
            .connect()
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

/// Makes connections: address, TLS, session settings.
struct Connector {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
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
        })
    }

    async fn connect(&self) -> ConnectionResult<Conn> {
        let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(describe(&error));
        let mut conn = if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self
                .config
                .connect(tokio_postgres::NoTls)
                .await
                .map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await?
        } else {
            let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await?
        };
        conn.batch_execute(SESSION)
            .await
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(Conn::new(conn))
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
/// The one place that knows the `backoff` crate; the delivery schedule is `domain::retry`.
pub async fn reconnecting<T, E, F>(limit: Duration, mut connect: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    use backoff::backoff::Backoff;
    let mut waits = backoff::ExponentialBackoffBuilder::new()
        .with_initial_interval(Duration::from_millis(100))
        .with_max_interval(Duration::from_secs(2))
        .with_max_elapsed_time(Some(limit))
        .build();
    loop {
        match connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) => match waits.next_backoff() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
        }
    }
}
