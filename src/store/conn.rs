//! One connection to Postgres, which knows when an error was its own end.
//!
//! Invariant: a statement that fails because the connection was taken away (a terminated backend, a server that
//! stops) fails with `ClosedConnection`, one that could succeed if it were run again with `SerializationFailure`, one
//! that the server had no room for with `OutOfRoom`. The driver calls all of them unknown errors; what they are is
//! overheard (`wire`), and where it was not, the connection itself is asked whether it is still there.

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
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::error::StoreError;
use super::turns::{Turn, Turns};
use super::wire::Refusals;
use super::work::Work;
use crate::domain::id::EnvironmentId;

/// How long a connection may take to show that it is there.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// One connection to Postgres.
///
/// Shape: a statement takes `&mut Conn`, or `&Conn` where several are sent at once: futures that are polled together
/// on one connection cost one wait, and the statements still run one after the other, each in its own snapshot.
pub struct Conn {
    connection: AsyncPgConnection,
    refusals: Refusals,
    turns: Turns,
    /// How long a statement may take from here to its last row; a server that is frozen would never answer.
    answer_within: Duration,
    /// A statement was not answered in time. Nothing is known of this connection any more.
    silent: AtomicBool,
    /// In a transaction of [`Conn::begin`], or nobody knows.
    open: AtomicBool,
}

impl Conn {
    /// `refusals` are those on this connection, `turns` those of the process.
    pub(super) fn new(
        connection: AsyncPgConnection,
        refusals: Refusals,
        turns: Turns,
        answer_within: Duration,
    ) -> Self {
        Self {
            connection,
            refusals,
            turns,
            answer_within,
            silent: AtomicBool::new(false),
            open: AtomicBool::new(false),
        }
    }

    /// The driver's own connection, for what cannot do with another.
    pub(super) fn into_inner(self) -> AsyncPgConnection {
        self.connection
    }

    /// Waits for the turn to take the environment's lock, before the transaction that takes it.
    pub async fn turn(&self, environment: EnvironmentId) -> Turn {
        self.turns.of(environment).await
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

    /// Gives an error of unknown kind the kind that it has.
    async fn told_apart(&self, error: DieselError) -> DieselError {
        let DieselError::DatabaseError(DatabaseErrorKind::Unknown, information) = &error else {
            return error;
        };
        let message = information.message().to_owned();
        let nature = match self.refusals.state_of(&message) {
            Some(state) => Nature::of(&state),
            None if self.is_there().await => Nature::Other,
            None => Nature::Ended,
        };
        let kind = match nature {
            Nature::Ended => DatabaseErrorKind::ClosedConnection,
            Nature::Again => DatabaseErrorKind::SerializationFailure,
            Nature::OutOfRoom => {
                return DieselError::QueryBuilderError(Box::new(OutOfRoom(message)));
            }
            Nature::Other => return error,
        };
        DieselError::DatabaseError(kind, Box::new(message))
    }

    /// Waits for what a statement comes to, until `deadline`.
    async fn answered<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = QueryResult<T>>,
    ) -> QueryResult<T> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(no_answer());
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.told_apart(error).await),
            Err(_late) => {
                self.silent.store(true, Ordering::Relaxed);
                Err(no_answer())
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.answer_within
    }

    async fn is_there(&self) -> bool {
        // An empty query is answered also in a transaction that has failed.
        let mut asked = &self.connection;
        let answer = tokio::time::timeout(ASK_WITHIN, asked.batch_execute("")).await;
        matches!(answer, Ok(Ok(())))
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

fn no_answer() -> DieselError {
    let message = "the database did not answer in time".to_owned();
    DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
}

/// The server has no memory, disk or slot for a statement.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct OutOfRoom(String);

/// What a refusal means for whoever sent the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// The connection is gone, or will be with the next statement.
    Ended,
    /// Another transaction or a limit of time was in the way: the same may succeed.
    Again,
    OutOfRoom,
    /// The statement or its values.
    Other,
}

impl Nature {
    /// Source: PostgreSQL manual, appendix A.
    fn of(state: &SqlState) -> Self {
        let code = state.code();
        match *state {
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::QUERY_CANCELED => Self::Again,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Ended,
            _ if code.starts_with("08") || code.starts_with("57P") => Self::Ended,
            _ if code.starts_with("53") => Self::OutOfRoom,
            _ => Self::Other,
        }
    }
}

impl SimpleAsyncConnection for &Conn {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let mut asked = &self.connection;
        self.answered(self.deadline(), asked.batch_execute(query))
            .await
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
        let conn: &'a Conn = self;
        let mut asked = &conn.connection;
        let loading = asked.load(source);
        async move {
            let deadline = conn.deadline();
            let rows = conn.answered(deadline, loading).await?;
            // Most errors come with the rows.
            let rows = stream::try_unfold(rows, move |mut rows| async move {
                let next = conn.answered(deadline, rows.try_next()).await?;
                Ok(next.map(|row| (row, rows)))
            });
            Ok(rows.boxed())
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
        let conn: &'a Conn = self;
        let mut asked = &conn.connection;
        let executing = asked.execute_returning_count(source);
        async move { conn.answered(conn.deadline(), executing).await }.boxed()
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
        let connection = AsyncPgConnection::establish(database_url).await?;
        Ok(Self::new(
            connection,
            Refusals::default(),
            Turns::default(),
            Work::Record.answer_within(),
        ))
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <AnsiTransactionManager as TransactionManager<Self>>::TransactionStateData {
        self.connection.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.connection.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.connection.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.connection.set_prepared_statement_cache_size(size);
    }
}

impl PoolableConnection for Conn {
    fn is_broken(&mut self) -> bool {
        *self.open.get_mut() || *self.silent.get_mut() || self.connection.is_broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_means_what_its_code_says() {
        for (code, nature) in [
            ("22003", Nature::Other),
            ("23514", Nature::Other),
            ("42P01", Nature::Other),
            ("54000", Nature::Other),
            ("XX000", Nature::Other),
            ("40001", Nature::Again),
            ("40P01", Nature::Again),
            ("55P03", Nature::Again),
            ("57014", Nature::Again),
            ("08006", Nature::Ended),
            ("57P01", Nature::Ended),
            ("57P03", Nature::Ended),
            ("25P03", Nature::Ended),
            ("53100", Nature::OutOfRoom),
            ("53300", Nature::OutOfRoom),
        ] {
            assert_eq!(Nature::of(&SqlState::from_code(code)), nature, "{code}");
        }
    }
}
