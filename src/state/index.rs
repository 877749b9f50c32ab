//! The place of each row of a roster, by the hash of its id.
//!
//! Rows are only added, so most places never change. They are in one flat table that all versions
//! of a state share, where a search costs one memory access. A persistent map, where a search costs
//! one access for each level, holds only the newer rows. When it is a quarter of the table, a new
//! table takes both in. While the table has no other owner, rows go into it directly.

use imbl::{GenericHashMap, shared_ptr::DefaultSharedPtr};
use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// The smallest number of rows for which a new table is made.
const RECENT_MIN: usize = 1_024;
/// The number of slots of the smallest table.
const SLOTS_MIN: usize = 16;

/// Hashes of ids and the places of their rows.
#[derive(Clone, Default)]
pub(super) struct Index {
    settled: Arc<Table>,
    /// The hash of an id, or the first free number after it, and the place of its row. Only used
    /// for lookups: an unordered iteration could reach a result.
    recent: GenericHashMap<u64, usize, BuildHasherDefault<Hashed>, DefaultSharedPtr>,
}

/// The free place for an id that is not there. Invalid as soon as another id is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    hash: u64,
    /// The first number that is free in `recent`.
    free: u64,
}

impl Index {
    /// The first place with this hash for which `row` has an answer, and the answer; or the free
    /// place for the id. Places are never removed, so the first free slot ends the search.
    pub(super) fn find<R>(
        &self,
        hash: u64,
        row: impl Fn(usize) -> Option<R>,
    ) -> Result<(usize, R), Slot> {
        let here = |place| row(place).map(|row| (place, row));
        if let Some(found) = self.settled.places(hash).find_map(here) {
            return Ok(found);
        }
        let mut free = hash;
        while let Some(place) = self.recent.get(&free) {
            if let Some(found) = here(*place) {
                return Ok(found);
            }
            free = free.wrapping_add(1);
        }
        Err(Slot { hash, free })
    }

    /// Makes room for so many places, unless the table has other owners.
    pub(super) fn reserve(&mut self, places: usize) {
        if let Some(table) = Arc::get_mut(&mut self.settled) {
            *table = table.with_room_for(places.max(table.len));
        }
    }

    /// Adds the next place. `hash_of` gives the hashes of earlier places when they are needed.
    pub(super) fn push(&mut self, slot: Slot, place: usize, hash_of: impl Fn(usize) -> u64) {
        if self.recent.is_empty()
            && let Some(table) = Arc::get_mut(&mut self.settled)
        {
            return table.insert(slot.hash, place);
        }
        self.recent.insert(slot.free, place);
        if self.recent.len() >= RECENT_MIN.max(self.settled.len / 4) {
            let mut table = self.settled.with_room_for(place + 1);
            (self.settled.len..=place).for_each(|place| table.insert(hash_of(place), place));
            self.settled = Arc::new(table);
            self.recent = GenericHashMap::default();
        }
    }
}

/// An open hash table: an entry is in its slot, or in the first free one after it.
#[derive(Default)]
struct Table {
    /// A power of two of them, at least half of them free.
    slots: Vec<Entry>,
    len: usize,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The low half of the hash: it gives the slot, and tells most other ids apart without a look
    /// at their rows.
    hash: u32,
    /// The place plus one; 0 for a free slot. No memory holds four thousand million rows.
    place: u32,
}

impl Table {
    /// The same entries with room for `rows`.
    fn with_room_for(&self, rows: usize) -> Self {
        let slots = (2 * rows).next_power_of_two().max(SLOTS_MIN);
        let mut table = Self { slots: vec![Entry::default(); slots], len: 0 };
        let taken = self.slots.iter().filter(|entry| entry.place > 0);
        taken.for_each(|entry| table.put(*entry));
        table
    }

    /// Every place whose hash may be this one.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> {
        let hash = low(hash);
        let entries = self.probe(hash).map_while(|at| self.slots.get(at));
        let taken = entries.take_while(|entry| entry.place > 0);
        taken.filter(move |entry| entry.hash == hash).map(|entry| wide(entry.place) - 1)
    }

    fn insert(&mut self, hash: u64, place: usize) {
        if self.slots.len() < 2 * (self.len + 1) {
            *self = self.with_room_for(2 * (self.len + 1));
        }
        let place = u32::try_from(place + 1).unwrap_or(u32::MAX);
        self.put(Entry { hash: low(hash), place });
    }

    fn put(&mut self, entry: Entry) {
        let mut probe = self.probe(entry.hash);
        let free = probe.find(|at| self.slots.get(*at).is_some_and(|slot| slot.place == 0));
        drop(probe);
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = entry;
            self.len += 1;
        }
    }

    /// The slot of a hash and the slots after it, around the end.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len().wrapping_sub(1);
        let first = wide(hash);
        (0..self.slots.len()).map(move |step| first.wrapping_add(step) & mask)
    }
}

fn low(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A hasher for numbers that are hashes already: it returns them unchanged.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose hashes are often the same, at both ends of the range.
    fn hash_of(place: usize) -> u64 {
        u64::MAX.wrapping_add(u64::try_from(place % 700).unwrap_or(0) * 3)
    }

    fn add(index: &mut Index, place: usize) {
        match index.find(hash_of(place), |found| (found == place).then_some(())) {
            Ok(_) => panic!("{place} is there before it came"),
            Err(slot) => index.push(slot, place, hash_of),
        }
    }

    fn check(index: &Index, rows: usize) {
        for place in 0..rows + 100 {
            let found = index.find(hash_of(place), |found| (found == place).then_some(()));
            assert_eq!(found.is_ok(), place < rows, "{place} of {rows}");
        }
    }

    #[test]
    fn every_place_is_found_in_every_version() {
        let mut index = Index::default();
        let mut versions = Vec::new();
        for place in 0..3 * RECENT_MIN {
            if place % 300 == 0 || place == RECENT_MIN + 300 {
                versions.push((index.clone(), place));
            }
            add(&mut index, place);
        }
        versions.push((index, 3 * RECENT_MIN));
        for (index, rows) in &versions {
            check(index, *rows);
        }
    }

    #[test]
    fn ids_are_told_apart_by_their_hashes() {
        let mut table = Table::default();
        (0..100).for_each(|place| table.insert(u64::try_from(place).unwrap_or(0), place));
        for place in 0..100 {
            let hash = 7 << 32 | u64::try_from(place).unwrap_or(0);
            assert_eq!(table.places(hash).collect::<Vec<_>>(), [place]);
        }
        let mut hasher = Hashed::default();
        hasher.write(&[1, 2]);
        assert_eq!(hasher.finish(), 0x102);
        hasher.write_u64(9);
        assert_eq!(hasher.finish(), 9);
    }

    #[test]
    fn at_least_half_of_the_slots_are_free_and_never_far_more() {
        let mut table = Table::default();
        for place in 0..1_000 {
            table.insert(u64::try_from(place).unwrap_or(0), place);
            let (rows, slots) = (place + 1, table.slots.len());
            assert!(slots.is_power_of_two() && slots >= 2 * rows, "{slots} for {rows}");
            assert!(slots <= SLOTS_MIN.max(8 * rows), "{slots} for {rows}");
        }
        let mut index = Index::default();
        add(&mut index, 0);
        index.reserve(5_000);
        assert_eq!(index.settled.slots.len(), 16_384);
        index.reserve(0);
        check(&index, 1);
    }

    #[test]
    fn a_table_that_is_shared_takes_in_what_came_since_when_that_is_much() {
        let mut index = Index::default();
        (0..100).for_each(|place| add(&mut index, place));
        let _held = index.clone();
        (100..100 + RECENT_MIN - 1).for_each(|place| add(&mut index, place));
        assert_eq!((index.settled.len, index.recent.len()), (100, RECENT_MIN - 1));
        add(&mut index, 100 + RECENT_MIN - 1);
        assert_eq!((index.settled.len, index.recent.len()), (100 + RECENT_MIN, 0));
        check(&index, 100 + RECENT_MIN);
    }

    #[test]
    fn alone_it_settles_at_once_and_shared_it_leaves_the_table_alone() {
        let mut index = Index::default();
        for place in 0..100 {
            add(&mut index, place);
        }
        assert_eq!((index.settled.len, index.recent.len()), (100, 0));
        let before = index.clone();
        add(&mut index, 100);
        assert_eq!((index.settled.len, index.recent.len()), (100, 1));
        check(&before, 100);
    }
}
