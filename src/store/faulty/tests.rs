//! The faulty store keeps the contract, and the harness sees it when the device does not.

use super::*;
use crate::{
    ids::{Root, Size, TreeHash},
    store::{
        Opened,
        conformance::{self, Place, Trouble, crash},
    },
};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Place for FaultyDisk {
    fn open(&mut self) -> Opened {
        conformance::opened(Self::open(self).unwrap())
    }

    fn crash(&mut self, _: Opened) {}

    fn cut_power(&mut self, _: Opened) -> bool {
        Self::cut_power(self);
        true
    }

    fn make(&mut self, trouble: Trouble) -> bool {
        let once = |call| Fault { call, after: 0, effect: Effect::FailsOnce };
        match trouble {
            Trouble::FailedWrite => self.fail(once(Call::Write)),
            Trouble::FailedSync => self.fail(once(Call::Sync)),
            Trouble::NoSpace => self.set_bytes_max(Some(self.bytes() + 60)),
            Trouble::Space => self.set_bytes_max(None),
        }
        true
    }
}

crate::conformance_tests!(seed_1, FaultyDisk::new(1));
crate::conformance_tests!(seed_2, FaultyDisk::new(2));
crate::conformance_tests!(seed_3, FaultyDisk::new(3));

const SEEDS: std::ops::Range<u64> = 0..40;

fn holds(claim: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(claim)).is_ok()
}

fn liar(seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    disk.fail(Fault { call: Call::Sync, after: 0, effect: Effect::Lies });
    disk
}

fn group(store: &FaultyStore, frames: &[&[u8]]) -> Result<(), Error> {
    let first = store.written().size.next_seq().unwrap();
    let frames: Vec<_> = frames.iter().map(|frame| frame.to_vec()).collect();
    let tree_hash = TreeHash { seq: first, index: first.get(), hash: [7; 32] };
    store.append(Group { first, frames: &frames, root: Root([1; 32]), tree_hashes: &[tree_hash] })
}

/// A disk that says it has synced and has not is what the claims are there to notice.
#[test]
fn a_sync_that_lies_is_noticed_by_the_claims() {
    for seed in SEEDS {
        assert!(!holds(|| crash::a_power_cut_keeps_every_synced_group(liar(seed))), "seed {seed}");
    }
}

#[test]
fn a_sync_that_lies_loses_what_was_acknowledged() {
    let lost = SEEDS.filter(|seed| {
        let disk = liar(*seed);
        let store = disk.open().unwrap();
        group(&store, &[b"acknowledged"]).unwrap();
        assert_eq!(store.sync().unwrap().size, 1);
        disk.cut_power();
        disk.open().unwrap().written() == Head::EMPTY
    });
    assert!(lost.count() > 10);
}

/// Every way for a group to come out of a power cut is tried by some seed.
#[test]
fn a_power_cut_leaves_nothing_some_or_all_of_what_was_not_synced() {
    let left = |seed| {
        let disk = FaultyDisk::new(seed);
        let store = disk.open().unwrap();
        for _ in 0..4 {
            group(&store, &[&[b'x'; 40], &[b'y'; 40]]).unwrap();
        }
        disk.cut_power();
        let torn = disk.bytes() > 0;
        (disk.open().unwrap().written().size, torn)
    };
    let seen: std::collections::BTreeSet<_> = SEEDS.map(left).collect();
    assert!(seen.contains(&(Size::EMPTY, false)), "all lost");
    assert!(seen.contains(&(Size::EMPTY, true)), "the first torn, or later ones without it");
    assert!(seen.contains(&(Size::new(8), true)), "all kept");
    assert!(seen.iter().any(|(size, _)| (1..8).contains(size)), "some kept");
}

/// The harness is repeatable: a failing seed can be looked into.
#[test]
fn the_same_seed_fails_in_the_same_way() {
    let run = || {
        let disk = FaultyDisk::new(9);
        let store = disk.open().unwrap();
        group(&store, &[&[1; 500], &[2; 500]]).unwrap();
        disk.cut_power();
        disk.0.lock().unwrap().journal.bytes().to_vec()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_nth_call_fails_and_the_ones_before_do_not() {
    let disk = FaultyDisk::new(1);
    let store = disk.open().unwrap();
    disk.fail(Fault { call: Call::Write, after: 2, effect: Effect::FailsOnce });
    group(&store, &[b"1"]).unwrap();
    store.sync().unwrap();
    group(&store, &[b"2"]).unwrap();
    assert!(matches!(group(&store, &[b"3"]), Err(Error::Io { .. })));
    assert!(matches!(store.sync(), Err(Error::Halted)));
    assert!(disk.open().is_ok(), "it failed once");
}

#[test]
fn a_device_that_fails_for_good_fails_until_it_is_repaired() {
    let disk = FaultyDisk::new(1);
    let store = disk.open().unwrap();
    disk.fail(Fault { call: Call::Any, after: 0, effect: Effect::FailsForGood });
    group(&store, &[b"1"]).unwrap_err();
    assert!(matches!(disk.open(), Err(Error::Io { .. })));
    assert!(matches!(disk.open(), Err(Error::Io { .. })));
    disk.repair();
    group(&disk.open().unwrap(), &[b"1"]).unwrap();
}

#[test]
fn a_failed_read_halts_nothing() {
    let disk = FaultyDisk::new(1);
    let store = disk.open().unwrap();
    group(&store, &[b"1"]).unwrap();
    disk.fail(Fault { call: Call::Read, after: 0, effect: Effect::FailsOnce });
    assert!(matches!(store.read(Seq::FIRST, 10), Err(Error::Io { .. })));
    assert_eq!(store.read(Seq::FIRST, 10).unwrap(), [b"1"]);
    group(&store, &[b"2"]).unwrap();
}

#[test]
fn rot_and_lost_tails_are_found_at_open() {
    let disk = FaultyDisk::new(1);
    let store = disk.open().unwrap();
    group(&store, &[b"1", b"2"]).unwrap();
    let first = disk.bytes();
    group(&store, &[b"3"]).unwrap();
    store.sync().unwrap();
    let whole = disk.bytes();
    for at in first..whole {
        disk.flip(at, 0x10);
        let found = disk.open().unwrap_err();
        assert!(matches!(found, Error::Damaged { seq, .. } if seq == Seq::new(3)), "byte {at}");
        disk.flip(at, 0x10);
    }
    disk.truncate(first);
    assert!(matches!(disk.open(), Err(Error::LostTail { expected: 3, found: 2 })));
}
