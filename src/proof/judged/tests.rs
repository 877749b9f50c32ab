//! Every hash is that of the tree, whatever files claim; and few leaves are read where they hold.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    ids::Size,
    proof::{Tree, leaf_hash},
};
use proptest::prelude::*;
use std::{cell::Cell, convert::Infallible};

/// A log of which files have the hashes.
struct Log {
    leaves: Vec<[u8; 32]>,
    hashes: BTreeMap<u64, [u8; 32]>,
    /// The ends of the files, one after the other.
    files: Vec<Head>,
    /// The files that are missing, by their place.
    missing: BTreeSet<usize>,
    read: Cell<u64>,
    asked: Cell<u64>,
}

impl Log {
    fn of(size: u64, ends: &[u64]) -> Self {
        let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&n.to_le_bytes())).collect();
        let (mut tree, mut hashes, mut files) = (Tree::new(), BTreeMap::new(), Vec::new());
        for leaf in &leaves {
            hashes.extend(tree.push_hash(*leaf).iter().map(|hash| (hash.index, hash.hash)));
            if ends.contains(&tree.size().get()) {
                files.push(tree.head());
            }
        }
        let (read, asked) = (Cell::new(0), Cell::new(0));
        Self { leaves, hashes, files, missing: BTreeSet::new(), read, asked }
    }

    /// Every hash that is asked for, the last one first, is that of the tree.
    fn assert_gives_the_tree(&self, truth: &BTreeMap<u64, [u8; 32]>) {
        let mut judged = Judged::default();
        for (index, hash) in truth.iter().rev().chain(truth) {
            assert_eq!(judged.hash(*index, self).unwrap(), Some(*hash), "{index}");
            let first = Judged::default().hash(*index, self).unwrap();
            assert_eq!(first, Some(*hash), "{index} as the first one");
        }
    }
}

impl Claims for Log {
    type Error = Infallible;

    fn claimed(&self, index: u64) -> Result<Option<([u8; 32], Head)>, Infallible> {
        self.asked.set(self.asked.get() + 1);
        let Some((seq, _)) = TreeHash::place_of(index) else { return Ok(None) };
        let file = self.files.partition_point(|end| end.size < seq.size());
        let end = self.files.get(file).filter(|_| !self.missing.contains(&file));
        Ok(end.and_then(|end| Some((*self.hashes.get(&index)?, *end))))
    }

    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, Infallible> {
        self.read.set(self.read.get() + count);
        let from = usize::try_from(first.leaf_index()).unwrap();
        let count = usize::try_from(count).unwrap();
        Ok(self.leaves.iter().skip(from).take(count).copied().collect())
    }
}

#[test]
fn a_root_of_a_large_log_costs_few_reads_where_files_have_its_hashes() {
    let ends: Vec<_> = (1..50).map(|n| n * 1_237).collect();
    let log = Log::of(70_000, &ends);
    let mut judged = Judged::default();
    for index in sub_tree_index(0, 50_123, vec![]) {
        if split_stored_hash_index(index).0 >= KEPT_LEVEL {
            assert_eq!(judged.hash(index, &log).unwrap(), log.hashes.get(&index).copied());
        }
    }
    assert!(log.read.get() < 16 * 10, "{} leaves", log.read.get());
    assert!(log.asked.get() < 17 * 17, "{} hashes", log.asked.get());
}

#[test]
fn a_hash_that_the_log_does_not_have_is_none() {
    let log = Log::of(100, &[64]);
    let mut judged = Judged::default();
    for index in (0..1_000).chain([u64::MAX, 1 << 61]) {
        assert_eq!(judged.hash(index, &log).unwrap(), log.hashes.get(&index).copied(), "{index}");
    }
}

#[test]
fn a_missing_file_costs_the_leaves_of_its_own_events() {
    let ends: Vec<_> = (1..=16).map(|n| n * 4_096).collect();
    let mut log = Log::of(65_536, &ends);
    log.missing.insert(7);
    let top = stored_hash_index(16, 0);
    assert_eq!(Judged::default().hash(top, &log).unwrap(), log.hashes.get(&top).copied());
    assert_eq!(log.read.get(), 0, "a later file has it");
    let within = stored_hash_index(11, 15);
    assert_eq!(Judged::default().hash(within, &log).unwrap(), log.hashes.get(&within).copied());
    assert!((1..=4_096).contains(&log.read.get()), "{} leaves", log.read.get());
}

/// The file that says something else alone is not believed, so the cost is that of a missing one.
#[test]
fn a_forged_file_costs_the_leaves_of_its_own_events() {
    let ends: Vec<_> = (1..=16).map(|n| n * 4_096).collect();
    let mut log = Log::of(65_536, &ends);
    let truth = log.hashes.clone();
    let forged = stored_hash_index(11, 2);
    log.hashes.insert(forged, [7; 32]);
    let mut judged = Judged::default();
    for index in [forged, stored_hash_index(15, 0), stored_hash_index(12, 9)] {
        assert_eq!(judged.hash(index, &log).unwrap(), truth.get(&index).copied());
    }
    assert!(log.read.get() <= 4_096, "{} leaves", log.read.get());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A hash is that of the tree, whatever files are missing and whatever they claim.
    #[test]
    fn no_claim_of_a_file_makes_a_wrong_hash_believed(
        size in 1_u64..2_600,
        ends in proptest::collection::btree_set(1_u64..2_600, 0..6),
        missing in proptest::collection::btree_set(0_usize..6, 0..3),
        forged in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..256), 0..4),
        roots in proptest::collection::vec(any::<prop::sample::Index>(), 0..2),
    ) {
        let ends: Vec<_> = ends.into_iter().filter(|end| *end <= size).collect();
        let mut log = Log::of(size, &ends);
        let truth = log.hashes.clone();
        log.missing = missing;
        let kept: Vec<_> = truth.keys().copied().collect();
        for (which, bit) in forged.into_iter().filter(|_| !kept.is_empty()) {
            let index = kept[which.index(kept.len())];
            log.hashes.get_mut(&index).unwrap()[bit / 8] ^= 1 << (bit % 8);
        }
        for which in roots.into_iter().filter(|_| !ends.is_empty()) {
            log.files[which.index(ends.len())].root.0[3] ^= 1;
        }
        log.assert_gives_the_tree(&truth);
        for old in [size / 2, size - 1, size] {
            let hashes = Tree::restore(Size::new(old), &Asked(&log)).unwrap();
            let mut grown = Tree::new();
            log.leaves.iter().take(usize::try_from(old).unwrap()).for_each(|leaf| {
                grown.push_hash(*leaf);
            });
            prop_assert_eq!(hashes, grown);
        }
    }
}

/// The log as the source of a tree.
struct Asked<'a>(&'a Log);

impl crate::proof::HashSource for Asked<'_> {
    type Error = Infallible;

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Infallible> {
        Judged::default().hash(index, self.0)
    }

    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, Infallible> {
        self.0.leaf_hashes(first, count)
    }
}
