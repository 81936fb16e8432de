//! Many writers on one trail while the server is killed again and again: one linear tree comes of it.
//! `TIDINGS_TEST_LONG=1` makes it five times the kills and ten times the entries between them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use tidings::config::load::variable;
use tidings::domain::checkpoint::{Checkpoint, VerifyingKey};
use tidings::domain::merkle::{Frontier, Hash, NodeId, leaf_hash, verify_consistency};

use super::witness::{self, entry, hashes, key, opened};
use crate::process::{Cluster, Load, Server, Site, eventually, seconds};

const WRITERS: usize = 64;
/// Checkpoints that are taken between two kills.
const CHECKPOINTS_BETWEEN: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_and_a_server_that_is_killed_leave_one_linear_tree() {
    let long = variable("TIDINGS_TEST_LONG").is_some();
    let (kills, step) = if long { (20, 400) } else { (4, 40) };
    let cluster = Cluster::start().await;
    let site = Site::on_database(&cluster.url());
    let mut server = site.serve().await;
    let (address, began) = (server.address.clone(), tokio::time::Instant::now());
    let acme = server
        .create("/organizations", json!({ "name": "Acme" }))
        .await;
    let acme = acme["id"].as_str().unwrap().to_owned();
    let writer_of = acme.clone();
    let body = move |key: &str| {
        let mut entry = entry(&writer_of);
        entry["event"]["metadata"] = json!({ "key": key });
        entry
    };
    let load = Load::posting(&server, WRITERS, "/audit_logs/events", body);

    let mut taken = Vec::new();
    for kill in 0..=kills {
        for _ in 0..CHECKPOINTS_BETWEEN {
            more_entries(&load, step).await;
            taken.push(checkpoint(&server, &acme).await);
        }
        if kill < kills {
            server.kill().await;
            server = site.serve_on(&address).await;
        }
    }
    let seen = load.finish().await;
    taken.push(checkpoint(&server, &acme).await);

    assert!(seen.unexpected.is_empty(), "{:?}", seen.unexpected);
    let recorded = linear(&cluster).await;
    let accepted: HashSet<String> = seen.accepted.values().flatten().cloned().collect();
    assert_eq!(
        accepted.len(),
        seen.accepted.len(),
        "one entry for each key"
    );
    assert_eq!(
        recorded.ids, accepted,
        "what is there was accepted, and the other way"
    );
    let heads = heads(&server, &taken).await;
    for head in &heads {
        let root = recorded.roots.get(&head.size);
        assert_eq!(
            root,
            Some(&head.root),
            "the tree had another head at {}",
            head.size
        );
    }
    let proofs = consistent(&server, &acme, &heads).await;
    println!(
        "{} entries by {WRITERS} writers, {kills} kills, {} checkpoints, {proofs} proofs in {:?}; {} cut off",
        recorded.ids.len(),
        heads.len(),
        began.elapsed(),
        seen.cut_off.len(),
    );
    server.stop().await;
}

async fn more_entries(load: &Load, step: usize) {
    let enough = load.accepted() + step;
    eventually("entries are accepted", seconds(60), async || {
        (load.accepted() >= enough).then_some(())
    })
    .await;
}

async fn checkpoint(server: &Server, organization: &str) -> Value {
    let body = json!({ "organization_id": organization });
    let answer = server
        .post("/audit_logs/checkpoints", &body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status}");
    answer.json().await.unwrap()
}

/// The tree as the database has it, after it was made again from the entries.
struct Recorded {
    ids: HashSet<String>,
    /// The root at every size.
    roots: BTreeMap<u64, Hash>,
}

/// Makes the tree of the only organization again, leaf by leaf, and holds every stored row of it against that.
async fn linear(cluster: &Cluster) -> Recorded {
    let sql = cluster.client().await;
    let entries = "SELECT leaf_index, object FROM audit_log_entries \
         WHERE organization_id <> '00000000-0000-0000-0000-000000000000' ORDER BY leaf_index";
    let entries = sql.query(entries, &[]).await.unwrap();
    let mut ids = HashSet::new();
    for (at, row) in entries.iter().enumerate() {
        let object: Value = serde_json::from_str(row.get(1)).unwrap();
        assert_eq!(row.get::<_, i64>(0), i64::try_from(at).unwrap(), "dense");
        assert_eq!(object["index"], at, "the entry says where it is");
        ids.insert(object["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), entries.len(), "each entry once");
    let (mut tree, mut roots, mut made) = (Frontier::default(), BTreeMap::new(), HashMap::new());
    for leaf in witness::leaves(&sql).await {
        let new = tree.append(leaf_hash(&leaf));
        made.extend(new.into_iter().map(|node| (node.id, node.hash)));
        roots.insert(tree.size(), tree.root());
    }
    let nodes = "SELECT level, number, hash FROM audit_log_nodes \
         WHERE organization_id <> '00000000-0000-0000-0000-000000000000'";
    let nodes = sql.query(nodes, &[]).await.unwrap();
    let stored: HashMap<NodeId, Hash> = nodes
        .iter()
        .map(|row| {
            let (level, number): (i16, i64) = (row.get(0), row.get(1));
            let id = NodeId {
                level: level.try_into().unwrap(),
                index: number.try_into().unwrap(),
            };
            let hash: Vec<u8> = row.get(2);
            (id, Hash::from_bytes(hash.try_into().unwrap()))
        })
        .collect();
    assert!(stored == made, "every node is that of the entries below it");
    let edge = "SELECT frontier FROM audit_log_trees \
         WHERE organization_id <> '00000000-0000-0000-0000-000000000000'";
    let edge: Vec<u8> = sql.query_one(edge, &[]).await.unwrap().get(0);
    assert_eq!(edge, tree.to_bytes());
    Recorded { ids, roots }
}

/// What the checkpoints say, each signed by a served key, in the order of their sizes and each once.
async fn heads(server: &Server, taken: &[Value]) -> Vec<Checkpoint> {
    let origin = taken[0]["note"]
        .as_str()
        .unwrap()
        .split('/')
        .nth(1)
        .unwrap();
    let path = format!("/.well-known/tidings/audit-log-keys/{origin}");
    let served = server.client.get(server.url(&path)).send().await.unwrap();
    let served: Value = served.json().await.unwrap();
    let keys: Vec<VerifyingKey> = served["keys"].as_array().unwrap().iter().map(key).collect();
    let mut heads: Vec<_> = taken
        .iter()
        .map(|taken| opened(taken, &keys).unwrap())
        .collect();
    assert!(
        heads.is_sorted_by_key(|head| head.size),
        "a trail only grows"
    );
    heads.dedup_by_key(|head| head.size);
    heads
}

/// Has every head proven to begin with every earlier one; answers how many proofs that took.
async fn consistent(server: &Server, organization: &str, heads: &[Checkpoint]) -> usize {
    let mut proofs = 0;
    for (at, new) in heads.iter().enumerate() {
        for old in &heads[..at] {
            let path = format!(
                "/audit_logs/consistency_proof?organization_id={organization}&from={}&to={}",
                old.size, new.size
            );
            let proof: Value = server.get(&path).await.json().await.unwrap();
            let hashes = hashes(&proof);
            let verified = verify_consistency(old.size, &old.root, new.size, &new.root, &hashes);
            assert_eq!(verified, Ok(()), "{} to {}", old.size, new.size);
            proofs += 1;
        }
    }
    proofs
}
