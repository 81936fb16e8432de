//! Proofs over HTTP: every entry against every size, every size against every other, also after retention.

use std::time::Duration;

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use serde_json::{Value, json};
use sha2::Sha256;
use tidings::domain::merkle::{Hash, verify_consistency, verify_inclusion};
use tidings::upkeep::audit_retention;

use super::witness::{self, Witness, hash, hashes, opened};
use crate::harness::TestPlatform;

/// How many entries the trail gets, one by one, with a checkpoint after each.
const ENTRIES: usize = 40;

/// A trail with a checkpoint at every size; the roots are those that the notes say.
struct Grown {
    platform: TestPlatform,
    witness: Witness,
    ids: Vec<String>,
    roots: Vec<Hash>,
}

impl Grown {
    async fn new() -> Self {
        let platform = TestPlatform::usual().await;
        let witness = Witness::new(&platform).await;
        let keys = witness.keys().await;
        let (mut ids, mut roots) = (Vec::new(), Vec::new());
        for _ in 0..ENTRIES {
            ids.extend(witness.record(1).await);
            roots.push(opened(&witness.checkpoint().await, &keys).unwrap().root);
        }
        Self {
            platform,
            witness,
            ids,
            roots,
        }
    }

    fn root(&self, size: usize) -> Hash {
        self.roots[size - 1]
    }

    /// The same for the published implementation.
    fn their_root(&self, size: usize) -> RootHash<Sha256> {
        RootHash::new(self.root(size).to_bytes().into(), wide(size))
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap()
}

fn bytes(proof: &Value) -> Vec<u8> {
    hashes(proof)
        .iter()
        .flat_map(|hash| hash.to_bytes())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_proven_in_the_tree_of_every_checkpoint_that_covers_it() {
    let grown = Grown::new().await;
    let leaves = witness::leaves(&grown.platform.sql().await).await;

    for (index, id) in grown.ids.iter().enumerate() {
        for size in index + 1..=ENTRIES {
            let proof = grown.witness.inclusion(id, size).await;

            let leaf = hash(&proof["leaf_hash"]);
            let verified = |index: usize| {
                let root = grown.root(size);
                verify_inclusion(&leaf, wide(index), wide(size), &hashes(&proof), &root)
            };
            assert_eq!(verified(index), Ok(()), "{index} of {size}");
            assert!(verified(index + 1).is_err(), "{index} of {size}");
            let given = InclusionProof::from_bytes(bytes(&proof));
            let theirs = grown.their_root(size);
            let accepted = theirs.verify_inclusion(&leaves[index], wide(index), &given);
            assert!(accepted.is_ok(), "{index} of {size}: {accepted:?}");
            assert_eq!(proof["leaf_index"], wide(index));
            assert_eq!(proof["tree_size"], wide(size));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_is_proven_to_continue_every_earlier_one_also_after_retention() {
    let grown = Grown::new().await;
    let (platform, witness) = (&grown.platform, &grown.witness);
    let path = format!("/organizations/{}/audit_logs_retention", witness.trail);
    let month = json!({ "retention_period": "1_MONTH" });
    platform.client().put(&path, &month).await.expect(200);
    platform.clock.advance(Duration::from_secs(31 * 24 * 3600));
    audit_retention::expire_entries(platform.store(), &platform.clock)
        .await
        .unwrap();
    let gone = platform
        .client()
        .get(&format!("/audit_logs/events/{}", grown.ids[0]))
        .await;
    assert_eq!(gone.status, 404, "retention has removed it");
    let last = opened(&witness.checkpoint().await, &witness.keys().await).unwrap();
    assert_eq!(
        last.size,
        wide(ENTRIES + 1),
        "the entry that says so is new"
    );

    for to in 1..=ENTRIES + 1 {
        for from in 1..=to.min(ENTRIES) {
            let proof = witness.consistency(from, to).await;

            let (old, new) = match to > ENTRIES {
                true => (grown.root(from), last.root),
                false => (grown.root(from), grown.root(to)),
            };
            let verified = verify_consistency(wide(from), &old, wide(to), &new, &hashes(&proof));
            assert_eq!(verified, Ok(()), "{from} to {to}");
            let given = ConsistencyProof::try_from_bytes(bytes(&proof)).unwrap();
            let theirs: RootHash<Sha256> = RootHash::new(new.to_bytes().into(), wide(to));
            let accepted = theirs.verify_consistency(&grown.their_root(from), &given);
            assert!(accepted.is_ok(), "{from} to {to}: {accepted:?}");
            assert!(proof["from_checkpoint"].is_string() && proof["to_checkpoint"].is_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_size_an_entry_is_proven_in_the_last_checkpoint_and_not_before_there_is_one() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    let ids = witness.record(2).await;
    let path = |id: &str| format!("/audit_logs/events/{id}/inclusion_proof");
    let early = platform.client().get(&path(&ids[0])).await;
    let checkpoint = witness.checkpoint().await;
    let newer = witness.record(1).await;

    let proof = platform.client().get(&path(&ids[0])).await.expect(200);
    let uncovered = platform.client().get(&path(&newer[0])).await;
    let without_a_note = witness.inclusion(&newer[0], 3).await;

    assert_eq!(early.verdict(), (409, "not_checkpointed".to_owned()));
    assert_eq!(proof["checkpoint"], checkpoint["note"]);
    assert_eq!(proof["tree_size"], 2);
    assert_eq!(uncovered.verdict(), (409, "not_checkpointed".to_owned()));
    assert!(without_a_note["checkpoint"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_the_tree_or_the_entry_forbid_are_refused_by_name() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    let ids = witness.record(3).await;
    let faults = async |path: String| platform.client().get(&path).await.faults();
    let inclusion = |query: &str| format!("/audit_logs/events/{}/inclusion_proof?{query}", ids[1]);
    let consistency = |query: &str| {
        let trail = &witness.trail;
        format!("/audit_logs/consistency_proof?organization_id={trail}&{query}")
    };
    let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];

    for query in ["size=0", "size=1", "size=4"] {
        let expected = one("size", "size_out_of_range");
        assert_eq!(faults(inclusion(query)).await, expected, "{query}");
    }
    for query in [
        "size=-1",
        "size=%2B2",
        "size=two",
        "size=99999999999999999999",
    ] {
        assert_eq!(
            faults(inclusion(query)).await,
            one("size", "invalid_size"),
            "{query}"
        );
    }
    for (query, field) in [
        ("from=0&to=1", "from"),
        ("from=3&to=2", "to"),
        ("from=1&to=4", "to"),
        ("from=9&to=9", "from"),
    ] {
        let expected = one(field, "size_out_of_range");
        assert_eq!(faults(consistency(query)).await, expected, "{query}");
    }
    let nothing = faults("/audit_logs/consistency_proof".to_owned()).await;
    let missing =
        ["organization_id", "from", "to"].map(|field| (field.to_owned(), "required".to_owned()));
    assert_eq!(nothing, missing);
}
