//! Gauges: how full this server is, and what weighs on its database, at one moment.
//!
//! Invariant: looked up when they are asked for, so they are never older than the answer, and cost nothing in between.

use chrono::TimeDelta;

use super::context::App;
use super::error::AppError;
use crate::ingest::Waiting;
use crate::store::strain::{self, Strain};

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Gauges {
    /// Of the database, so all servers say the same.
    pub strain: Strain,
    /// For how long from now there are partitions; negative when the last has ended, `None` when there is none.
    pub partitions_ahead: Option<TimeDelta>,
    /// What waits to be recorded here.
    pub waiting: Waiting,
    /// Deliveries that this server has claimed and not settled yet.
    pub claims_held: usize,
    /// Whether this server sends.
    pub is_dispatching: bool,
}

/// Looks at the server and its database.
///
/// Errors: `Unavailable` when the database does not answer.
pub async fn read(app: &App) -> Result<Gauges, AppError> {
    let mut conn = app.store().conn().await?;
    let strain = strain::look(&mut conn).await?;
    let now = app.clock().now();
    Ok(Gauges {
        strain,
        partitions_ahead: strain.partitions_until.map(|until| until - now),
        waiting: app.recorder().waiting(),
        claims_held: app.handoff().gate.held(),
        is_dispatching: app.handoff().is_open(),
    })
}
