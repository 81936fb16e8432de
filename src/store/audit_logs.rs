//! Audit logs: entries, and the trees that commit to them.
//!
//! Invariant: an entry, its leaf and the tree's new edge are written in one transaction, under the environment's
//! lock and then the tree's. Nodes are only ever added. A search sees names and metadata as plain words.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bytea, SmallInt, Text, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_entries, audit_log_nodes, audit_log_trees};
use crate::domain::audit::{AuditFilter, AuditRecord, Trail};
use crate::domain::event::EventPattern;
use crate::domain::id::{AuditLogEventId, EnvironmentId, OrganizationId};
use crate::domain::merkle::{Frontier, Hash, Node, NodeId};
use crate::domain::page::{Cursor, PageQuery};

/// The key of the environment's own trail.
pub const NO_ORGANIZATION: OrganizationId = OrganizationId::from_bytes([0; 16]);

/// What a trail's rows have as their organization.
pub fn key_of(trail: Trail) -> OrganizationId {
    trail.organization().unwrap_or(NO_ORGANIZATION)
}

/// The trail that a row's organization stands for.
pub fn trail_of(key: OrganizationId) -> Trail {
    Trail::of((key != NO_ORGANIZATION).then_some(key))
}

/// Takes the lock of an organization's tree and reads its edge; the caller holds the environment's lock.
pub async fn lock_tree(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
) -> Result<Frontier, StoreError> {
    let row: Option<(i64, Vec<u8>)> = audit_log_trees::table
        .filter(audit_log_trees::environment_id.eq(environment))
        .filter(audit_log_trees::organization_id.eq(organization))
        .select((audit_log_trees::size, audit_log_trees::frontier))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some((_size, edge)) = row else {
        return Ok(Frontier::default());
    };
    Frontier::from_bytes(&edge)
        .map_err(|fault| StoreError::corrupt(format!("tree of {organization}: {fault}")))
}

/// Writes a tree's edge and the nodes that came into being.
pub async fn save_tree(
    mut conn: &Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    frontier: &Frontier,
    nodes: &[Node],
) -> Result<(), StoreError> {
    let size =
        i64::try_from(frontier.size()).map_err(|error| StoreError::corrupt(error.to_string()))?;
    let bytes = frontier.to_bytes();
    let edge = diesel::insert_into(audit_log_trees::table)
        .values((
            audit_log_trees::environment_id.eq(environment),
            audit_log_trees::organization_id.eq(organization),
            audit_log_trees::size.eq(size),
            audit_log_trees::frontier.eq(&bytes),
        ))
        .on_conflict((
            audit_log_trees::environment_id,
            audit_log_trees::organization_id,
        ))
        .do_update()
        .set((
            audit_log_trees::size.eq(size),
            audit_log_trees::frontier.eq(&bytes),
        ))
        .execute(&mut conn);
    let statement = InsertNodes {
        environment,
        organization,
        levels: nodes.iter().map(|node| i16::from(node.id.level)).collect(),
        numbers: nodes
            .iter()
            .map(|node| i64::try_from(node.id.index).unwrap_or(i64::MAX))
            .collect(),
        hashes: nodes
            .iter()
            .map(|node| node.hash.as_bytes().to_vec())
            .collect(),
    };
    let mut conn = conn;
    futures_util::try_join!(edge, statement.execute(&mut conn))?;
    Ok(())
}

#[derive(QueryId)]
struct InsertNodes {
    environment: EnvironmentId,
    organization: OrganizationId,
    levels: Vec<i16>,
    numbers: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

impl QueryFragment<Pg> for InsertNodes {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO audit_log_nodes (environment_id, organization_id, level, number, hash) SELECT ");
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(", ");
        out.push_bind_param::<Uuid, _>(&self.organization)?;
        out.push_sql(", * FROM unnest(");
        out.push_bind_param::<Array<SmallInt>, _>(&self.levels)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.hashes)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Reads nodes of a tree by level and number; those that are not complete yet are left out.
pub async fn nodes(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    wanted: &[NodeId],
) -> Result<Vec<Node>, StoreError> {
    let levels: Vec<i16> = wanted.iter().map(|id| i16::from(id.level)).collect();
    let numbers: Vec<i64> = wanted
        .iter()
        .map(|id| i64::try_from(id.index).unwrap_or(i64::MAX))
        .collect();
    let rows: Vec<NodeRow> = diesel::sql_query(
        // The limit keeps the look-ups single: a join may read all the tree.
        "SELECT stored.level, stored.number, stored.hash FROM unnest($3, $4) AS wanted (level, number) \
         CROSS JOIN LATERAL (SELECT level, number, hash FROM audit_log_nodes WHERE environment_id = $1 \
         AND organization_id = $2 AND audit_log_nodes.level = wanted.level \
         AND audit_log_nodes.number = wanted.number LIMIT 1) AS stored",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Uuid, _>(organization)
    .bind::<Array<SmallInt>, _>(levels)
    .bind::<Array<BigInt>, _>(numbers)
    .load(conn)
    .await?;
    rows.into_iter().map(Node::try_from).collect()
}

#[derive(QueryableByName)]
#[diesel(table_name = audit_log_nodes)]
struct NodeRow {
    level: i16,
    number: i64,
    hash: Vec<u8>,
}

impl TryFrom<NodeRow> for Node {
    type Error = StoreError;

    fn try_from(row: NodeRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt("a node of an audit log's tree");
        let level = u8::try_from(row.level).ok().ok_or_else(corrupt)?;
        let index = u64::try_from(row.number).ok().ok_or_else(corrupt)?;
        let hash: [u8; 32] = row.hash.try_into().ok().ok_or_else(corrupt)?;
        Ok(Self {
            id: NodeId { level, index },
            hash: Hash::from_bytes(hash),
        })
    }
}

/// Finds one entry of `environment`; `None` when it has no such entry.
pub async fn find(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: AuditLogEventId,
) -> Result<Option<AuditRecord>, StoreError> {
    let row: Option<(AuditLogEventId, String)> = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::id.eq(id))
        .select((audit_log_entries::id, audit_log_entries::object))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(id, object_json)| AuditRecord { id, object_json }))
}

pub(super) type Entries<'a> = audit_log_entries::BoxedQuery<'a, Pg>;

/// Keeps the entries that meet every condition of `filter`.
pub(super) fn filtered<'a>(environment: EnvironmentId, filter: &AuditFilter) -> Entries<'a> {
    let mut query = audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(audit_log_entries::organization_id.eq(organization));
    }
    if let Some(condition) = action_condition(&filter.actions) {
        query = query.filter(condition);
    }
    if !filter.actor_ids.is_empty() {
        query = query.filter(audit_log_entries::actor_id.eq_any(storable(&filter.actor_ids)));
    }
    if !filter.actor_names.is_empty() {
        query = query.filter(audit_log_entries::actor_name.eq_any(storable(&filter.actor_names)));
    }
    if !filter.targets.is_empty() {
        query = query.filter(audit_log_entries::targets.overlaps_with(storable(&filter.targets)));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log_entries::occurred_at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log_entries::occurred_at.le(until));
    }
    if let Some(search) = &filter.search {
        query = query.filter(
            diesel::dsl::sql::<diesel::sql_types::Bool>(
                "to_tsvector('simple', search) @@ plainto_tsquery('simple', ",
            )
            .bind::<Text, _>(search.replace('\0', ""))
            .sql(")"),
        );
    }
    query
}

/// Texts as columns hold them: U+0000 is left out there too.
fn storable(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| text.replace('\0', "")).collect()
}

type Condition<'a> = Box<
    dyn BoxableExpression<audit_log_entries::table, Pg, SqlType = diesel::sql_types::Bool> + 'a,
>;

/// The condition that an action matches one of the patterns; `None`: every action does.
fn action_condition<'a>(patterns: &[EventPattern]) -> Option<Condition<'a>> {
    let mut any: Option<Condition<'a>> = None;
    for pattern in patterns {
        let one: Condition<'a> = match pattern {
            EventPattern::Everything => return None,
            EventPattern::Exactly(action) => {
                Box::new(audit_log_entries::action.eq(action.to_string()))
            }
            EventPattern::Below(prefix) => {
                let escaped = prefix.replace('_', "\\_");
                Box::new(audit_log_entries::action.like(format!("{escaped}%")))
            }
        };
        any = Some(match any {
            Some(any) => Box::new(any.or(one)),
            None => one,
        });
    }
    any
}

/// Reads one page, as `query` says, one row beyond its size.
pub async fn page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    query: &PageQuery<AuditLogEventId>,
) -> Result<Vec<AuditRecord>, StoreError> {
    let mut statement = filtered(environment, filter).limit(query.size.with_one_more());
    let ascending = query.reads_ascending();
    if let Some(Cursor::After(id) | Cursor::Before(id)) = query.cursor {
        statement = match ascending {
            true => statement.filter(audit_log_entries::id.gt(id)),
            false => statement.filter(audit_log_entries::id.lt(id)),
        };
    }
    statement = match ascending {
        true => statement.order(audit_log_entries::id.asc()),
        false => statement.order(audit_log_entries::id.desc()),
    };
    let rows: Vec<(AuditLogEventId, String)> = statement
        .select((audit_log_entries::id, audit_log_entries::object))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, object_json)| AuditRecord { id, object_json })
        .collect())
}

/// An entry as an export carries it.
#[derive(Debug, Queryable)]
pub struct ExportRow {
    pub leaf_index: i64,
    pub object: String,
    pub salts: Option<Vec<u8>>,
    pub commitments: Option<Vec<u8>>,
}

/// Reads entries of an export after the leaf `after`, in the order of the tree.
pub async fn export_page(
    conn: &mut Conn,
    environment: EnvironmentId,
    filter: &AuditFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<ExportRow>, StoreError> {
    let rows = filtered(environment, filter)
        .filter(audit_log_entries::leaf_index.gt(after))
        .order(audit_log_entries::leaf_index)
        .limit(limit)
        .select((
            audit_log_entries::leaf_index,
            audit_log_entries::object,
            audit_log_entries::salts,
            audit_log_entries::commitments,
        ))
        .load(conn)
        .await?;
    Ok(rows)
}
