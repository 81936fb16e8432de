//! Settlements: what came of claims, written in one statement for many.
//!
//! Invariant: an attempt is recorded always, also when the lease was lost; the verdict takes effect only under
//! the lease. The attempt that ends a delivery is part of its row in `deliveries`, every other has a row of its
//! own. A settlement that runs twice (after an unknown commit) changes nothing the second time.
//!
//! Shape: each row is looked up by its key and locked, in the order of ids like by all who write the outbox, then
//! found again by its place (ADR 8). The place holds because whoever else changes a leased row ends its lease, and
//! then it is not found.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Bytea, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid,
};
use diesel_async::RunQueryDsl;

use super::attempts::OutcomeColumns;
use super::conn::Conn;
use super::error::StoreError;
use crate::domain::attempt::{Answer, Attempt};
use crate::domain::delivery::Settlement;
use crate::domain::id::{DeliveryId, EnvironmentId, LeaseId};

/// What became of one claim.
#[derive(Debug, Clone)]
pub struct Settled {
    pub delivery: DeliveryId,
    pub lease: LeaseId,
    pub number: u32,
    pub started_at: DateTime<Utc>,
    pub attempt: Attempt,
    pub settlement: Settlement,
}

/// Records attempts of one environment and settles their deliveries; answers how many were still under lease.
pub async fn settle(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    settled: &[Settled],
) -> Result<usize, StoreError> {
    let (delayed, ended): (Vec<&Settled>, Vec<&Settled>) = settled
        .iter()
        .partition(|one| matches!(one.settlement, Settlement::RetryAfter(_)));
    let mut held: HashSet<(DeliveryId, LeaseId)> = HashSet::new();
    if !ended.is_empty() {
        let end = End(Columns::of(environment, now, &ended));
        held.extend(end.load::<(DeliveryId, LeaseId)>(conn).await?);
    }
    if !delayed.is_empty() {
        let delay = Delay(Columns::of(environment, now, &delayed));
        held.extend(delay.load::<(DeliveryId, LeaseId)>(conn).await?);
    }
    let is_late = |one: &&Settled| !held.contains(&(one.delivery, one.lease));
    let late: Vec<&Settled> = settled.iter().filter(is_late).collect();
    if !late.is_empty() {
        let recorded = Record(Columns::of(environment, now, &late));
        recorded.execute(conn).await?;
    }
    Ok(settled.len() - late.len())
}

/// The columns of many settlements.
struct Columns<'a> {
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    deliveries: Vec<DeliveryId>,
    leases: Vec<LeaseId>,
    numbers: Vec<i16>,
    started: Vec<DateTime<Utc>>,
    durations: Vec<i32>,
    outcomes: Vec<&'static str>,
    statuses: Vec<Option<i16>>,
    details: Vec<Option<String>>,
    headers: Vec<Option<String>>,
    answers: Vec<Option<&'a [u8]>>,
    verdicts: Vec<&'static str>,
    reasons: Vec<Option<&'static str>>,
    delays_ms: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(environment: EnvironmentId, now: Option<DateTime<Utc>>, settled: &[&'a Settled]) -> Self {
        let columns: Vec<OutcomeColumns> = settled
            .iter()
            .map(|settled| OutcomeColumns::of(&settled.attempt.outcome))
            .collect();
        let verdicts: Vec<_> = settled
            .iter()
            .map(|settled| verdict(settled.settlement))
            .collect();
        let answer = |settled: &&'a Settled| settled.attempt.answer.as_ref();
        Self {
            environment,
            now,
            deliveries: settled.iter().map(|settled| settled.delivery).collect(),
            leases: settled.iter().map(|settled| settled.lease).collect(),
            numbers: settled
                .iter()
                .map(|settled| i16::try_from(settled.number).unwrap_or(i16::MAX))
                .collect(),
            started: settled.iter().map(|settled| settled.started_at).collect(),
            durations: settled
                .iter()
                .map(|settled| clamp_ms(settled.attempt.duration))
                .collect(),
            outcomes: columns.iter().map(|columns| columns.outcome).collect(),
            statuses: columns.iter().map(|columns| columns.status).collect(),
            headers: settled
                .iter()
                .map(|settled| answer(settled).and_then(headers_text))
                .collect(),
            answers: settled
                .iter()
                .map(|settled| {
                    answer(settled)
                        .map(|answer| &answer.body[..])
                        .filter(|body| !body.is_empty())
                })
                .collect(),
            details: columns.into_iter().map(|columns| columns.detail).collect(),
            verdicts: verdicts.iter().map(|verdict| verdict.0).collect(),
            reasons: verdicts.iter().map(|verdict| verdict.1).collect(),
            delays_ms: verdicts.iter().map(|verdict| verdict.2).collect(),
        }
    }
}

/// Verdict, reason and delay as columns.
fn verdict(settlement: Settlement) -> (&'static str, Option<&'static str>, i64) {
    match settlement {
        Settlement::Delivered => ("delivered", None, 0),
        Settlement::Exhausted => ("exhausted", None, 0),
        Settlement::Cancelled(reason) => ("cancelled", Some(reason.as_str()), 0),
        Settlement::RetryAfter(delay) => (
            "retry",
            None,
            i64::try_from(delay.as_millis()).unwrap_or(i64::MAX),
        ),
    }
}

fn clamp_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

impl<'a> Columns<'a> {
    /// The moment, and the settlements as rows, `input`. Arrays come out of selects, which hide their length:
    /// planning anew for each length costs more than settling.
    fn push_input<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH moment AS (SELECT coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.now)?;
        out.push_sql(
            ", clock_timestamp()) AS now), input AS MATERIALIZED (SELECT * FROM unnest((SELECT ",
        );
        out.push_bind_param::<Array<Uuid>, _>(&self.deliveries)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Uuid>, _>(&self.leases)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.numbers)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.started)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Integer>, _>(&self.durations)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Text>, _>(&self.outcomes)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<SmallInt>>, _>(&self.statuses)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.details)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.headers)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Bytea>>, _>(&self.answers)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Text>, _>(&self.verdicts)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.reasons)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<BigInt>, _>(&self.delays_ms)?;
        out.push_sql(
            ")) AS input (delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail, \
             answer_headers, answer_body, verdict, reason, delay_ms) ORDER BY delivery_id)",
        );
        Ok(())
    }

    /// Those of `input` whose rows are still under their lease, with the rows, locked: `held`.
    fn push_held<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.push_input(out)?;
        out.push_sql(
            ", held AS MATERIALIZED (SELECT owed.*, input.* FROM input CROSS JOIN LATERAL \
             (SELECT ctid AS place, id, event_id, endpoint_id, attempts, replay_of, created_at FROM outbox \
             WHERE outbox.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND outbox.id = input.delivery_id AND outbox.lease_id = input.lease_id FOR UPDATE) AS owed), ",
        );
        Ok(())
    }

    /// Records the attempts of `rows`, once.
    fn push_record<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>, rows: &str) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO attempts (environment_id, delivery_id, lease_id, number, started_at, duration_ms, outcome, \
             status, detail, answer_headers, answer_body) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            ", delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail, answer_headers, \
             answer_body FROM ",
        );
        out.push_sql(rows);
        Ok(())
    }
}

/// Ends deliveries: they move into the history together with their last attempt.
struct End<'a>(Columns<'a>);

impl QueryId for End<'_> {
    type QueryId = End<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for End<'_> {
    type SqlType = (Uuid, Uuid);
}

impl QueryFragment<Pg> for End<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.push_held(&mut out)?;
        out.push_sql(
            "ended AS (DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT place FROM held))), \
             history AS (INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, reason, \
             attempts, replay_of, created_at, settled_at, last_lease_id, last_started_at, last_duration_ms, \
             last_outcome, last_status, last_detail, last_answer_headers, last_answer_body) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.0.environment)?;
        out.push_sql(
            ", id, event_id, endpoint_id, verdict, reason, attempts + 1, replay_of, created_at, moment.now, \
             lease_id, started_at, duration_ms, outcome, status, detail, answer_headers, answer_body \
             FROM held, moment) SELECT id, lease_id FROM held",
        );
        Ok(())
    }
}

/// Makes deliveries due again later, and records their attempts.
struct Delay<'a>(Columns<'a>);

impl QueryId for Delay<'_> {
    type QueryId = Delay<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Delay<'_> {
    type SqlType = (Uuid, Uuid);
}

impl QueryFragment<Pg> for Delay<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.push_held(&mut out)?;
        out.push_sql("recorded AS (");
        self.0
            .push_record(&mut out, "held ON CONFLICT DO NOTHING")?;
        out.push_sql(
            "), delayed AS (UPDATE outbox SET due_at = moment.now + held.delay_ms * interval '1 millisecond', \
             attempts = outbox.attempts + 1, lease_id = NULL, worker_id = NULL FROM held, moment \
             WHERE outbox.ctid = held.place) SELECT id, lease_id FROM held",
        );
        Ok(())
    }
}

/// Records attempts whose lease was lost, or that an earlier run has settled: those are on record already.
struct Record<'a>(Columns<'a>);

impl QueryId for Record<'_> {
    type QueryId = Record<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Record<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.push_input(&mut out)?;
        // What a receiver answered may repeat what a redaction has removed meanwhile, and comes too late for it.
        // An entry's id has the bytes of its event's.
        out.push_sql(
            ", late AS (SELECT delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail, \
             CASE WHEN NOT redacted THEN answer_headers END AS answer_headers, \
             CASE WHEN NOT redacted THEN answer_body END AS answer_body FROM (SELECT input.*, \
             EXISTS (SELECT FROM audit_log_entries WHERE audit_log_entries.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.0.environment)?;
        out.push_sql(
            " AND commitments IS NOT NULL AND audit_log_entries.id = (SELECT event_id FROM all_deliveries \
             WHERE all_deliveries.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.0.environment)?;
        out.push_sql(
            " AND all_deliveries.id = input.delivery_id)) AS redacted FROM input) AS input) ",
        );
        self.0.push_record(
            &mut out,
            "late WHERE NOT EXISTS (SELECT FROM deliveries WHERE deliveries.environment_id = ",
        )?;
        out.push_bind_param::<Uuid, _>(&self.0.environment)?;
        out.push_sql(
            " AND deliveries.id = late.delivery_id AND deliveries.last_lease_id = late.lease_id) \
             ON CONFLICT DO NOTHING",
        );
        Ok(())
    }
}

/// Headers that say nothing about the receiver's verdict; they are on every answer and not worth keeping.
const DULL_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "transfer-encoding",
];

/// The headers worth keeping, as a JSON array of pairs; `None` when there are none.
fn headers_text(answer: &Answer) -> Option<String> {
    let kept: Vec<&(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !DULL_HEADERS.contains(&name.as_str()))
        .collect();
    if kept.is_empty() {
        None
    } else {
        serde_json::to_string(&kept).ok()
    }
}
