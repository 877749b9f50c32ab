//! The contract of [`FrameLog`] and [`SnapshotStore`] as running code.
//!
//! Each public function of the modules below is one claim that every store must meet; its name says
//! it. [`conformance_tests!`](crate::conformance_tests) makes a test of each, for a [`Place`] that
//! a store can be opened in. A new claim is checked only if that macro lists it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    reason = "claims are tests: they panic when they do not hold, and take over the place"
)]

pub mod crash;
pub mod home;
pub mod log;
pub mod look;
pub mod sealed;
pub mod snapshots;

use super::{Error, FixedNode, FrameLog, Group, Identity, MemStore, Opened, SnapshotStore};
use crate::ids::{Head, LedgerId, NodeId, Root, Seq, Size, TreeHash};
use std::sync::Arc;

/// A place that holds a store, which can be opened again and again.
pub trait Place {
    /// Opens the store here; the first time, one without frames. Does not resume it.
    fn open(&mut self) -> Opened;

    /// Ends the process of `opened` without warning. Everything it wrote is still there.
    fn crash(&mut self, opened: Opened);

    /// Cuts the power. Bytes that were not synced may be gone, torn or there. `false` if power
    /// cannot be cut here: then no claim about it is tested.
    fn cut_power(&mut self, opened: Opened) -> bool {
        self.crash(opened);
        false
    }

    /// Causes trouble for the open store. `false` if that is not possible here: then no claim about
    /// it is tested.
    fn make(&mut self, trouble: Trouble) -> bool {
        let _ = trouble;
        false
    }
}

/// A fault of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The next write fails.
    FailedWrite,
    /// The next sync fails.
    FailedSync,
    /// No space is left.
    NoSpace,
    /// There is space again.
    Space,
}

/// One store as its traits, without an identity of its own.
pub fn opened<S: FrameLog + SnapshotStore>(store: S) -> Opened {
    let snapshots = Arc::new(store);
    let log = Arc::<S>::clone(&snapshots);
    let node = Arc::new(FixedNode(Identity::new(LedgerId([1; 16]), NodeId([2; 16]))));
    Opened { log, snapshots, node }
}

impl Place for MemStore {
    fn open(&mut self) -> Opened {
        opened(self.reopen())
    }

    fn crash(&mut self, _: Opened) {}
}

/// Makes a module of tests, one for each claim: `conformance_tests!(mem, MemStore::new());`
///
/// The expression makes a new [`Place`], empty, once for each test. The claims about a
/// [`Home`](crate::store::Home) are `conformance_tests!(@home mem_home, MemStore::new());`.
#[macro_export]
macro_rules! conformance_tests {
    ($name:ident, $place:expr) => {
        $crate::conformance_tests! { @claims $name, $place,
            log: an_empty_log_has_the_empty_head,
            log: a_group_is_readable_at_once,
            log: append_past_the_next_number_changes_nothing,
            log: append_at_a_taken_number_changes_nothing,
            log: a_sync_reaches_what_is_written,
            log: every_frame_reads_back_from_every_number,
            log: a_read_gives_what_fits_and_at_least_one_frame,
            log: a_read_past_the_end_gives_nothing,
            log: readers_see_whole_groups_while_one_thread_appends,
            log: a_reserved_number_is_what_it_was_set_to_last,
            log: a_closed_log_is_halted,
            log: a_failed_write_halts_the_log,
            log: a_failed_sync_halts_the_log,
            log: an_append_without_space_changes_nothing,
            sealed: a_checkpoint_seals_what_is_synced,
            sealed: a_checkpoint_changes_no_frame_and_no_mark,
            sealed: marks_read_back,
            sealed: marks_after_the_sealed_head_are_given_again,
            sealed: erasing_replaces_what_it_is_told_to,
            sealed: erased_frames_stay_erased,
            sealed: erasing_twice_is_erasing_once,
            sealed: a_frame_that_cannot_be_rewritten_stops_the_erasure,
            sealed: closing_leaves_what_the_next_opening_seals,
            crash: a_crash_keeps_every_written_group,
            crash: a_power_cut_keeps_every_synced_group,
            crash: a_power_cut_keeps_whole_groups_in_order,
            crash: what_an_opening_finds_is_durable,
            crash: a_failed_sync_is_not_made_good_by_opening,
            crash: a_crash_keeps_marks_erasure_and_reservation,
            snapshots: a_new_store_has_no_snapshots,
            snapshots: a_snapshot_loads_as_it_was_saved,
            snapshots: a_snapshot_is_read_in_parts,
            snapshots: snapshots_are_listed_oldest_first,
            snapshots: a_snapshot_saved_again_replaces_the_first,
            snapshots: loading_a_missing_snapshot_is_an_error,
            snapshots: removing_a_snapshot_twice_is_no_error,
            snapshots: a_snapshot_that_is_set_aside_is_not_listed,
            snapshots: snapshots_survive_loss_of_power,
        }
    };
    (@home $name:ident, $home:expr) => {
        $crate::conformance_tests! { @claims $name, $home,
            home: where_nothing_is_nothing_opens,
            home: a_created_store_opens_again,
            home: creating_over_a_store_is_refused,
            home: an_identity_is_what_it_was_set_to_last,
            home: a_copy_in_the_making_is_no_store,
            home: a_finished_copy_is_a_store,
            home: only_an_unfinished_copy_is_removed,
            home: a_removed_copy_leaves_nothing,
            home: a_divergent_store_is_only_read,
            home: an_inspection_sees_every_frame,
            home: a_rebuild_keeps_every_frame,
            look: where_nothing_is_nothing_is_seen,
            look: a_copy_in_the_making_is_not_shown,
            look: what_was_synced_is_shown,
            look: what_was_not_synced_is_not_shown,
            look: a_look_reads_from_every_number,
            look: a_look_gives_what_fits_and_at_least_one_frame,
            look: a_look_stays_until_it_is_refreshed,
            look: a_look_goes_on_over_closing_and_opening,
            look: a_look_goes_on_over_a_rebuild,
            look: a_shown_frame_changes_only_by_erasing,
            look: a_look_hinders_no_writer,
            look: a_look_saves_nothing,
        }
    };
    (@claims $name:ident, $place:expr, $($module:ident: $claim:ident,)*) => {
        mod $name {
            #[allow(unused_imports, reason = "the place may be named by its path")]
            use super::*;
            $(
                #[test]
                fn $claim() {
                    $crate::store::conformance::$module::$claim($place);
                }
            )*
        }
    };
}

/// Opens the store and starts its sealing, with the tree hashes that are not sealed yet.
fn open(place: &mut impl Place) -> Opened {
    let opened = place.open();
    let after = opened.log.sealed().size.get() + 1;
    opened
        .log
        .resume((after..=opened.log.written().size.get()).filter_map(tree_hash).collect())
        .unwrap();
    opened
}

/// The frame with this number: always the same, of many lengths, some larger than any block.
fn frame(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(50) { 20_000 } else { number * 37 % 900 + 1 };
    let mut word = number;
    let noise = std::iter::repeat_with(|| {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        word.to_be_bytes()[0]
    });
    let half = usize::try_from(len / 2).unwrap();
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(noise.take(half));
    bytes.resize(bytes.len() + half, b'.');
    bytes
}

/// The root of this many frames. The store does not check it.
fn root(size: u64) -> Root {
    let mut root = Root::EMPTY;
    root.0[..8].iter_mut().zip(size.to_le_bytes()).for_each(|(to, from)| *to ^= from);
    root
}

/// The head of a log that holds the first `size` frames.
fn head(size: u64) -> Head {
    Head { size: Size::new(size), root: root(size) }
}

/// The tree hash that the frame with this number completes, if there is one.
fn tree_hash(number: u64) -> Option<TreeHash> {
    let hash = root(number).0;
    number.is_multiple_of(4).then(|| TreeHash { seq: seq(number), index: number * 3, hash })
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// Appends one group of `count` frames, the first with number `first`.
fn append_at(log: &dyn FrameLog, first: u64, count: u64) -> Result<(), Error> {
    let numbers = first..first + count;
    let frames: Vec<_> = numbers.clone().map(frame).collect();
    let tree_hashes: Vec<_> = numbers.filter_map(tree_hash).collect();
    let root = root(first + count - 1);
    log.append(Group { first: seq(first), frames: &frames, root, tree_hashes: &tree_hashes })
}

/// Appends groups of these sizes after the last frame, and returns the size of the log after each.
fn fill(log: &dyn FrameLog, groups: &[u64]) -> Vec<u64> {
    let one = |count: &u64| {
        append_at(log, log.written().size.get() + 1, *count).unwrap();
        log.written().size.get()
    };
    groups.iter().map(one).collect()
}

/// Reads all frames from this number on, a few bytes at a time.
fn read_from(log: &dyn FrameLog, first: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let at = first + u64::try_from(frames.len()).unwrap();
        let some = log.read(seq(at), 4096).unwrap();
        if some.is_empty() {
            return frames;
        }
        frames.extend(some);
    }
}

/// Asserts that the log holds the first `size` frames and nothing else.
#[track_caller]
fn assert_holds(log: &dyn FrameLog, size: u64) {
    assert_eq!(log.written(), head(size), "written");
    assert!(log.synced().size <= size, "synced {:?} is ahead of written", log.synced());
    let found = read_from(log, 1);
    assert_eq!(found.len(), usize::try_from(size).unwrap(), "frames");
    let differing = (1..).zip(&found).find(|(number, found)| frame(*number) != **found);
    assert!(differing.is_none(), "frame {:?} is not as written", differing.map(|(n, _)| n));
}

/// Asserts that the log holds every tree hash of the first `size` frames.
#[track_caller]
fn assert_marks(log: &dyn FrameLog, size: u64) {
    for tree_hash in (1..=size).filter_map(tree_hash) {
        assert_eq!(
            log.tree_hash(tree_hash.index).unwrap(),
            Some(tree_hash.hash),
            "tree_hash of {}",
            tree_hash.seq
        );
    }
}
