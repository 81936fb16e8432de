//! Pages of audit log entries, quick for every filter however long the history is.
//!
//! Invariant: a page is the same whichever way it is found. Nobody knows beforehand which way is quick: personal
//! texts have no statistics, because those would outlive a redaction. So where no index has the wanted entries in
//! their order, some thousands are looked at one after the other, which finds what is frequent; if they do not fill
//! the page, the rest is looked up by what is wanted of it, and sorted.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::audit_logs::{Entries, filtered, looked_at, recorded_since};
use super::conn::Conn;
use super::error::StoreError;
use super::paging::paged;
use super::schema::audit_log_entries;
use crate::domain::audit::{AuditFilter, AuditRecord};
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::domain::page::{Cursor, PageQuery};

/// How many entries are looked at one after the other.
pub const WALK: i64 = 5000;

/// The order of a page: the environment's, or that of one trail, which is the same and has an index of its own.
enum Way {
    Environment(PageQuery<AuditLogEventId>),
    Trail(PageQuery<i64>),
}

impl Way {
    async fn of(
        conn: &mut Conn,
        environment: EnvironmentId,
        organization: Option<OrganizationId>,
        query: &PageQuery<AuditLogEventId>,
    ) -> Result<Self, StoreError> {
        let Some(organization) = organization else {
            return Ok(Self::Environment(*query));
        };
        let Some(Cursor::After(id) | Cursor::Before(id)) = query.cursor else {
            return Ok(Self::Trail(query.map(|_| 0)));
        };
        Ok(match leaf_of(conn, environment, organization, id).await? {
            Some(leaf) => Self::Trail(query.map(|_| leaf)),
            // Of another trail, or expired.
            None => Self::Environment(*query),
        })
    }

    /// Orders entries and keeps one page of them, with one row more.
    fn cut<'a>(&self, entries: Entries<'a>) -> Entries<'a> {
        match self {
            Self::Environment(query) => paged!(entries, audit_log_entries::id, query),
            Self::Trail(query) => paged!(entries, audit_log_entries::leaf_index, query),
        }
    }
}

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    query: &PageQuery<AuditLogEventId>,
) -> Result<Vec<AuditRecord>, StoreError> {
    let way = Way::of(conn, environment, filter.organization, query).await?;
    if has_order(filter) {
        return load(conn, way.cut(filtered(environment, filter))).await;
    }
    let near = looked_at(environment, filter);
    let Some(end) = end_of_walk(conn, environment, filter, &way).await? else {
        return load(conn, way.cut(near)).await;
    };
    let (ascending, column) = (query.reads_ascending(), audit_log_entries::id);
    let near = match ascending {
        true => near.filter(column.lt(end)),
        false => near.filter(column.gt(end)),
    };
    let found = load(conn, way.cut(near)).await?;
    if found.len() > query.size.get() {
        return Ok(found);
    }
    // Ordered by what no index is ordered by: by the ids themselves, they would be walked again to the end.
    let wanted = filtered(environment, filter);
    let sorted = way.cut(wanted).order(sql::<Text>(match ascending {
        true => "id::text ASC",
        false => "id::text DESC",
    }));
    load(conn, sorted).await
}

/// Whether there is an index that has the wanted entries, or hardly any others, in their order.
const fn has_order(filter: &AuditFilter) -> bool {
    let by_time = filter.from.is_some() || filter.until.is_some();
    let by_text = filter.search.is_some() || !filter.actor_names.is_empty();
    !by_time && !by_text && filter.targets.is_empty()
}

/// The first entry that is not looked at any more; `None`: the walk comes to the end.
async fn end_of_walk(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    way: &Way,
) -> Result<Option<AuditLogEventId>, StoreError> {
    let trail = AuditFilter {
        organization: filter.organization,
        ..AuditFilter::default()
    };
    let mut entries = filtered(environment, &trail);
    if let Some(from) = filter.from {
        entries = entries.filter(audit_log_entries::id.ge(recorded_since(from)));
    }
    let walked = way.cut(entries).offset(WALK).limit(1);
    let end = walked.select(audit_log_entries::id).first(conn).await;
    Ok(end.optional()?)
}

async fn leaf_of(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    id: AuditLogEventId,
) -> Result<Option<i64>, StoreError> {
    let leaf = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::id.eq(id))
        .filter(audit_log_entries::organization_id.eq(organization))
        .select(audit_log_entries::leaf_index)
        .first(conn)
        .await;
    Ok(leaf.optional()?)
}

async fn load(conn: &mut Conn, entries: Entries<'_>) -> Result<Vec<AuditRecord>, StoreError> {
    let rows: Vec<(AuditLogEventId, String)> = entries
        .select((audit_log_entries::id, audit_log_entries::object))
        .load(conn)
        .await?;
    let records = rows.into_iter();
    Ok(records
        .map(|(id, object_json)| AuditRecord { id, object_json })
        .collect())
}
