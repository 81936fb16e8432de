//! What a replay is about: the events that come next, and where each stands with the endpoint.
//!
//! Invariant: events are looked at in one order and each once: by their ids, or, of what has failed, by the last of
//! their failed deliveries. One statement looks at a bounded number of rows, however few of them are sent. Only reads;
//! whoever makes deliveries asks again under the environment's lock.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::columns::RawId;
use super::conn::Conn;
use super::error::StoreError;
use super::schema::events;
use crate::domain::endpoint::Endpoint;
use crate::domain::event::{ENDPOINT_TEST, EventType};
use crate::domain::id::{DeliveryId, EventId, OrganizationId};
use crate::domain::replay::{ReplayRange, ReplayScope, Standing};

/// Rows that one look reads.
const WINDOW: i64 = 1_000;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub endpoint: &'a Endpoint,
    pub scope: ReplayScope,
    pub range: ReplayRange,
    /// What has failed later is no part of it.
    pub asked_at: DateTime<Utc>,
}

/// An event that may be sent.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub event: EventId,
    /// The failed delivery through which it was found.
    found: Option<DeliveryId>,
    /// Where the look goes on behind it.
    pub place: RawId,
}

/// What one look has found.
#[derive(Debug, Default)]
pub struct Look {
    /// In the order in which they are looked at.
    pub candidates: Vec<Candidate>,
    /// How far it has looked; `None` when there was nothing to look at any more.
    pub through: Option<RawId>,
}

impl Look {
    /// Keeps the first `count` candidates; the next look begins behind them.
    pub fn cut(&mut self, count: usize) {
        if self.candidates.len() > count {
            self.candidates.truncate(count);
            self.through = self.candidates.last().map(|last| last.place);
        }
    }
}

/// Looks at what comes behind `after`; what is on its way, or was received where that matters, is left out.
pub async fn look(
    conn: &mut Conn,
    search: &Search<'_>,
    after: Option<RawId>,
) -> Result<Look, StoreError> {
    let mut look = match search.scope {
        ReplayScope::Failed => failed(conn, search, after.map(DeliveryId::from)).await?,
        ReplayScope::Missing | ReplayScope::All => {
            published(conn, search, after.map(EventId::from)).await?
        }
    };
    let standings = standings(conn, search, &look.candidates).await?;
    look.candidates
        .retain(|candidate| is_sent(search, candidate, &standings));
    Ok(look)
}

/// Those of the candidates that are sent now, each with the delivery that it repeats.
pub async fn sent(
    conn: &mut Conn,
    search: &Search<'_>,
    candidates: &[Candidate],
) -> Result<Vec<(EventId, Option<DeliveryId>)>, StoreError> {
    let standings = standings(conn, search, candidates).await?;
    let sent = candidates
        .iter()
        .filter(|candidate| is_sent(search, candidate, &standings));
    let repeated = |event| standings.get(event).and_then(|standing| standing.last);
    Ok(sent
        .map(|candidate| {
            let found = candidate.found.or_else(|| repeated(&candidate.event));
            (candidate.event, found)
        })
        .collect())
}

fn is_sent(
    search: &Search<'_>,
    candidate: &Candidate,
    standings: &HashMap<EventId, Standing>,
) -> bool {
    standings.get(&candidate.event).is_some_and(|standing| {
        // An event that has failed twice is found twice, and sent once.
        let is_last = candidate.found.is_none() || candidate.found == standing.failed;
        is_last && search.scope.sends(standing)
    })
}

#[derive(QueryableByName)]
struct FailedRow {
    #[diesel(sql_type = Uuid)]
    id: DeliveryId,
    #[diesel(sql_type = Uuid)]
    event_id: EventId,
}

/// The next deliveries that failed.
async fn failed(
    conn: &mut Conn,
    search: &Search<'_>,
    after: Option<DeliveryId>,
) -> Result<Look, StoreError> {
    let (first, end) = search.range.event_ids();
    let [first, end] = [first, end].map(|event| DeliveryId::at(event.millis(), 0));
    let rows: Vec<FailedRow> = diesel::sql_query(
        "SELECT id, event_id FROM deliveries WHERE environment_id = $1 AND endpoint_id = $2 AND id >= $3 AND id < $4 \
         AND state <> 'delivered' AND (state = 'exhausted' OR reason = 'event_expired') AND created_at < $5 \
         ORDER BY id LIMIT $6",
    )
    .bind::<Uuid, _>(search.endpoint.environment)
    .bind::<Uuid, _>(search.endpoint.id)
    .bind::<Uuid, _>(after.map_or(first, DeliveryId::next))
    .bind::<Uuid, _>(end)
    .bind::<Timestamptz, _>(search.asked_at)
    .bind::<BigInt, _>(WINDOW)
    .load(conn)
    .await?;
    let candidates = rows.into_iter().map(|row| Candidate {
        event: row.event_id,
        found: Some(row.id),
        place: row.id.into(),
    });
    let candidates: Vec<_> = candidates.collect();
    Ok(Look {
        through: candidates.last().map(|last| last.place),
        candidates,
    })
}

/// The next events that the endpoint wants; samples are for the endpoint that they were sent to.
async fn published(
    conn: &mut Conn,
    search: &Search<'_>,
    after: Option<EventId>,
) -> Result<Look, StoreError> {
    let (first, end) = search.range.event_ids();
    let mut query = events::table
        .filter(events::environment_id.eq(search.endpoint.environment))
        .filter(events::id.lt(end))
        .order(events::id)
        .limit(WINDOW)
        .select((events::id, events::event_type, events::organization_id))
        .into_boxed();
    query = match after {
        Some(after) => query.filter(events::id.gt(after)),
        None => query.filter(events::id.ge(first)),
    };
    if let Some(organization) = search.endpoint.organization {
        query = query.filter(events::organization_id.eq(organization));
    }
    let rows: Vec<(EventId, String, Option<OrganizationId>)> = query.load(conn).await?;
    let mut look = Look {
        through: rows.last().map(|(id, ..)| (*id).into()),
        ..Look::default()
    };
    for (event, name, organization) in rows {
        let event_type = EventType::parse("event", &name)
            .map_err(|_fault| StoreError::corrupt(format!("event type of {event}")))?;
        if name != ENDPOINT_TEST && search.endpoint.wants(&event_type, organization) {
            look.candidates.push(Candidate {
                event,
                found: None,
                place: event.into(),
            });
        }
    }
    Ok(look)
}

#[derive(QueryableByName)]
struct DeliveryRow {
    #[diesel(sql_type = Uuid)]
    id: DeliveryId,
    #[diesel(sql_type = Uuid)]
    event_id: EventId,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Bool)]
    failed_before: bool,
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Uuid)]
    event_id: EventId,
}

/// Where the candidates stand with the endpoint.
///
/// Shape: one look-up for each event, and one for each millisecond of theirs, because the ids of a millisecond's
/// deliveries do not tell their events apart. Single look-ups: see ADR 8.
async fn standings(
    conn: &mut Conn,
    search: &Search<'_>,
    candidates: &[Candidate],
) -> Result<HashMap<EventId, Standing>, StoreError> {
    let mut standings = kept(conn, search, candidates).await?;
    for row in deliveries(conn, search, standings.keys()).await? {
        let Some(standing) = standings.get_mut(&row.event_id) else {
            continue;
        };
        standing.is_pending |= row.state == "pending";
        standing.is_delivered |= row.state == "delivered";
        if row.failed_before {
            standing.failed = standing.failed.max(Some(row.id));
        }
        if row.state != "pending" {
            standing.last = standing.last.max(Some(row.id));
        }
    }
    Ok(standings)
}

/// The events that are still there, as if none had a delivery.
async fn kept(
    conn: &mut Conn,
    search: &Search<'_>,
    candidates: &[Candidate],
) -> Result<HashMap<EventId, Standing>, StoreError> {
    let wanted: BTreeSet<EventId> = candidates.iter().map(|candidate| candidate.event).collect();
    let kept: Vec<Kept> = diesel::sql_query(
        "SELECT wanted.event_id FROM unnest((SELECT $2)) AS wanted (event_id) CROSS JOIN LATERAL \
         (SELECT FROM events WHERE environment_id = $1 AND events.id = wanted.event_id LIMIT 1) AS kept",
    )
    .bind::<Uuid, _>(search.endpoint.environment)
    .bind::<Array<Uuid>, _>(wanted.into_iter().collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(kept
        .into_iter()
        .map(|row| (row.event_id, Standing::NEW))
        .collect())
}

/// Every delivery to the endpoint of a millisecond in which one of the events was published.
async fn deliveries(
    conn: &mut Conn,
    search: &Search<'_>,
    events: impl Iterator<Item = &EventId>,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let spans: BTreeSet<_> = events
        .map(|&event| DeliveryId::range_for_event(event))
        .collect();
    let (first, last): (Vec<DeliveryId>, Vec<DeliveryId>) = spans.into_iter().unzip();
    let rows = diesel::sql_query(
        "SELECT found.id, found.event_id, found.state, found.failed_before \
         FROM unnest((SELECT $3), (SELECT $4)) AS span (first, last) CROSS JOIN LATERAL \
         ((SELECT id, event_id, 'pending' AS state, false AS failed_before FROM outbox \
           WHERE environment_id = $1 AND id BETWEEN span.first AND span.last AND endpoint_id = $2 OFFSET 0) \
          UNION ALL \
          (SELECT id, event_id, state, (state = 'exhausted' OR coalesce(reason = 'event_expired', false)) \
                  AND created_at < $5 AS failed_before FROM deliveries \
           WHERE environment_id = $1 AND endpoint_id = $2 AND id BETWEEN span.first AND span.last OFFSET 0)) AS found",
    )
    .bind::<Uuid, _>(search.endpoint.environment)
    .bind::<Uuid, _>(search.endpoint.id)
    .bind::<Array<Uuid>, _>(first)
    .bind::<Array<Uuid>, _>(last)
    .bind::<Timestamptz, _>(search.asked_at)
    .load(conn)
    .await?;
    Ok(rows)
}
