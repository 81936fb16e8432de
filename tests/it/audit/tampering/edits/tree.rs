//! Edits of the tree, its checkpoints and the keys, up to a whole history made anew.

use diesel::sql_types::{BigInt, Bytea, SmallInt, Text, Uuid};
use diesel_async::RunQueryDsl as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidings::domain::audit::{AuditEntry, Opening, Salts};
use tidings::domain::merkle::{Frontier, Hash, Node};
use tidings::store::audit_trees::{self, Grown};
use tidings::store::{Conn, StoreError, audit_signing_keys};

use super::rows::{self, Row};
use super::{Edit, bit, hex, quoted, run};
use crate::audit::redaction::record_own_within;
use crate::audit::trail::Trail;

#[derive(Debug, Clone, diesel::QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = SmallInt)]
    level: i16,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Bytea)]
    hash: Vec<u8>,
}

#[derive(diesel::QueryableByName)]
struct Edge {
    #[diesel(sql_type = Bytea)]
    frontier: Vec<u8>,
}

#[derive(diesel::QueryableByName)]
struct Note {
    #[diesel(sql_type = Text)]
    note: String,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each part of the edits has the rest for the others"
)]
pub(super) async fn apply(
    edit: Edit,
    conn: &mut Conn,
    trail: &Trail,
    random: &mut StdRng,
) -> Result<(), StoreError> {
    let nodes = nodes(conn, trail).await?;
    let node = nodes.choose(random).unwrap();
    match edit {
        Edit::NodeBit => run(conn, &set_node(node, &bit(&node.hash, random))).await,
        Edit::NodeDeleted => {
            let statement = format!("DELETE FROM audit_log_nodes WHERE {}", at(node));
            run(conn, &statement).await
        }
        Edit::NodesSwapped => {
            let others: Vec<&NodeRow> = nodes.iter().filter(|it| it.hash != node.hash).collect();
            let other = *others.choose(random).unwrap();
            let both = [set_node(node, &other.hash), set_node(other, &node.hash)];
            run(conn, &both.concat()).await
        }
        Edit::CheckpointNote => checkpoint(conn, random).await,
        Edit::EdgeBit | Edit::EdgeSize => edge(edit, conn, trail, random).await,
        Edit::Truncate => truncate(conn, trail, &nodes, random).await,
        Edit::Remake => remake(conn, trail, leaves(&nodes), random).await,
        Edit::RemakeWithout => remake_without(conn, trail, leaves(&nodes), random).await,
        Edit::RemakeAndResign => {
            remake(conn, trail, leaves(&nodes), random).await?;
            resign(conn, trail).await
        }
        Edit::Resign => resign(conn, trail).await,
        _ => unreachable!("an edit of rows"),
    }
}

async fn nodes(conn: &mut Conn, trail: &Trail) -> Result<Vec<NodeRow>, StoreError> {
    let rows = diesel::sql_query(
        "SELECT level, number, hash FROM audit_log_nodes WHERE organization_id = $1 ORDER BY level, number",
    );
    let rows = rows.bind::<Uuid, _>(trail.organization());
    Ok(rows.load(conn).await?)
}

fn at(node: &NodeRow) -> String {
    format!("level = {} AND number = {}", node.level, node.number)
}

fn set_node(node: &NodeRow, hash: &[u8]) -> String {
    let hash = hex(hash);
    format!(
        "UPDATE audit_log_nodes SET hash = {hash} WHERE {};",
        at(node)
    )
}

/// Another origin, size, root or signature in what is stored.
async fn checkpoint(conn: &mut Conn, random: &mut StdRng) -> Result<(), StoreError> {
    let last = "SELECT note FROM audit_log_checkpoints ORDER BY size DESC LIMIT 1";
    let Note { note } = diesel::sql_query(last).get_result(conn).await?;
    let mut chars: Vec<char> = note.chars().collect();
    let is_letter = |at: &usize| chars[*at].is_ascii_alphanumeric();
    let letters: Vec<usize> = (0..chars.len()).filter(is_letter).collect();
    let at = *letters.choose(random).unwrap();
    chars[at] = if chars[at] == 'A' { 'B' } else { 'A' };
    let note = quoted(&chars.into_iter().collect::<String>());
    let statement = format!("UPDATE audit_log_checkpoints SET note = {note}");
    run(conn, &statement).await
}

async fn edge(
    edit: Edit,
    conn: &mut Conn,
    trail: &Trail,
    random: &mut StdRng,
) -> Result<(), StoreError> {
    let edge = "SELECT frontier FROM audit_log_trees WHERE organization_id = $1";
    let edge = diesel::sql_query(edge).bind::<Uuid, _>(trail.organization());
    let Edge { frontier } = edge.get_result(conn).await?;
    let (size, hashes) = frontier.split_at(8);
    let edited = if edit == Edit::EdgeBit {
        [size.to_vec(), bit(hashes, random)].concat()
    } else {
        // As many bits are set, so that it passes for a size.
        let size = 57_u64 << random.random_range(1..5);
        [size.to_be_bytes().to_vec(), hashes.to_vec()].concat()
    };
    let edited = hex(&edited);
    let statement = format!("UPDATE audit_log_trees SET frontier = {edited}");
    run(conn, &statement).await?;
    record_own_within(conn, trail).await
}

/// Back to fewer leaves, with everything that would tell.
async fn truncate(
    conn: &mut Conn,
    trail: &Trail,
    nodes: &[NodeRow],
    random: &mut StdRng,
) -> Result<(), StoreError> {
    let size = random.random_range(21..57);
    let statement = format!("DELETE FROM audit_log_entries WHERE leaf_index >= {size}");
    run(conn, &statement).await?;
    let mut leaves = leaves(nodes);
    leaves.truncate(size);
    replace_tree(conn, trail, leaves).await
}

fn leaves(nodes: &[NodeRow]) -> Vec<Hash> {
    let leaves = nodes.iter().filter(|node| node.level == 0);
    let bytes = leaves.map(|node| node.hash.clone().try_into().unwrap());
    bytes.map(Hash::from_bytes).collect()
}

async fn replace_tree(conn: &mut Conn, trail: &Trail, leaves: Vec<Hash>) -> Result<(), StoreError> {
    let old = "DELETE FROM audit_log_nodes; DELETE FROM audit_log_checkpoints";
    run(conn, old).await?;
    let mut frontier = Frontier::default();
    let nodes = leaves.into_iter().flat_map(|leaf| frontier.append(leaf));
    let nodes: Vec<Node> = nodes.collect();
    let (environment, organization) = (trail.platform.environment, trail.organization());
    let grown = Grown {
        organization,
        edge: &frontier,
        nodes: &nodes,
    };
    audit_trees::save(conn, environment, &[grown]).await
}

/// The entry of a row, with this text in its place.
fn entry(row: &Row, object: &str) -> AuditEntry {
    let salts = Salts::from_bytes(row.salts.as_ref().unwrap()).unwrap();
    AuditEntry::from_stored(object, Opening::Salts(salts)).unwrap()
}

/// Another actor.
fn forged(object: &str, random: &mut StdRng) -> String {
    let from = object.find("\"actor\":{\"id\":\"").unwrap() + 15;
    let to = from + object[from..].find('"').unwrap();
    let id = random.random_range(10..1_000_000);
    format!("{}u{id}{}", &object[..from], &object[to..])
}

async fn remake(
    conn: &mut Conn,
    trail: &Trail,
    mut leaves: Vec<Hash>,
    random: &mut StdRng,
) -> Result<(), StoreError> {
    let rows = rows::all(conn, trail).await?;
    let kept: Vec<&Row> = rows.iter().filter(|row| row.salts.is_some()).collect();
    let row = *kept.choose(random).unwrap();
    let object = forged(&row.object, random);
    let leaf = row.leaf_index;
    leaves[usize::try_from(leaf).unwrap()] = entry(row, &object).leaf_hash();
    let object = quoted(&object);
    let statement =
        format!("UPDATE audit_log_entries SET object = {object} WHERE leaf_index = {leaf}");
    run(conn, &statement).await?;
    replace_tree(conn, trail, leaves).await
}

/// Every later entry moves up one leaf, and says so.
async fn remake_without(
    conn: &mut Conn,
    trail: &Trail,
    mut leaves: Vec<Hash>,
    random: &mut StdRng,
) -> Result<(), StoreError> {
    let gone = random.random_range(52..57);
    leaves.remove(usize::try_from(gone).unwrap());
    let statement = format!("DELETE FROM audit_log_entries WHERE leaf_index = {gone}");
    run(conn, &statement).await?;
    for row in rows::all(conn, trail).await? {
        let from = row.leaf_index;
        if from < gone {
            continue;
        }
        let to = from - 1;
        let index = |leaf: i64| format!("\"index\":{leaf}}}");
        let object = row.object.replace(&index(from), &index(to));
        leaves[usize::try_from(to).unwrap()] = entry(&row, &object).leaf_hash();
        let object = quoted(&object);
        let statement = format!(
            "UPDATE audit_log_entries SET object = {object}, leaf_index = {to} WHERE leaf_index = {from}"
        );
        run(conn, &statement).await?;
    }
    replace_tree(conn, trail, leaves).await
}

/// The editor's own key in the place of the platform's.
async fn resign(conn: &mut Conn, trail: &Trail) -> Result<(), StoreError> {
    let old = "DELETE FROM audit_log_signing_keys; DELETE FROM audit_log_checkpoints";
    run(conn, old).await?;
    let vault = trail.platform.store().vault();
    let (environment, now) = (trail.platform.environment, trail.platform.clock.now());
    audit_signing_keys::ensure(conn, vault, environment, now).await
}
