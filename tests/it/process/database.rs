//! A Postgres that is not Tidings' own: for tests of servers on an external database.

use tidings::store::embedded::{Embedded, EmbeddedSettings, Home};
use tokio_postgres::{Client, NoTls};

use super::{Site, end_postgres};

/// A cluster, started by the test through the embedded module; servers know only its URL.
pub(crate) struct Cluster {
    site: Site,
    embedded: Option<Embedded>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut cluster = Self {
            site: Site::new(),
            embedded: None,
        };
        cluster.start_again().await;
        cluster
    }

    /// Starts it, after it was killed.
    pub(crate) async fn start_again(&mut self) {
        let settings = EmbeddedSettings {
            data_dir: self.site.data_dir(),
            bin_dir: None,
            home: Home::default(),
        };
        // the one before lets go of the folder first
        self.embedded = None;
        self.embedded = Some(Embedded::start(&settings).await.unwrap());
    }

    pub(crate) fn url(&self) -> String {
        self.embedded.as_ref().unwrap().url().to_owned()
    }

    pub(crate) fn postmaster(&self) -> i32 {
        self.site.postmaster().unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(pid) = self.site.postmaster() {
            end_postgres(pid);
        }
    }
}

/// Connects; the connection lives as long as the runtime of the test.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    client
}
