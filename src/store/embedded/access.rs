//! How one connects to the cluster: its password, its URL, and the first thing said to it.
//!
//! Invariant: the password has 256 random bits, is kept in a 0600 file of the server's user (`initdb` reads it
//! there; root may read it anyway), and is never shown by `Debug`. A server counts as ready only once it has
//! answered a connection; its process being there proves nothing.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

use super::account::Account;
use super::error::EmbeddedError;
use super::layout::{Layout, PORT};

/// The superuser, and the database, of the cluster.
pub(super) const NAME: &str = "tidings";

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is needed to connect.
pub(super) struct Access {
    socket_dir: PathBuf,
    password: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("socket_dir", &self.socket_dir)
            .finish_non_exhaustive()
    }
}

/// What came of a connection.
#[derive(Debug)]
pub(super) enum Answer {
    Ready,
    /// Ready, but the database of Tidings was not set up: its creator was killed.
    Bare,
    /// Starting, recovering, stopping, full or not listening: worth another try.
    NotYet(Error),
    TimedOut,
    /// The password is not the one in the file.
    Refused(Error),
}

impl Access {
    /// Returns the access through `socket_dir` with the stored password; `None` when there is none.
    pub(super) fn load(
        layout: &Layout,
        socket_dir: PathBuf,
    ) -> Result<Option<Self>, EmbeddedError> {
        let path = layout.password();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self {
                socket_dir,
                password: text.trim_end().to_owned(),
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("read", &path)(error)),
        }
    }

    /// Returns the URL of the database of Tidings, for tokio-postgres and libpq alike.
    ///
    /// Source: PostgreSQL manual, 34.1.1.2 (a socket folder is the percent-encoded host).
    pub(super) fn url(&self) -> String {
        self.url_of(NAME)
    }

    fn url_of(&self, database: &str) -> String {
        let host = percent_encoded(&self.socket_dir);
        format!(
            "postgres://{NAME}:{}@{host}:{PORT}/{database}",
            self.password
        )
    }

    /// Asks the server whether it is ready, by connecting.
    pub(super) async fn ask(&self) -> Answer {
        let asking = run_in(self.url(), async |_| Ok(()));
        let error = match tokio::time::timeout(ANSWER_WITHIN, asking).await {
            Ok(Ok(())) => return Answer::Ready,
            Ok(Err(error)) => error,
            Err(_) => return Answer::TimedOut,
        };
        match error.code() {
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Answer::Bare,
            Some(code)
                if *code == SqlState::INVALID_PASSWORD
                    || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                Answer::Refused(error)
            }
            Some(_) | None => Answer::NotYet(error),
        }
    }

    /// Creates the database of Tidings; last, so that its existence says that all of this was done.
    pub(super) async fn set_up(&self) -> Result<(), EmbeddedError> {
        run_in(self.url_of("postgres"), set_up)
            .await
            .map_err(EmbeddedError::SetUp)
    }
}

async fn set_up(client: &Client) -> Result<(), Error> {
    let compression =
        "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'wal_compression'";
    let has_lz4: Option<bool> = client.query_one(compression, &[]).await?.try_get(0)?;
    let method = if has_lz4 == Some(true) { "lz4" } else { "on" };
    client
        .batch_execute(&format!("ALTER SYSTEM SET wal_compression = '{method}'"))
        .await?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    // an error of a statement goes to Tidings, which logs it once and without the row it was about
    client
        .batch_execute(&format!("ALTER ROLE {NAME} SET log_min_messages = 'log'"))
        .await?;
    client
        .batch_execute(&format!("CREATE DATABASE {NAME}"))
        .await
}

/// Connects, does `work`, says goodbye.
async fn run_in(
    url: String,
    work: impl AsyncFnOnce(&Client) -> Result<(), Error>,
) -> Result<(), Error> {
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let talking = async move {
        // the connection ends when the client is dropped, at the end of this block
        let client = client;
        work(&client).await
    };
    let (worked, _ended) = tokio::join!(talking, connection);
    worked
}

/// Makes sure that there is a password. Written beside its place first: half of one would be worse than none.
pub(super) fn ensure_password(layout: &Layout, account: &Account) -> Result<(), EmbeddedError> {
    let path = layout.password();
    if path.exists() {
        return Ok(());
    }
    let bytes: [u8; 32] = rand::random();
    let draft = path.with_extension(format!("new-{:08x}", rand::random::<u32>()));
    let written = write_new(&draft, &URL_SAFE_NO_PAD.encode(bytes));
    written.map_err(EmbeddedError::io("write", &draft))?;
    account.own(&draft)?;
    fs::rename(&draft, &path).map_err(EmbeddedError::io("create", &path))
}

fn write_new(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{line}")?;
    file.sync_all()
}

fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_carries_any_socket_folder_as_an_encoded_host() {
        let access = Access {
            socket_dir: PathBuf::from("/data/a b,c@ü"),
            password: "pa-ss_word".to_owned(),
        };

        assert_eq!(
            access.url(),
            "postgres://tidings:pa-ss_word@%2Fdata%2Fa%20b%2Cc%40%C3%BC:5432/tidings"
        );
        let config: tokio_postgres::Config = access.url().parse().unwrap();
        let host = tokio_postgres::config::Host::Unix(access.socket_dir);
        assert_eq!(config.get_hosts(), [host]);
    }

    #[test]
    fn the_password_is_not_shown() {
        let access = Access {
            socket_dir: PathBuf::from("/data"),
            password: "hush".to_owned(),
        };

        assert!(!format!("{access:?}").contains("hush"));
    }
}
