//! The tree against a published implementation of RFC 6962, both ways: `ct-merkle`, which shares no code with it.

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use tidings::domain::merkle::{
    Frontier, Hash, NodeId, ProofPlan, leaf_hash, verify_consistency, verify_inclusion,
};

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

/// One to eight, and around each power of two up to 512.
fn sizes() -> Vec<u64> {
    let around = (4..=9).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
    (1..=8).chain(around).collect()
}

/// The same leaves in both trees.
struct Trees {
    theirs: Theirs,
    ours: Frontier,
    nodes: HashMap<NodeId, Hash>,
}

impl Trees {
    fn of(size: u64) -> Self {
        let mut trees = Self {
            theirs: Theirs::new(),
            ours: Frontier::default(),
            nodes: HashMap::new(),
        };
        for index in 0..size {
            let new = trees.ours.append(leaf_hash(&leaf(index)));
            trees
                .nodes
                .extend(new.into_iter().map(|node| (node.id, node.hash)));
            trees.theirs.push(leaf(index));
        }
        trees
    }

    fn root(&self) -> RootHash<Sha256> {
        RootHash::new(self.ours.root().to_bytes().into(), self.ours.size())
    }

    fn build(&self, plan: Option<ProofPlan>) -> Vec<Hash> {
        plan.unwrap().build(&self.nodes).unwrap()
    }
}

fn leaf(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.to_bytes()).collect()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    let (hashes, odd) = bytes.as_chunks::<32>();
    assert!(odd.is_empty());
    hashes.iter().copied().map(Hash::from_bytes).collect()
}

#[test]
fn both_trees_have_the_same_root_at_every_size() {
    for size in sizes() {
        let trees = Trees::of(size);

        assert_eq!(trees.theirs.root(), trees.root(), "{size}");
    }
}

#[test]
fn inclusion_proofs_of_each_are_accepted_by_the_other_for_that_leaf_alone() {
    for size in sizes() {
        let trees = Trees::of(size);
        for index in 0..size {
            let ours = trees.build(ProofPlan::inclusion(index, size));
            let theirs = trees
                .theirs
                .prove_inclusion(usize::try_from(index).unwrap());

            let given = InclusionProof::from_bytes(bytes(&ours));
            let accepted = trees.root().verify_inclusion(&leaf(index), index, &given);
            let refused = trees
                .root()
                .verify_inclusion(&leaf(index + 1), index, &given);
            assert!(accepted.is_ok() && refused.is_err(), "{index} of {size}");
            let taken = hashes(theirs.as_bytes());
            let verify = |leaf: u64| {
                let leaf = leaf_hash(&self::leaf(leaf));
                verify_inclusion(&leaf, index, size, &taken, &trees.ours.root())
            };
            assert!(
                verify(index).is_ok() && verify(index + 1).is_err(),
                "{index} of {size}"
            );
        }
    }
}

#[test]
fn consistency_proofs_of_each_are_accepted_by_the_other_for_those_roots_alone() {
    for size in sizes().into_iter().filter(|size| *size <= 129) {
        let new = Trees::of(size);
        let other = Trees::of(size + 1);
        for old_size in 1..=size {
            let old = Trees::of(old_size);
            let ours = new.build(ProofPlan::consistency(old_size, size));
            let theirs = new
                .theirs
                .prove_consistency(usize::try_from(size - old_size).unwrap());

            let given = ConsistencyProof::try_from_bytes(bytes(&ours)).unwrap();
            let accepted = new.root().verify_consistency(&old.root(), &given);
            let wrong = RootHash::new(other.ours.root().to_bytes().into(), old_size);
            let refused = new.root().verify_consistency(&wrong, &given);
            assert!(accepted.is_ok() && refused.is_err(), "{old_size} to {size}");
            let taken = hashes(theirs.as_bytes());
            let verify =
                |old: &Hash| verify_consistency(old_size, old, size, &new.ours.root(), &taken);
            assert!(verify(&old.ours.root()).is_ok(), "{old_size} to {size}");
            assert!(verify(&other.ours.root()).is_err(), "{old_size} to {size}");
        }
    }
}
