//! Trees of audit logs: their edges, which are locked, and their nodes.
//!
//! Invariant: a tree's edge and its new nodes are written in the transaction that writes the entries, under the
//! environment's lock and then the trees', taken in the order of their organizations. Nodes are only ever added.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bytea, SmallInt, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::audit_log_nodes;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::merkle::{Frontier, Hash, Node, NodeId};

/// A tree that has grown: its new edge, and the nodes that came into being.
#[derive(Debug, Clone, Copy)]
pub struct Grown<'a> {
    pub organization: OrganizationId,
    pub edge: &'a Frontier,
    pub nodes: &'a [Node],
}

/// Takes the locks of trees and reads their edges, in the order of their organizations; the caller holds the
/// environment's lock. Trees that do not exist are left out.
///
/// Shape: `organizations` ascend.
pub async fn lock(
    mut conn: &Conn,
    environment: EnvironmentId,
    organizations: &[OrganizationId],
) -> Result<Vec<(OrganizationId, Frontier)>, StoreError> {
    if organizations.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Lock {
        environment,
        organizations,
    };
    let rows: Vec<(OrganizationId, Vec<u8>)> = statement.load(&mut conn).await?;
    let mut trees = Vec::with_capacity(rows.len());
    for (organization, edge) in rows {
        let edge = Frontier::from_bytes(&edge)
            .map_err(|fault| StoreError::corrupt(format!("tree of {organization}: {fault}")))?;
        trees.push((organization, edge));
    }
    Ok(trees)
}

struct Lock<'a> {
    environment: EnvironmentId,
    organizations: &'a [OrganizationId],
}

impl QueryId for Lock<'_> {
    type QueryId = Lock<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Lock<'_> {
    type SqlType = (Uuid, Bytea);
}

impl QueryFragment<Pg> for Lock<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT tree.organization_id, tree.frontier FROM unnest((SELECT ");
        out.push_bind_param::<Array<Uuid>, _>(&self.organizations)?;
        out.push_sql(
            ")) AS wanted (organization_id) CROSS JOIN LATERAL (SELECT organization_id, frontier FROM audit_log_trees \
             WHERE environment_id = ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            " AND audit_log_trees.organization_id = wanted.organization_id FOR UPDATE) AS tree",
        );
        Ok(())
    }
}

/// Writes edges and nodes of trees; the caller holds their locks.
pub async fn save(
    mut conn: &Conn,
    environment: EnvironmentId,
    grown: &[Grown<'_>],
) -> Result<(), StoreError> {
    let mut edges = SaveEdges::of(environment);
    let mut nodes = InsertNodes::of(environment);
    for tree in grown {
        edges.push(tree)?;
        for node in tree.nodes {
            nodes.push(tree.organization, node)?;
        }
    }
    let mut also = conn;
    futures_util::try_join!(edges.execute(&mut conn), nodes.execute(&mut also))?;
    Ok(())
}

#[derive(QueryId)]
struct SaveEdges {
    environment: EnvironmentId,
    organizations: Vec<OrganizationId>,
    sizes: Vec<i64>,
    edges: Vec<Vec<u8>>,
}

impl SaveEdges {
    fn of(environment: EnvironmentId) -> Self {
        Self {
            environment,
            organizations: Vec::new(),
            sizes: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn push(&mut self, tree: &Grown<'_>) -> Result<(), StoreError> {
        self.organizations.push(tree.organization);
        self.sizes.push(column(tree.edge.size())?);
        self.edges.push(tree.edge.to_bytes());
        Ok(())
    }
}

impl QueryFragment<Pg> for SaveEdges {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO audit_log_trees (environment_id, organization_id, size, frontier) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(", * FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.organizations)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.sizes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.edges)?;
        out.push_sql(
            ") ON CONFLICT (environment_id, organization_id) DO UPDATE SET size = excluded.size, \
             frontier = excluded.frontier",
        );
        Ok(())
    }
}

#[derive(QueryId)]
struct InsertNodes {
    environment: EnvironmentId,
    organizations: Vec<OrganizationId>,
    levels: Vec<i16>,
    numbers: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

impl InsertNodes {
    fn of(environment: EnvironmentId) -> Self {
        Self {
            environment,
            organizations: Vec::new(),
            levels: Vec::new(),
            numbers: Vec::new(),
            hashes: Vec::new(),
        }
    }

    fn push(&mut self, organization: OrganizationId, node: &Node) -> Result<(), StoreError> {
        self.organizations.push(organization);
        self.levels.push(i16::from(node.id.level));
        self.numbers.push(column(node.id.index)?);
        self.hashes.push(node.hash.as_bytes().to_vec());
        Ok(())
    }
}

impl QueryFragment<Pg> for InsertNodes {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO audit_log_nodes (environment_id, organization_id, level, number, hash) SELECT ");
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(", * FROM unnest(");
        out.push_bind_param::<Array<Uuid>, _>(&self.organizations)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.levels)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.hashes)?;
        out.push_sql(")");
        Ok(())
    }
}

/// A size or a number as a column holds it.
fn column(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|error| StoreError::corrupt(error.to_string()))
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
