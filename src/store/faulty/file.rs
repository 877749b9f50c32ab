//! A file as a device and a system keep it: the bytes that can be read, the bytes that are durable,
//! and the sectors that the system knows to differ.

use std::collections::BTreeSet;

/// The bytes that a device writes at once. Fewer than on any real one, so that small groups are
/// torn too.
const SECTOR_BYTES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct File {
    /// The bytes that a process reads.
    live: Vec<u8>,
    /// The bytes that survive loss of power.
    durable: Vec<u8>,
    /// Sectors that a sync will write. A failed sync empties this set too: the system then takes
    /// them for written, though they may not be.
    dirty: BTreeSet<usize>,
}

impl File {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.live
    }

    /// Writes behind the end.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let start = self.live.len();
        self.live.extend_from_slice(bytes);
        self.dirty.extend(sectors(start, self.live.len()));
    }

    /// Writes everything again as it is.
    pub(super) fn touch(&mut self) {
        self.dirty.extend(sectors(0, self.live.len()));
    }

    /// Cuts the end off. The next sync makes that durable.
    pub(super) fn truncate_live(&mut self, len: usize) {
        self.live.truncate(len);
        self.dirty.extend(sectors(len, len + 1));
    }

    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.store(sector, SECTOR_BYTES);
        }
        self.durable.truncate(self.live.len());
    }

    /// Writes some sectors to the device, and forgets the others, as the system does.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.dirty) {
            if random.below(2) == 0 {
                self.store(sector, SECTOR_BYTES);
            }
        }
    }

    /// Keeps the durable bytes, and of the rest the part that a device could have written by now:
    /// nothing, nearly all, or for each sector by itself nothing, all or a part.
    pub(super) fn cut_power(&mut self, random: &mut Random) {
        let mood = random.below(3);
        for sector in std::mem::take(&mut self.dirty) {
            let reached = match (mood, random.below(10)) {
                (0, _) | (1, 0) | (2, 0..3) => 0,
                (1, _) | (2, 3..6) => SECTOR_BYTES,
                _ => random.below(SECTOR_BYTES),
            };
            self.store(sector, reached);
        }
        self.live = self.durable.clone();
    }

    /// Replaces the contents durably: written beside, synced, renamed.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        self.durable.clone_from(&bytes);
        self.live = bytes;
        self.dirty.clear();
    }

    pub(super) fn flip(&mut self, at: usize, mask: u8) {
        for byte in [self.live.get_mut(at), self.durable.get_mut(at)].into_iter().flatten() {
            *byte ^= mask;
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.live.truncate(len);
        self.durable.truncate(len);
    }

    /// Makes the first `len` bytes of a sector durable. Bytes before it that never were durable
    /// read as zeros.
    fn store(&mut self, sector: usize, len: usize) {
        let start = sector * SECTOR_BYTES;
        let from = self.live.get(start..).unwrap_or_default();
        let from = from.get(..len.min(from.len())).unwrap_or_default();
        if from.is_empty() {
            return;
        }
        let end = start + from.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        if let Some(to) = self.durable.get_mut(start..end) {
            to.copy_from_slice(from);
        }
    }
}

fn sectors(start: usize, end: usize) -> std::ops::Range<usize> {
    start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)
}

/// Choices that depend on a seed (`SplitMix64`).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from((z ^ (z >> 31)) % end).unwrap_or_default()
    }
}
