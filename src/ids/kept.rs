//! The places of kept hashes: which event completes each, and in which order they come.
//!
//! Arithmetic on numbers, so that a store can keep the hashes in a row without knowing the tree. The
//! hashes of all levels are numbered as they are completed, and kept ones are those from level 4 on.

use super::{BLOCK_EVENTS, Seq, Size, TreeHash};
use std::ops::Range;

/// The lowest level of kept hashes.
const LEVEL: u64 = 4;
const _: () = assert!(1 << LEVEL == BLOCK_EVENTS, "a kept hash covers whole blocks");
/// No index is higher: below it nothing here overflows.
const INDEX_MAX: u64 = 1 << 62;

impl TreeHash {
    /// The number of kept hashes that the first `size` events complete.
    #[must_use]
    pub fn kept_by(size: Size) -> u64 {
        all_by(size.get() / BLOCK_EVENTS)
    }

    /// The indexes of the kept hashes that an event completes, in order. None of most events.
    #[must_use]
    pub fn completed_by(seq: Seq) -> Range<u64> {
        let before = all_by(seq.leaf_index());
        let end = all_by(seq.get());
        (before + LEVEL).min(end)..end
    }

    /// The indexes of the kept hashes on the right edge of the tree over `size` events, the largest
    /// tree first. With the events behind the last whole block they give the root.
    pub fn edge_of(size: Size) -> impl Iterator<Item = u64> {
        let size = size.get();
        let levels =
            (LEVEL..u64::from(u64::BITS)).rev().filter(move |level| size >> level & 1 == 1);
        levels.map(move |level| all_by((size >> level << level) - 1) + level)
    }

    /// The event that completes the kept hash with this index, and the number of kept hashes that
    /// are completed earlier; `None` if no kept hash has this index. O(log index).
    #[must_use]
    pub fn place_of(index: u64) -> Option<(Seq, u64)> {
        if index >= INDEX_MAX {
            return None;
        }
        // All hashes over n events are 2n less the bits of n, so the event is not far from here.
        let mut number = index / 2;
        while all_by(number) <= index {
            number += 1;
        }
        let seq = Seq::new(number)?;
        let level = index - all_by(seq.leaf_index());
        let above = level.checked_sub(LEVEL)?;
        Some((seq, all_by(number / BLOCK_EVENTS - 1) + above))
    }
}

/// The number of hashes of all levels over `leaves`.
fn all_by(leaves: u64) -> u64 {
    // Without an overflow up to the end of the range, where there are no logs.
    leaves.saturating_mul(2).saturating_sub(u64::from(leaves.count_ones()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_hashes_are_numbered_in_the_order_in_which_events_complete_them() {
        let (mut next, mut last) = (0, None);
        for seq in (1..5_000).filter_map(Seq::new) {
            assert_eq!(TreeHash::kept_by(Size::new(seq.leaf_index())), next);
            for index in TreeHash::completed_by(seq) {
                assert!(last < Some(index));
                last = Some(index);
                assert_eq!(TreeHash::place_of(index), Some((seq, next)), "{index}");
                next += 1;
            }
        }
        let kept = (0..=last.unwrap()).filter(|index| TreeHash::place_of(*index).is_some());
        assert_eq!(u64::try_from(kept.count()), Ok(next), "no other index is one of a kept hash");
    }

    #[test]
    fn the_edge_of_a_tree_is_the_last_hash_of_each_level_that_has_an_odd_number() {
        for size in (0..5_000).map(Size::new) {
            let edge: Vec<_> = TreeHash::edge_of(size).collect();
            // A hash of the edge is completed by the last event below it, and by no later one.
            let ends: Vec<_> = edge.iter().map(|index| TreeHash::place_of(*index)).collect();
            let mut left = size.get() / BLOCK_EVENTS;
            for (index, end) in edge.iter().zip(ends).rev() {
                let level = left.trailing_zeros();
                let (end, _) = end.unwrap();
                assert_eq!(end.get(), left * BLOCK_EVENTS, "{size}");
                let completed = TreeHash::completed_by(end);
                assert_eq!(completed.start + u64::from(level), *index, "{size}");
                left &= left - 1;
            }
            assert_eq!(left, 0, "{size}");
        }
        assert!(TreeHash::edge_of(Size::new(u64::MAX)).count() > 0);
    }

    #[test]
    fn no_index_and_no_size_is_too_large() {
        let largest = TreeHash::place_of(INDEX_MAX - 1);
        assert!(largest.is_none_or(|(seq, number)| seq.get() < INDEX_MAX && number < INDEX_MAX));
        assert_eq!(TreeHash::place_of(INDEX_MAX), None);
        assert_eq!(TreeHash::place_of(u64::MAX), None);
        assert!(TreeHash::kept_by(Size::new(u64::MAX)) > 0);
        assert!(TreeHash::completed_by(Seq::new(u64::MAX).unwrap()).is_empty());
    }
}
