//! Attempts: what each POST came to, recorded with its delivery's verdict in one statement.
//!
//! Invariant: an attempt is recorded always, also when the lease was lost; the verdict takes effect only under
//! the lease. The attempt that ends a delivery is part of its row in `deliveries`, every other has a row of its
//! own. A settlement that runs twice (after an unknown commit) changes nothing the second time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Bytea, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid,
};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::all_attempts;
use crate::domain::attempt::{Answer, Attempt, Outcome, Unreachable};
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

/// Records attempts of one environment and settles their deliveries; answers those that were still under lease.
///
/// Shape: each row is looked up by its key and locked, in the order of ids like by all who write the outbox, then
/// found again by its place: a plan that was made while the outbox was empty must not read all of it when it is
/// full. The place holds because whoever else changes a leased row ends its lease, and then it is not found. The
/// columns come out of selects, which hide their length: planning again for each length costs more than settling.
pub async fn settle(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: Option<DateTime<Utc>>,
    settled: &[Settled],
) -> Result<Vec<DeliveryId>, StoreError> {
    Ok(Settle::of(environment, now, settled).load(conn).await?)
}

/// The columns of many settlements.
struct Settle<'a> {
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

impl QueryId for Settle<'_> {
    type QueryId = Settle<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<'a> Settle<'a> {
    fn of(environment: EnvironmentId, now: Option<DateTime<Utc>>, settled: &'a [Settled]) -> Self {
        let columns: Vec<OutcomeColumns> = settled
            .iter()
            .map(|settled| OutcomeColumns::of(&settled.attempt.outcome))
            .collect();
        let verdicts: Vec<_> = settled
            .iter()
            .map(|settled| verdict(settled.settlement))
            .collect();
        let answer = |settled: &'a Settled| settled.attempt.answer.as_ref();
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

impl Query for Settle<'_> {
    type SqlType = Uuid;
}

impl QueryFragment<Pg> for Settle<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
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
             answer_headers, answer_body, verdict, reason, delay_ms) ORDER BY delivery_id), \
             held AS MATERIALIZED (SELECT owed.*, input.* FROM input CROSS JOIN LATERAL \
             (SELECT ctid AS place, id, event_id, endpoint_id, attempts, replay_of, created_at FROM outbox \
             WHERE outbox.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND outbox.id = input.delivery_id AND outbox.lease_id = input.lease_id FOR UPDATE) AS owed), \
             recorded AS (INSERT INTO attempts (environment_id, delivery_id, lease_id, number, started_at, \
             duration_ms, outcome, status, detail, answer_headers, answer_body) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            ", delivery_id, lease_id, number, started_at, duration_ms, outcome, status, detail, answer_headers, \
             answer_body FROM input WHERE verdict = 'retry' OR (delivery_id NOT IN (SELECT id FROM held) \
             AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND deliveries.id = input.delivery_id AND deliveries.last_lease_id = input.lease_id)) \
             ON CONFLICT DO NOTHING), \
             ended AS (DELETE FROM outbox WHERE ctid = ANY (ARRAY(SELECT place FROM held WHERE verdict <> 'retry'))), \
             history AS (INSERT INTO deliveries (environment_id, id, event_id, endpoint_id, state, reason, \
             attempts, replay_of, created_at, settled_at, last_lease_id, last_started_at, last_duration_ms, \
             last_outcome, last_status, last_detail, last_answer_headers, last_answer_body) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            ", id, event_id, endpoint_id, verdict, reason, attempts + 1, replay_of, created_at, moment.now, \
             lease_id, started_at, duration_ms, outcome, status, detail, answer_headers, answer_body \
             FROM held, moment WHERE verdict <> 'retry'), \
             delayed AS (UPDATE outbox SET due_at = moment.now + held.delay_ms * interval '1 millisecond', \
             attempts = outbox.attempts + 1, lease_id = NULL, worker_id = NULL FROM held, moment \
             WHERE outbox.ctid = held.place AND held.verdict = 'retry') SELECT id FROM held",
        );
        Ok(())
    }
}

/// An outcome as columns.
struct OutcomeColumns {
    outcome: &'static str,
    status: Option<i16>,
    detail: Option<String>,
}

impl OutcomeColumns {
    fn of(outcome: &Outcome) -> Self {
        let status = |status: u16| i16::try_from(status).ok();
        match outcome {
            Outcome::Accepted { status: code } => Self {
                outcome: "accepted",
                status: status(*code),
                detail: None,
            },
            Outcome::Refused {
                status: code,
                retry_after,
            } => Self {
                outcome: "refused",
                status: status(*code),
                detail: retry_after.map(|after| after.as_secs().to_string()),
            },
            Outcome::TimedOut { after } => Self {
                outcome: "timed_out",
                status: None,
                detail: Some(after.as_millis().to_string()),
            },
            Outcome::Unreachable { reason } => Self {
                outcome: "unreachable",
                status: None,
                detail: Some(reason.as_str().to_owned()),
            },
            Outcome::Forbidden { reason } => Self {
                outcome: "forbidden",
                status: None,
                detail: Some(reason.clone()),
            },
        }
    }

    fn read(self) -> Option<Outcome> {
        let status = self.status.and_then(|status| u16::try_from(status).ok());
        let number = || {
            self.detail
                .as_deref()
                .and_then(|detail| detail.parse::<u64>().ok())
        };
        Some(match self.outcome {
            "accepted" => Outcome::Accepted { status: status? },
            "refused" => Outcome::Refused {
                status: status?,
                retry_after: number().map(Duration::from_secs),
            },
            "timed_out" => Outcome::TimedOut {
                after: Duration::from_millis(number()?),
            },
            "unreachable" => Outcome::Unreachable {
                reason: Unreachable::parse(self.detail.as_deref()?)?,
            },
            "forbidden" => Outcome::Forbidden {
                reason: self.detail?,
            },
            _ => return None,
        })
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

#[derive(Queryable, Selectable)]
#[diesel(table_name = all_attempts)]
struct AttemptRow {
    number: i16,
    started_at: DateTime<Utc>,
    duration_ms: i32,
    outcome: String,
    status: Option<i16>,
    detail: Option<String>,
    answer_headers: Option<String>,
    answer_body: Option<Vec<u8>>,
}

/// An attempt as it was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub number: u32,
    pub started_at: DateTime<Utc>,
    pub attempt: Attempt,
}

impl TryFrom<AttemptRow> for Recorded {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        const OUTCOMES: [&str; 5] = [
            "accepted",
            "refused",
            "timed_out",
            "unreachable",
            "forbidden",
        ];
        let corrupt = |what: &str| StoreError::corrupt(format!("{what} of an attempt"));
        let word = OUTCOMES
            .into_iter()
            .find(|word| *word == row.outcome)
            .ok_or_else(|| corrupt("outcome"))?;
        let columns = OutcomeColumns {
            outcome: word,
            status: row.status,
            detail: row.detail,
        };
        let headers: Vec<(String, String)> = match &row.answer_headers {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| corrupt(&format!("headers ({error})")))?,
            None => Vec::new(),
        };
        let answered = row.status.is_some();
        let answer = answered.then(|| Answer {
            headers,
            body: row.answer_body.unwrap_or_default(),
        });
        Ok(Self {
            number: u32::try_from(row.number).unwrap_or(0),
            started_at: row.started_at,
            attempt: Attempt {
                outcome: columns.read().ok_or_else(|| corrupt("outcome"))?,
                duration: Duration::from_millis(u64::try_from(row.duration_ms).unwrap_or(0)),
                answer,
            },
        })
    }
}

/// The attempts of one delivery, oldest first, at most `limit`.
pub async fn of_delivery(
    conn: &mut Conn,
    environment: EnvironmentId,
    delivery: DeliveryId,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let rows: Vec<AttemptRow> = all_attempts::table
        .filter(all_attempts::environment_id.eq(environment))
        .filter(all_attempts::delivery_id.eq(delivery))
        .order((all_attempts::started_at, all_attempts::number))
        .limit(limit)
        .select(AttemptRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Recorded::try_from).collect()
}
