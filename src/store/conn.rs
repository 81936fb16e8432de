//! One connection to Postgres, which knows when an error was its own end.
//!
//! Invariant: a statement that fails because the connection was taken away (a terminated backend, a server that
//! stops) fails with `ClosedConnection`. The driver calls it an unknown error, as it does everything that has no
//! kind of its own, and keeps the SQLSTATE; so the connection itself is asked whether it is still there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::{CacheSize, Instrumentation};
use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ConnectionResult, QueryResult};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, AsyncPgConnection,
    SimpleAsyncConnection, TransactionManager,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::error::StoreError;

/// How long a connection may take to show that it is there.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// One connection to Postgres.
///
/// Shape: a statement takes `&mut Conn`, or `&Conn` where several are sent at once: futures that are polled together
/// on one connection cost one wait, and the statements still run one after the other, each in its own snapshot.
pub struct Conn {
    driver: AsyncPgConnection,
    /// In a transaction of [`Conn::begin`], or nobody knows.
    open: AtomicBool,
}

impl Conn {
    pub(super) fn new(driver: AsyncPgConnection) -> Self {
        Self {
            driver,
            open: AtomicBool::new(false),
        }
    }

    /// The driver's own connection, for what cannot do with another.
    pub(super) fn into_inner(self) -> AsyncPgConnection {
        self.driver
    }

    /// Begins a transaction; sent before all that is polled after it.
    ///
    /// Shape: until it is known to have ended, the connection counts as broken, so that the pool drops it.
    pub async fn begin(&self) -> Result<(), StoreError> {
        self.open.store(true, Ordering::Relaxed);
        let mut conn = self;
        Ok(conn.batch_execute("BEGIN").await?)
    }

    /// Commits the transaction of [`Conn::begin`]; sent after all statements that are polled before it, because it
    /// waits in the same line as they do for the connection's prepared statements.
    ///
    /// Shape: polled together with statements of which one fails, it commits nothing: the server answers COMMIT in
    /// a failed transaction by rolling back. So this answers well only together with them.
    pub async fn commit(&self) -> Result<(), StoreError> {
        let mut conn = self;
        conn.execute_returning_count(Commit).await?;
        self.open.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Gives up the transaction of [`Conn::begin`], if it has not ended yet.
    pub async fn rollback(&self) -> Result<(), StoreError> {
        let mut conn = self;
        conn.batch_execute("ROLLBACK").await?;
        self.open.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// COMMIT as a prepared statement.
#[derive(QueryId)]
struct Commit;

impl QueryFragment<Pg> for Commit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("COMMIT");
        Ok(())
    }
}

/// Gives an error of unknown kind the kind that it has: did the connection end with it?
async fn told_apart(conn: &AsyncPgConnection, error: DieselError) -> DieselError {
    let DieselError::DatabaseError(DatabaseErrorKind::Unknown, information) = &error else {
        return error;
    };
    // An empty query is answered also in a transaction that has failed.
    let mut asked = conn;
    let answer = tokio::time::timeout(ASK_WITHIN, asked.batch_execute("")).await;
    if matches!(answer, Ok(Ok(()))) {
        return error;
    }
    let message = information.message().to_owned();
    DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
}

impl SimpleAsyncConnection for &Conn {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let mut asked = &self.driver;
        match asked.batch_execute(query).await {
            Ok(()) => Ok(()),
            Err(error) => Err(told_apart(&self.driver, error).await),
        }
    }
}

impl SimpleAsyncConnection for Conn {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        (&*self).batch_execute(query).await
    }
}

impl<'a> AsyncConnectionCore for &'a Conn {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'a, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'a, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = BoxStream<'a, QueryResult<Self::Row<'conn, 'query>>>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let conn = &self.driver;
        let mut asked = conn;
        let loading = asked.load(source);
        async move {
            match loading.await {
                // Most errors come with the rows.
                Ok(rows) => Ok(rows
                    .or_else(move |error| told_apart(conn, error).map(Err))
                    .boxed()),
                Err(error) => Err(told_apart(conn, error).await),
            }
        }
        .boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let conn = &self.driver;
        let mut asked = conn;
        let executing = asked.execute_returning_count(source);
        async move {
            match executing.await {
                Ok(count) => Ok(count),
                Err(error) => Err(told_apart(conn, error).await),
            }
        }
        .boxed()
    }
}

impl AsyncConnectionCore for Conn {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = BoxStream<'conn, QueryResult<Self::Row<'conn, 'query>>>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        (&mut &*self).load(source)
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        (&mut &*self).execute_returning_count(source)
    }
}

impl AsyncConnection for Conn {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(database_url: &str) -> ConnectionResult<Self> {
        AsyncPgConnection::establish(database_url)
            .await
            .map(Self::new)
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <AnsiTransactionManager as TransactionManager<Self>>::TransactionStateData {
        self.driver.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.driver.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.driver.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.driver.set_prepared_statement_cache_size(size);
    }
}

impl PoolableConnection for Conn {
    fn is_broken(&mut self) -> bool {
        self.open.load(Ordering::Relaxed) || self.driver.is_broken()
    }
}
