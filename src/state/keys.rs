//! The idempotency keys of the last events that had one.
//!
//! Every event with a key adds one and forgets one, at unrelated places of a map. In one persistent
//! map a commit would copy a node for each of them. So only the newest keys are in a map. Older
//! ones are in blocks that never change and are forgotten whole; four small blocks become one large
//! one. Most keys in lookups are new, and are looked up in each of these.

use crate::ids::{Key, Seq};
use ahash::RandomState;
use imbl::{GenericHashMap, Vector, shared_ptr::DefaultSharedPtr};
use std::sync::Arc;

/// The number of idempotency keys that are remembered; the oldest are forgotten first.
pub const KEYS_MAX: usize = 65_536;

/// The number of keys in a block: few, so that the map of the newest stays small.
const BLOCK_KEYS: usize = 4_096;
/// The number of blocks that become a large one, so that a lookup meets at most 8.
const MERGED_BLOCKS: usize = 4;

/// The last [`KEYS_MAX`] idempotency keys and their events.
#[derive(Clone, Default)]
pub(super) struct Keys {
    /// The blocks, oldest first. In the first one, the first `forgotten` keys do not count any
    /// more.
    blocks: Vector<Arc<Block>>,
    /// The number of keys in blocks, including those that do not count.
    settled: usize,
    forgotten: usize,
    newest: Vector<(Key, Seq)>,
    newest_seqs: GenericHashMap<Key, Seq, RandomState, DefaultSharedPtr>,
    /// A random state, since callers choose the keys: no caller may know which of them share a
    /// slot.
    hasher: RandomState,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Keys {}

impl Keys {
    /// The newest event that had this key.
    pub(super) fn get(&self, key: &Key) -> Option<Seq> {
        if let Some(seq) = self.newest_seqs.get(key) {
            return Some(*seq);
        }
        let hash = self.hasher.hash_one(key);
        let mut newest_first = self.blocks.iter().enumerate().rev();
        newest_first.find_map(|(number, block)| {
            let forgotten = if number == 0 { self.forgotten } else { 0 };
            block.get(key, hash, forgotten)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.settled - self.forgotten + self.newest.len()
    }

    /// The keys, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Seq)> {
        let blocks = self.blocks.iter().flat_map(|block| &block.keys).skip(self.forgotten);
        blocks.chain(&self.newest).copied()
    }

    /// Adds one key, and forgets the oldest if there are too many.
    pub(super) fn push(&mut self, key: Key, seq: Seq) {
        self.newest.push_back((key, seq));
        self.newest_seqs.insert(key, seq);
        if self.newest.len() == BLOCK_KEYS {
            self.settle();
        }
        if self.len() > KEYS_MAX {
            self.forgotten += 1;
        }
        if self.blocks.head().is_some_and(|oldest| self.forgotten == oldest.keys.len()) {
            self.blocks.pop_front();
            self.settled -= self.forgotten;
            self.forgotten = 0;
        }
    }

    /// Makes a block of the newest keys, together with the small blocks before if there are enough.
    fn settle(&mut self) {
        let is_small = |block: &&Arc<Block>| block.keys.len() == BLOCK_KEYS;
        let small = self.blocks.iter().rev().take_while(is_small).count();
        let merged = if small + 1 == MERGED_BLOCKS { small } else { 0 };
        let before = self.blocks.split_off(self.blocks.len() - merged);
        let keys = before.iter().flat_map(|block| &block.keys).chain(&self.newest);
        self.blocks.push_back(Arc::new(Block::new(keys.copied().collect(), &self.hasher)));
        self.settled += self.newest.len();
        self.newest = Vector::new();
        self.newest_seqs = GenericHashMap::default();
    }
}

/// Keys in the order of arrival, and their places.
struct Block {
    keys: Vec<(Key, Seq)>,
    /// Each key is in its slot or the first free one after it. Half of the slots stay empty, so
    /// that a search is short.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// Other bits of the hash: they tell most keys apart without looking at them.
    tag: u16,
    /// The place of a key, plus one; 0 for none.
    place: u16,
}

impl Block {
    fn new(keys: Vec<(Key, Seq)>, hasher: &RandomState) -> Self {
        let mut entries = vec![Entry::default(); 2 * keys.len()];
        // Later keys first: of two equal keys, the search finds the newer one.
        for ((key, _), place) in keys.iter().zip(1..=u16::MAX).rev() {
            let (slot, tag) = slot_and_tag(hasher.hash_one(key), entries.len());
            let is_free = |at: &usize| entries.get(*at).is_some_and(|entry| entry.place == 0);
            let free = probe(slot, entries.len()).find(is_free);
            if let Some(free) = free.and_then(|at| entries.get_mut(at)) {
                *free = Entry { tag, place };
            }
        }
        Self { keys, entries }
    }

    /// The event of a key with this hash, unless it is among the first `forgotten`.
    fn get(&self, key: &Key, hash: u64, forgotten: usize) -> Option<Seq> {
        let (slot, tag) = slot_and_tag(hash, self.entries.len());
        for at in probe(slot, self.entries.len()) {
            let entry = self.entries.get(at)?;
            let place = usize::from(entry.place).checked_sub(1)?;
            if entry.tag == tag
                && let Some((_, seq)) = self.keys.get(place).filter(|(found, _)| found == key)
            {
                return (place >= forgotten).then_some(*seq);
            }
        }
        None
    }
}

/// The slot of a key with this hash in a block of `slots` slots, a power of two, and its tag there.
fn slot_and_tag(hash: u64, slots: usize) -> (usize, u16) {
    let slot = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & slots.wrapping_sub(1);
    (slot, u16::try_from(hash >> 48).unwrap_or(0))
}

/// A slot and the slots after it, around the end.
fn probe(slot: usize, slots: usize) -> impl Iterator<Item = usize> {
    (slot..slots).chain(0..slot)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    fn numbered(number: usize) -> (Key, Seq) {
        let number = u64::try_from(number).unwrap() + 1;
        let mut key = [7; 16];
        key.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
        (Key(key), Seq::new(number).unwrap())
    }

    fn filled(count: usize) -> Keys {
        let mut keys = Keys::default();
        (0..count).map(numbered).for_each(|(key, seq)| keys.push(key, seq));
        keys
    }

    #[test]
    fn the_last_keys_are_found_and_no_older_one() {
        for count in [1, BLOCK_KEYS, KEYS_MAX, KEYS_MAX + 1, KEYS_MAX + BLOCK_KEYS + 3] {
            let keys = filled(count);
            assert_eq!(keys.len(), count.min(KEYS_MAX));
            assert_eq!(keys.iter().count(), keys.len());
            let first = count - keys.len();
            for number in (0..count).filter(|n| n % 97 == 0 || n.abs_diff(first) < 3) {
                let (key, seq) = numbered(number);
                assert_eq!(keys.get(&key), (number >= first).then_some(seq), "{number} of {count}");
            }
        }
    }

    #[test]
    fn there_are_few_blocks_to_look_into() {
        let mut keys = Keys::default();
        for number in 0..KEYS_MAX + 5 * BLOCK_KEYS {
            let (key, seq) = numbered(number);
            keys.push(key, seq);
            assert!(keys.newest.len() < BLOCK_KEYS);
            assert!(keys.blocks.len() <= 8, "{} after {number}", keys.blocks.len());
        }
        let sizes: Vec<_> = keys.blocks.iter().map(|block| block.keys.len() / BLOCK_KEYS).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 1]);
    }

    #[test]
    fn a_key_is_looked_for_by_both_ends_of_its_hash() {
        assert_eq!(slot_and_tag(0xabcd_0000_0000_0123, 16), (3, 0xabcd));
        assert_eq!(slot_and_tag(0xabcd_ffff_0000_0123, 4_096), (0x123, 0xabcd));
        let probed: Vec<_> = probe(2, 4).collect();
        assert_eq!(probed, [2, 3, 0, 1]);
        let block = Block::new(vec![numbered(0), numbered(1)], &RandomState::new());
        assert_eq!(block.entries.len(), 4, "half of the slots stay empty");
    }

    #[test]
    fn what_was_forgotten_leaves_no_trace() {
        let mut again = Keys::default();
        let keys = filled(KEYS_MAX + 100);
        keys.iter().for_each(|(key, seq)| again.push(key, seq));
        assert!(keys == again);
        again.push(numbered(3).0, Seq::FIRST);
        assert!(keys != again);
    }

    #[test]
    fn of_a_key_that_came_twice_the_newer_event_is_found() {
        for between in [1, BLOCK_KEYS, MERGED_BLOCKS * BLOCK_KEYS] {
            let mut keys = filled(BLOCK_KEYS - 2);
            let (key, _) = numbered(0);
            let seq = Seq::new(1 << 40).unwrap();
            keys.push(key, seq);
            (1..=between).map(|n| numbered(KEYS_MAX + n)).for_each(|(k, s)| keys.push(k, s));
            assert_eq!(keys.get(&key), Some(seq));
        }
    }
}
