//! Attempts: what each POST came to, as columns and read back.
//!
//! Invariant: an outcome that was written reads back as it was. Reads the view `all_attempts`; `settlements` writes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::all_attempts;
use crate::domain::attempt::{Answer, Attempt, Outcome, OutcomeName, Unreachable};
use crate::domain::id::{DeliveryId, EnvironmentId};

/// An outcome as columns.
pub(super) struct OutcomeColumns {
    pub(super) outcome: &'static str,
    pub(super) status: Option<i16>,
    pub(super) detail: Option<String>,
}

impl OutcomeColumns {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let (status, detail) = match outcome {
            Outcome::Accepted { status } => (Some(*status), None),
            Outcome::Refused {
                status,
                retry_after,
            } => {
                let detail = retry_after.map(|after| after.as_secs().to_string());
                (Some(*status), detail)
            }
            Outcome::TimedOut { after } => (None, Some(after.as_millis().to_string())),
            Outcome::Unreachable { reason } => (None, Some(reason.as_str().to_owned())),
            Outcome::Forbidden { reason } => (None, Some(reason.clone())),
        };
        Self {
            outcome: outcome.name().as_str(),
            status: status.and_then(|status| i16::try_from(status).ok()),
            detail,
        }
    }
}

/// Reads what [`OutcomeColumns`] wrote; `None` for anything else.
pub(super) fn read_outcome(
    outcome: &str,
    status: Option<i16>,
    detail: Option<String>,
) -> Option<Outcome> {
    let status = status.and_then(|status| u16::try_from(status).ok());
    let number = || {
        let detail = detail.as_deref();
        detail.and_then(|detail| detail.parse::<u64>().ok())
    };
    Some(match OutcomeName::parse(outcome)? {
        OutcomeName::Accepted => Outcome::Accepted { status: status? },
        OutcomeName::Refused => Outcome::Refused {
            status: status?,
            retry_after: number().map(Duration::from_secs),
        },
        OutcomeName::TimedOut => Outcome::TimedOut {
            after: Duration::from_millis(number()?),
        },
        OutcomeName::Unreachable => Outcome::Unreachable {
            reason: Unreachable::parse(detail.as_deref()?)?,
        },
        OutcomeName::Forbidden => Outcome::Forbidden { reason: detail? },
    })
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
        let corrupt = |what: &str| StoreError::corrupt(format!("{what} of an attempt"));
        let outcome = read_outcome(&row.outcome, row.status, row.detail);
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
                outcome: outcome.ok_or_else(|| corrupt("outcome"))?,
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
