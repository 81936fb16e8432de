//! What holds for every tree; the recursive definitions of RFC 6962, written down naively, are the judge.
//!
//! Invariant: nothing here shares code with what it judges but the two hash functions.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn split(len: usize) -> usize {
    let mut at = 1;
    while at * 2 < len {
        at *= 2;
    }
    at
}

/// MTH of RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH of RFC 6962, section 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut proof, sibling) = if index < at {
        (path(index, left), root(right))
    } else {
        (path(index - at, right), root(left))
    };
    proof.push(sibling);
    proof
}

/// SUBPROOF of RFC 6962, section 2.1.2.
fn subproof(old: usize, leaves: &[Hash], is_known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_known {
            Vec::new()
        } else {
            vec![root(leaves)]
        };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut proof, sibling) = if old <= at {
        (subproof(old, left, is_known), root(right))
    } else {
        (subproof(old - at, right, false), root(left))
    };
    proof.push(sibling);
    proof
}

struct Tree {
    leaves: Vec<Hash>,
    nodes: HashMap<NodeId, Hash>,
    frontier: Frontier,
}

fn grow(size: usize) -> Tree {
    let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let mut frontier = Frontier::default();
    let nodes = leaves.iter().flat_map(|leaf| frontier.append(*leaf));
    let nodes = nodes.map(|node| (node.id, node.hash)).collect();
    Tree {
        leaves,
        nodes,
        frontier,
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

/// Every way to spoil a proof by one step: flip, drop, add, swap.
fn spoiled(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        let mut bytes = flipped[at].to_bytes();
        bytes[at % 32] ^= 1;
        flipped[at] = Hash::from_bytes(bytes);
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        all.extend([flipped, dropped]);
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            all.push(swapped);
        }
    }
    for at in 0..=proof.len() {
        let mut added = proof.to_vec();
        added.insert(at, empty_root());
        all.push(added);
    }
    all
}

#[test]
fn every_leaf_of_every_small_tree_has_the_proof_of_the_definition() {
    let tree = grow(70);
    for size in 1..=70 {
        let leaves = &tree.leaves[..size];
        let whole = root(leaves);
        for (index, leaf) in leaves.iter().enumerate() {
            let plan = ProofPlan::inclusion(wide(index), wide(size)).unwrap();

            let proof = plan.build(&tree.nodes).unwrap();

            assert_eq!(proof, path(index, leaves));
            let (index, size) = (wide(index), wide(size));
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &whole), Ok(()));
        }
    }
}

#[test]
fn all_pairs_of_small_trees_have_the_proof_of_the_definition() {
    let tree = grow(70);
    for new in 1..=70 {
        let new_root = root(&tree.leaves[..new]);
        for old in 1..=new {
            let old_root = root(&tree.leaves[..old]);
            let plan = ProofPlan::consistency(wide(old), wide(new)).unwrap();

            let proof = plan.build(&tree.nodes).unwrap();

            assert_eq!(proof, subproof(old, &tree.leaves[..new], true));
            let verdict = verify_consistency(wide(old), &old_root, wide(new), &new_root, &proof);
            assert_eq!(verdict, Ok(()), "{old} to {new}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_frontier_has_the_root_of_the_definition_at_every_size(size in 0_usize..600) {
        let tree = grow(size);
        let nodes = Frontier::nodes(wide(size));
        let hashes = nodes.iter().map(|id| tree.nodes[id]).collect();

        prop_assert_eq!(tree.frontier.root(), root(&tree.leaves));
        prop_assert_eq!(Frontier::from_bytes(&tree.frontier.to_bytes()), Ok(tree.frontier.clone()));
        prop_assert_eq!(Frontier::new(wide(size), hashes), Ok(tree.frontier));
    }

    #[test]
    fn an_inclusion_proof_proves_one_leaf_at_one_index_in_one_tree(
        size in 1_usize..600, at in any::<proptest::sample::Index>()
    ) {
        let tree = grow(size);
        let index = at.index(size);
        let (leaf, whole) = (tree.leaves[index], root(&tree.leaves));
        let (index, size) = (wide(index), wide(size));

        let proof = ProofPlan::inclusion(index, size).unwrap().build(&tree.nodes).unwrap();

        prop_assert_eq!(&proof, &path(at.index(tree.leaves.len()), &tree.leaves));
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &whole), Ok(()));
        prop_assert_eq!(
            prefix_root(&leaf, index, size, &proof),
            Ok(root(&tree.leaves[..=at.index(tree.leaves.len())]))
        );
        for spoiled in spoiled(&proof) {
            prop_assert!(verify_inclusion(&leaf, index, size, &spoiled, &whole).is_err());
        }
        prop_assert!(verify_inclusion(&empty_root(), index, size, &proof, &whole).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &empty_root()).is_err());
        for other in (0..size + 2).filter(|&other| other != index) {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &whole).is_err());
        }
    }

    #[test]
    fn a_consistency_proof_proves_one_pair_of_trees(
        new in 1_usize..600, at in any::<proptest::sample::Index>()
    ) {
        let tree = grow(new);
        let old = at.index(new) + 1;
        let (old_root, new_root) = (root(&tree.leaves[..old]), root(&tree.leaves));
        let expected = subproof(old, &tree.leaves, true);
        let (old, new) = (wide(old), wide(new));

        let proof = ProofPlan::consistency(old, new).unwrap().build(&tree.nodes).unwrap();

        prop_assert_eq!(&proof, &expected);
        prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
        for spoiled in spoiled(&proof) {
            prop_assert!(verify_consistency(old, &old_root, new, &new_root, &spoiled).is_err());
        }
        prop_assert!(verify_consistency(old, &empty_root(), new, &new_root, &proof).is_err());
        prop_assert!(verify_consistency(old, &old_root, new, &empty_root(), &proof).is_err());
        for other in (0..=new).filter(|&other| other != old) {
            prop_assert!(verify_consistency(other, &old_root, new, &new_root, &proof).is_err());
        }
    }

    #[test]
    fn arbitrary_hashes_prove_nothing_and_break_nothing(
        index in any::<u64>(), size in any::<u64>(), len in 0_usize..70
    ) {
        let proof = vec![empty_root(); len];

        prop_assert!(verify_inclusion(&empty_root(), index, size, &proof, &leaf_hash(b"")).is_err());
        prop_assert!(
            verify_consistency(index, &empty_root(), size, &leaf_hash(b""), &proof).is_err() || index == 0
        );
    }
}
