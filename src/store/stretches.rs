//! Stretches of the feed: the first events from one end, of some types or of all.
//!
//! Invariant: a page costs what it shows for each type, however many events of other types lie between. Each type is
//! read by itself, in its own order, and the first of them all are taken. A pattern stands for the types that there
//! are, which are looked up one from the other.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::events::{EventRow, parsed_type};
use super::schema::events;
use crate::domain::event::{Event, EventFilter, EventPattern};
use crate::domain::id::{EnvironmentId, EventId, OrganizationId};
use crate::domain::time::millis;

/// Types that are read each by itself; where patterns stand for more, events are looked at one after the other.
const TYPES_MAX: i64 = 500;

/// A part of the feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    environment: EnvironmentId,
    organization: Option<OrganizationId>,
    /// Events with this id or a greater one.
    from: Option<EventId>,
    /// Events behind this one.
    pub(super) after: Option<EventId>,
    /// Events before this one.
    before: Option<EventId>,
    /// Oldest first; otherwise newest first.
    pub(super) ascending: bool,
    limit: i64,
}

impl Stretch {
    /// What `filter` wants, of whatever type, oldest first.
    pub(super) fn of(environment: EnvironmentId, filter: &EventFilter, limit: i64) -> Self {
        let from = filter.from.map(|from| EventId::at(ceil_millis(from), 0));
        let before = filter
            .until
            .map(|until| EventId::at(millis(until).saturating_add(1), 0));
        Self {
            environment,
            organization: filter.organization,
            from,
            after: None,
            before,
            ascending: true,
            limit,
        }
    }

    /// Leaves out `id` and what comes behind it.
    pub(super) fn end_before(&mut self, id: EventId) {
        self.before = Some(self.before.map_or(id, |before| before.min(id)));
    }

    /// Reads the first events that match one of `patterns`, or any if there are none.
    pub(super) async fn read(
        self,
        conn: &mut Conn,
        patterns: &[EventPattern],
    ) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<EventRow> = match types(conn, self.environment, patterns).await? {
            Some(types) => {
                let statement = OfTypes {
                    stretch: self,
                    types,
                };
                statement.load(conn).await?
            }
            None => self.walk(patterns).load(conn).await?,
        };
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Looks at one event after the other.
    fn walk<'a>(self, patterns: &[EventPattern]) -> Rows<'a> {
        let mut query = events::table
            .filter(events::environment_id.eq(self.environment))
            .limit(self.limit)
            .select(EventRow::as_select())
            .into_boxed();
        if let Some(organization) = self.organization {
            query = query.filter(events::organization_id.eq(organization));
        }
        if let Some(from) = self.from {
            query = query.filter(events::id.ge(from));
        }
        if let Some(after) = self.after {
            query = query.filter(events::id.gt(after));
        }
        if let Some(before) = self.before {
            query = query.filter(events::id.lt(before));
        }
        if !patterns.is_empty() && !patterns.contains(&EventPattern::Everything) {
            query = query.filter(matches_any(patterns));
        }
        match self.ascending {
            true => query.order(events::id.asc()),
            false => query.order(events::id.desc()),
        }
    }
}

type Rows<'a> = events::BoxedQuery<'a, Pg, SqlTypeOf<AsSelect<EventRow, Pg>>>;

/// Unix milliseconds, rounded up: an event within the millisecond before `time` is not at or after it.
fn ceil_millis(time: DateTime<Utc>) -> u64 {
    let whole = time.timestamp_subsec_nanos().is_multiple_of(1_000_000);
    millis(time) + u64::from(!whole)
}

/// The types that `patterns` stand for in `environment`; `None` when those are all, or too many.
async fn types(
    conn: &mut Conn,
    environment: EnvironmentId,
    patterns: &[EventPattern],
) -> Result<Option<Vec<String>>, StoreError> {
    if patterns.is_empty() || patterns.contains(&EventPattern::Everything) {
        return Ok(None);
    }
    let exact: Option<Vec<String>> = patterns
        .iter()
        .map(|pattern| match pattern {
            EventPattern::Exactly(event_type) => Some(event_type.to_string()),
            EventPattern::Below(_) | EventPattern::Everything => None,
        })
        .collect();
    if exact.is_some() {
        return Ok(exact);
    }
    let known: Vec<KnownType> = diesel::sql_query(
        "WITH RECURSIVE known (event_type) AS (\
         (SELECT event_type FROM events WHERE environment_id = $1 ORDER BY event_type LIMIT 1) \
         UNION ALL SELECT (SELECT event_type FROM events WHERE environment_id = $1 \
         AND event_type > known.event_type ORDER BY event_type LIMIT 1) FROM known WHERE event_type IS NOT NULL) \
         SELECT event_type FROM known WHERE event_type IS NOT NULL LIMIT $2",
    )
    .bind::<Uuid, _>(environment)
    .bind::<BigInt, _>(TYPES_MAX + 1)
    .load(conn)
    .await?;
    if i64::try_from(known.len()).is_ok_and(|count| count > TYPES_MAX) {
        return Ok(None);
    }
    let mut wanted = Vec::new();
    for KnownType { event_type } in known {
        let parsed = parsed_type(&event_type)?;
        if patterns.iter().any(|pattern| pattern.matches(&parsed)) {
            wanted.push(event_type);
        }
    }
    Ok(Some(wanted))
}

#[derive(QueryableByName)]
struct KnownType {
    #[diesel(sql_type = Text)]
    event_type: String,
}

struct OfTypes {
    stretch: Stretch,
    types: Vec<String>,
}

impl QueryId for OfTypes {
    type QueryId = ();
    // Its text is another one for each kind of stretch.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for OfTypes {
    type SqlType = (Uuid, Uuid, BigInt, Nullable<Uuid>, Text, Text);
}

impl diesel::query_dsl::RunQueryDsl<Conn> for OfTypes {}

impl QueryFragment<Pg> for OfTypes {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let stretch = &self.stretch;
        let order = if stretch.ascending { "ASC" } else { "DESC" };
        out.push_sql(
            "SELECT event.environment_id, event.id, event.position, event.organization_id, event.event_type, \
             event.body FROM (SELECT found.id FROM unnest((SELECT ",
        );
        out.push_bind_param::<Array<Text>, _>(&self.types)?;
        out.push_sql(
            ")) AS wanted (name) CROSS JOIN LATERAL (SELECT id FROM events WHERE environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&stretch.environment)?;
        out.push_sql(" AND event_type = wanted.name");
        if let Some(organization) = &stretch.organization {
            out.push_sql(" AND organization_id = ");
            out.push_bind_param::<Uuid, _>(organization)?;
        }
        let bounds = [
            (" AND id > ", &stretch.after),
            (" AND id < ", &stretch.before),
            (" AND id >= ", &stretch.from),
        ];
        for (comparison, bound) in bounds {
            if let Some(bound) = bound {
                out.push_sql(comparison);
                out.push_bind_param::<Uuid, _>(bound)?;
            }
        }
        for next in [" ORDER BY id ", ") AS found ORDER BY found.id "] {
            out.push_sql(next);
            out.push_sql(order);
            out.push_sql(" LIMIT ");
            out.push_bind_param::<BigInt, _>(&stretch.limit)?;
        }
        out.push_sql(
            ") AS chosen CROSS JOIN LATERAL (SELECT * FROM events WHERE environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&stretch.environment)?;
        out.push_sql(" AND events.id = chosen.id LIMIT 1) AS event ORDER BY event.id ");
        out.push_sql(order);
        Ok(())
    }
}

/// The condition that an event's type matches one of the patterns.
fn matches_any(patterns: &[EventPattern]) -> MatchesAny {
    let (mut exact, mut below) = (Vec::new(), Vec::new());
    for pattern in patterns {
        match pattern {
            EventPattern::Exactly(event_type) => exact.push(event_type.to_string()),
            EventPattern::Below(prefix) => below.push(prefix.to_string()),
            EventPattern::Everything => {}
        }
    }
    MatchesAny { exact, below }
}

/// `event_type = ANY (…) OR some prefix of it is wanted`.
#[derive(Debug, QueryId, diesel::expression::ValidGrouping)]
struct MatchesAny {
    exact: Vec<String>,
    below: Vec<String>,
}

impl diesel::Expression for MatchesAny {
    type SqlType = diesel::sql_types::Bool;
}
impl diesel::AppearsOnTable<events::table> for MatchesAny {}
impl diesel::SelectableExpression<events::table> for MatchesAny {}

impl QueryFragment<Pg> for MatchesAny {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(event_type = ANY (");
        out.push_bind_param::<Array<Text>, _>(&self.exact)?;
        if !self.below.is_empty() {
            out.push_sql(") OR EXISTS (SELECT FROM unnest(");
            out.push_bind_param::<Array<Text>, _>(&self.below)?;
            out.push_sql(") AS prefix WHERE starts_with(event_type, prefix)");
        }
        out.push_sql("))");
        Ok(())
    }
}
