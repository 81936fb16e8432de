//! The published vectors of Certificate Transparency, and the serialised form.

use std::collections::HashMap;

use super::*;

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const INCLUSION: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

fn hash(text: &str) -> Hash {
    text.parse().expect("a hash")
}

fn root(size: u64) -> Hash {
    hash(ROOTS[usize::try_from(size).unwrap()])
}

/// The published leaves' hashes and all complete nodes above them.
fn published_tree() -> (Vec<Hash>, HashMap<NodeId, Hash>) {
    let leaves: Vec<_> = LEAVES
        .iter()
        .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()))
        .collect();
    let mut frontier = Frontier::default();
    let nodes = leaves.iter().flat_map(|leaf| frontier.append(*leaf));
    let nodes = nodes.map(|node| (node.id, node.hash)).collect();
    (leaves, nodes)
}

#[test]
fn the_published_roots_come_out_for_every_size() {
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), root(0));

    for leaf in published_tree().0 {
        frontier.append(leaf);

        assert_eq!(frontier.root(), root(frontier.size()));
    }
}

#[test]
fn the_published_inclusion_proofs_are_built_and_accepted() {
    let (leaves, nodes) = published_tree();
    for (index, size, expected) in INCLUSION {
        let expected: Vec<_> = expected.iter().map(|text| hash(text)).collect();
        let leaf = leaves[usize::try_from(index).unwrap()];

        let proof = ProofPlan::inclusion(index, size).unwrap().build(&nodes);

        assert_eq!(proof, Ok(expected.clone()), "{index} of {size}");
        assert_eq!(
            verify_inclusion(&leaf, index, size, &expected, &root(size)),
            Ok(())
        );
    }
}

#[test]
fn the_published_consistency_proofs_are_built_and_accepted() {
    let (_, nodes) = published_tree();
    for (old, new, expected) in CONSISTENCY {
        let expected: Vec<_> = expected.iter().map(|text| hash(text)).collect();

        let proof = ProofPlan::consistency(old, new).unwrap().build(&nodes);

        assert_eq!(proof, Ok(expected.clone()), "{old} to {new}");
        assert_eq!(
            verify_consistency(old, &root(old), new, &root(new), &expected),
            Ok(())
        );
    }
}

#[test]
fn an_append_returns_the_nodes_that_it_completed() {
    let mut frontier = Frontier::default();
    let places: Vec<Vec<_>> = published_tree().0[..4]
        .iter()
        .map(|leaf| frontier.append(*leaf))
        .map(|nodes| {
            nodes
                .iter()
                .map(|node| (node.id.level, node.id.index))
                .collect()
        })
        .collect();

    assert_eq!(
        places,
        [
            vec![(0, 0)],
            vec![(0, 1), (1, 0)],
            vec![(0, 2)],
            vec![(0, 3), (1, 1), (2, 0)]
        ]
    );
}

#[test]
fn a_missing_node_is_named() {
    let plan = ProofPlan::inclusion(5, 8).unwrap();

    let fault = plan.build(&HashMap::new()).expect_err("nothing is there");

    assert_eq!(fault.to_string(), "node 4 of level 0 is missing");
}

#[test]
fn proofs_that_cannot_be_are_not_planned() {
    assert_eq!(ProofPlan::inclusion(8, 8), None);
    assert_eq!(ProofPlan::inclusion(0, 0), None);
    assert_eq!(ProofPlan::consistency(9, 8), None);
    assert_eq!(ProofPlan::consistency(0, 8).unwrap().needs().count(), 0);
    assert_eq!(ProofPlan::consistency(8, 8).unwrap().needs().count(), 0);
}

#[test]
fn every_tree_begins_with_the_empty_one() {
    assert_eq!(verify_consistency(0, &root(0), 8, &root(8), &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, &root(1), 8, &root(8), &[]),
        Err(ProofFault::OtherRoot)
    );
    assert_eq!(
        verify_consistency(0, &root(0), 8, &root(8), &[root(8)]),
        Err(ProofFault::WrongLength)
    );
    assert_eq!(
        verify_consistency(8, &root(8), 7, &root(7), &[]),
        Err(ProofFault::OutOfRange)
    );
}

#[test]
fn bytes_that_are_no_frontier_are_refused() {
    let mut frontier = Frontier::default();
    for leaf in &published_tree().0[..6] {
        frontier.append(*leaf);
    }
    let bytes = frontier.to_bytes();

    assert_eq!(bytes.len(), 8 + 2 * 32);
    assert_eq!(Frontier::from_bytes(&bytes), Ok(frontier));
    for cut in 0..bytes.len() {
        assert!(Frontier::from_bytes(&bytes[..cut]).is_err(), "{cut} bytes");
    }
    assert!(Frontier::from_bytes(&[0xff; 8 + 64 * 32]).is_err());
}

#[test]
fn a_hash_has_one_spelling() {
    let text = ROOTS[0];

    assert_eq!(hash(text).to_string(), text);
    for bad in [&text.to_uppercase(), &text[1..], "", &format!("{text}0")] {
        assert_eq!(bad.parse::<Hash>(), Err(HashFault), "{bad}");
    }
}
