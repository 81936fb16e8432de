//! Sets of leaves: their text, and what they hold.

use proptest::prelude::*;

use super::*;

#[test]
fn many_leaves_are_named_within_the_limits_of_targets() {
    let mut leaves = LeafSet::default();
    for index in 0..30_000 {
        leaves.insert(index * 2);
    }

    let entries = leaf_targets(&leaves, 1);

    let mut named = LeafSet::default();
    for target in entries.iter().flatten() {
        assert!(target.id.len() <= 255);
        for (first, last) in target.id.parse::<LeafSet>().unwrap().ranges() {
            named.insert_range(first, last);
        }
    }
    assert_eq!(named, leaves);
    assert!(entries.iter().all(|targets| targets.len() <= 99));
}

#[test]
fn a_set_of_leaves_has_one_text() {
    assert_eq!("3,7-9".parse::<LeafSet>().unwrap().to_string(), "3,7-9");
    for bad in [
        "", "3,", "7-7", "9-7", "3,4", "7-9,3", "3,3", "+3", "03", "3, 7", "1-3,2-5",
    ] {
        assert_eq!(bad.parse::<LeafSet>(), Err(LeafSetFault), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_set_of_leaves_holds_what_was_put_in(
        ranges in proptest::collection::vec((0_u64..60, 0_u64..6), 0..20),
        others in proptest::collection::vec((0_u64..60, 0_u64..9), 0..20),
    ) {
        let build = |ranges: &[(u64, u64)]| {
            let mut set = LeafSet::default();
            for (first, len) in ranges {
                set.insert_range(*first, first + len);
            }
            set
        };
        let holds = |ranges: &[(u64, u64)], index| {
            ranges.iter().any(|(first, len)| (*first..=first + len).contains(&index))
        };
        let (set, other) = (build(&ranges), build(&others));

        for index in 0..80 {
            prop_assert_eq!(set.contains(index), holds(&ranges, index));
        }
        let outside = (0..80).find(|&index| holds(&ranges, index) && !holds(&others, index));
        prop_assert_eq!(set.first_outside(&other), outside);
        if !set.is_empty() {
            prop_assert_eq!(set.to_string().parse::<LeafSet>(), Ok(set));
        }
    }
}
