//! Sizes that follow the size of the log: a small ledger takes little space, and a large one changes
//! its journal seldom.
//!
//! Plain arithmetic, in bytes. The size of a log is that of its journals, and twice that of its
//! archives, which take about half of what was in the journal.

use crate::store::disk::{
    files::{
        journal::{self, DATA_AT},
        sector::{narrow, wide},
    },
    options::DiskOptions,
};

/// The first journal of a ledger, and the smallest, unless the options want smaller ones.
const JOURNAL_BYTES_MIN: u64 = 256 << 10;
/// The least and the most bytes of full journals that start a flush.
const FULL_BYTES: [u64; 2] = [1 << 20, 64 << 20];
/// The least and the most free space without which sled may not write: some of its segments, and
/// more than it takes to write a leaf again and again.
const MARGIN_BYTES: [u64; 2] = [3 << 20, 16 << 20];
/// The bytes that an append can take without a wait, at most.
const AT_EASE_BYTES_MAX: u64 = 1 << 20;
/// The space without which sled is not opened: a segment of it, which the first opening takes, and many
/// times what it was seen to need beside that.
pub(crate) const ENGINE_BYTES: u64 = 576 << 10;
/// The least and the most of the reserve that only an opening gives up.
const OPENING_BYTES: [u64; 2] = [ENGINE_BYTES, 8 << 20];
/// The files of a new ledger beside its journal and its reserve.
const OTHER_FILES_BYTES: u64 = 128 << 10;

/// The size of the next journal of a log of `log` bytes: about half as much, in steps of two.
pub(crate) fn journal_bytes(options: &DiskOptions, log: u64) -> u64 {
    let max = options.journal_bytes.min(journal::FILE_BYTES_MAX);
    let half = (log / 2).checked_ilog2().map_or(0, |bits| 1 << bits);
    half.max(JOURNAL_BYTES_MIN).min(max)
}

/// The size of the smallest journal with room for a group of `record` bytes.
pub(crate) fn least_journal_bytes(options: &DiskOptions, record: usize) -> u64 {
    journal_bytes(options, 0).max(wide(DATA_AT + record).next_multiple_of(4096))
}

/// The size of the reserve beside a log of `log` bytes, without its newest journal: that of this
/// journal, or what an opening needs.
pub(crate) fn reserve_bytes(options: &DiskOptions, log: u64) -> u64 {
    let [opening, _] = OPENING_BYTES;
    journal_bytes(options, log).max(opening).min(options.reserve_bytes)
}

/// The part of a reserve that only an opening gives up.
pub(crate) fn opening_bytes(reserve: u64) -> u64 {
    let [min, max] = OPENING_BYTES;
    (reserve / 4).clamp(min, max).min(reserve)
}

/// The bytes that an append can take without a wait; with less room, `append_may_wait` is true.
pub(crate) fn at_ease_bytes(journal: u64) -> usize {
    narrow(AT_EASE_BYTES_MAX.min(journal / 4))
}

/// The bytes of full journals that start a flush: a flush takes ten syncs, whatever it moves.
pub(crate) fn full_bytes(options: &DiskOptions, log: u64) -> u64 {
    let [min, max] = FULL_BYTES;
    (log / 4).clamp(min.min(options.journal_bytes), max)
}

/// The free space without which sled may not write, if its own snapshot has `snapshot` bytes: it
/// writes the next one beside it.
pub(crate) fn margin_bytes(snapshot: u64) -> u64 {
    let [min, max] = MARGIN_BYTES;
    snapshot.saturating_mul(2).saturating_add(min).min(max)
}

/// The space that a new ledger takes.
pub(crate) fn new_ledger_bytes(options: &DiskOptions) -> u64 {
    journal_bytes(options, 0) + reserve_bytes(options, 0) + OTHER_FILES_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    #[test]
    fn journals_grow_with_the_log_and_there_are_sixteen_of_them_before_the_largest() {
        let options = DiskOptions::default();
        let (mut log, mut sizes) = (0, Vec::new());
        while sizes.last() != Some(&(32 * MIB)) {
            sizes.push(journal_bytes(&options, log));
            log += sizes.last().unwrap();
        }
        let expected = [256, 256, 256, 256, 512, 512, 1024, 1024, 2048, 2048, 4096, 4096];
        assert_eq!(sizes[..12], expected.map(|kib| kib * KIB));
        assert_eq!(sizes.len(), 17);
        assert_eq!(log - 32 * MIB, 64 * MIB);
        assert_eq!(journal_bytes(&options, u64::MAX), 32 * MIB);
    }

    // No journal is made that could not be read again.
    #[test]
    fn the_options_are_upper_bounds() {
        let small = DiskOptions::default().journal_bytes(64 * KIB).reserve_bytes(4096);
        for log in [0, MIB, u64::MAX] {
            assert_eq!(journal_bytes(&small, log), 64 * KIB);
            assert_eq!(reserve_bytes(&small, log), 4096);
        }
        assert_eq!(full_bytes(&small, 0), 64 * KIB);
        let large = DiskOptions::default().journal_bytes(u64::MAX);
        assert_eq!(journal_bytes(&large, u64::MAX), journal::FILE_BYTES_MAX);
        assert_eq!(reserve_bytes(&large, u64::MAX), 32 * MIB);
    }

    #[test]
    fn a_group_larger_than_a_journal_makes_a_larger_one() {
        let options = DiskOptions::default();
        assert_eq!(least_journal_bytes(&options, 0), 256 * KIB);
        assert_eq!(least_journal_bytes(&options, narrow(256 * KIB)), 260 * KIB);
    }

    #[test]
    fn a_new_ledger_takes_less_than_a_mebibyte() {
        assert_eq!(new_ledger_bytes(&DiskOptions::default()), 960 * KIB);
    }

    #[test]
    fn an_append_is_at_ease_in_a_quarter_of_a_journal() {
        let bytes = [256 * KIB, 2 * MIB, 4 * MIB, 32 * MIB].map(at_ease_bytes);
        assert_eq!(bytes, [64 << 10, 512 << 10, 1 << 20, 1 << 20]);
    }

    #[test]
    fn full_journals_start_a_flush_once_they_are_a_quarter_of_the_log() {
        let options = DiskOptions::default();
        let bytes = [0, 4 * MIB, 100 * MIB, u64::MAX].map(|log| full_bytes(&options, log));
        assert_eq!(bytes, [MIB, MIB, 25 * MIB, 64 * MIB]);
    }

    #[test]
    fn the_margin_of_sealing_grows_with_the_file_that_sled_writes_again() {
        let bytes = [0, MIB, 6 * MIB, 7 * MIB, u64::MAX].map(margin_bytes);
        assert_eq!(bytes, [3, 5, 15, 16, 16].map(|mib| mib * MIB));
    }

    #[test]
    fn a_quarter_of_the_reserve_and_a_segment_of_sled_at_least_are_for_an_opening_alone() {
        let usual = DiskOptions::default();
        let [new, large] = [0, 64 * MIB].map(|log| reserve_bytes(&usual, log));
        assert_eq!([new, large], [576 * KIB, 32 * MIB]);
        let sizes = [4096, new, MIB, 4 * MIB, large, 1 << 40].map(opening_bytes);
        assert_eq!(sizes, [4096, new, new, MIB, 8 * MIB, 8 * MIB]);
    }
}
