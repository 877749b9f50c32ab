//! One journal by itself, with groups that a test writes as it likes.

use super::*;
use crate::{
    ids::{Head, Size},
    store::Group,
};
use journal::{ALIGN, DATA_AT, FILE_BYTES_MAX, GROUP_HEAD, Header, Journal, Spare, record_bytes};
use scan::{Rest, Scan};
use sector::narrow;

const BYTES: u64 = 16 << 10;
/// The places of the numbers in a group record.
const COUNT: usize = 4;
const NONCE: usize = 8;
const FIRST: usize = 16;
const LENGTH: usize = 32;
const CRC_BEFORE: usize = 36;

/// A journal that follows event 4, and where each of its groups begins.
struct Written {
    dir: TempDir,
    path: PathBuf,
    starts: Vec<usize>,
}

fn empty(dir: &Path, bytes: u64) -> Journal {
    let (ledger, before) = (LedgerId([3; 16]), head_at(4));
    let header = Header { ledger, nonce: 77, before, bytes: 0 };
    Spare::prepare(dir, 1, bytes).unwrap().write_header(header).unwrap().publish().unwrap()
}

/// Groups of one frame each, the first of them event 5, which say that so much was durable.
fn written(synced: &[u64]) -> Written {
    let dir = TempDir::new().unwrap();
    let mut journal = empty(dir.path(), BYTES);
    let mut starts = vec![DATA_AT];
    for (number, synced) in (5..).zip(synced) {
        let frames = [frame_of(number)];
        let group =
            Group { first: seq(number), frames: &frames, root: root_at(number), tree_hashes: &[] };
        journal.write(&group, *synced).unwrap();
        starts.push(starts.last().unwrap() + record_bytes(&frames));
    }
    Written { path: journal.path.clone(), dir, starts }
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Changes one group, and returns the number of whole groups and the rest.
    fn changed(&self, group: usize, change: impl FnOnce(&mut [u8])) -> (usize, Rest) {
        let mut bytes = self.bytes();
        let record = &mut bytes[self.starts[group]..self.starts[group + 1]];
        change(record);
        let scan = Scan::of(&self.path, bytes).unwrap();
        (scan.groups.len(), scan.rest)
    }
}

/// Puts the checksum of a record right.
fn vouch(record: &mut [u8]) {
    let frames = u32::from_le_bytes(record[LENGTH..LENGTH + 4].try_into().unwrap()) as usize;
    let (body, crc) = record.split_at_mut(GROUP_HEAD + frames);
    crc[..4].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
}

#[test]
fn a_group_is_where_its_length_says_and_the_file_tells_when_it_is_full() {
    let dir = TempDir::new().unwrap();
    let mut journal = empty(dir.path(), BYTES);
    assert!(journal.is_empty() && !journal.is_half_full());
    assert!(journal.fits(narrow(BYTES) - DATA_AT));
    assert!(!journal.fits(narrow(BYTES) - DATA_AT + 1));
    let mut end = DATA_AT;
    for number in 5.. {
        let frames = [vec![1; narrow(number) * 3], Vec::new(), vec![2; 100]];
        let bytes = record_bytes(&frames);
        if !journal.fits(bytes) {
            break;
        }
        let first = seq(3 * number - 10);
        journal
            .write(&Group { first, frames: &frames, root: root_at(9), tree_hashes: &[] }, 4)
            .unwrap();
        end += bytes;
        assert_eq!((bytes % ALIGN, journal.is_empty()), (0, false));
        assert_eq!(journal.is_half_full(), end > narrow(BYTES) / 2, "{end}");
        let scan = Scan::read(&journal.path).unwrap();
        assert_eq!((scan.end(), scan.rest), (end, Rest::Zero));
        assert_eq!(scan.frames().last(), Some((seq(3 * number - 8), frames[2].as_slice())));
    }
    assert!(journal.is_half_full());
}

#[test]
fn a_group_counts_only_if_all_that_it_says_holds() {
    let journal = written(&[4, 5, 6]);
    assert_eq!(journal.changed(1, |_| ()), (3, Rest::Zero));
    // The group behind it is whole: it vouches for what was durable before it.
    let bad = (1, Rest::Bad { witness: 6 });
    assert_eq!(journal.changed(1, |record| record[0] ^= 1), bad, "magic");
    for place in [COUNT, NONCE, FIRST, CRC_BEFORE] {
        let change = |record: &mut [u8]| {
            record[place] ^= 2;
            vouch(record);
        };
        assert_eq!(journal.changed(1, change), bad, "number at {place}");
    }
    let none = |record: &mut [u8]| {
        record[COUNT..COUNT + 4].fill(0);
        record[LENGTH..LENGTH + 4].fill(0);
        vouch(record);
        record[GROUP_HEAD + 4..].fill(0);
    };
    assert_eq!(journal.changed(1, none), bad, "no frames");
    assert_eq!(journal.changed(1, |record| record[GROUP_HEAD + 5] ^= 1), bad, "checksum");
    let padded = |record: &mut [u8]| *record.last_mut().unwrap() = 1;
    let frame = frame_of(6).len();
    assert!(!(GROUP_HEAD + 8 + frame).is_multiple_of(ALIGN), "there is padding");
    assert_eq!(journal.changed(1, padded), bad, "padding");
}

#[test]
fn behind_a_bad_group_the_one_that_says_most_counts() {
    for (synced, witness) in [([4, 9, 6], 9), ([4, 6, 9], 9), ([4, 0, 0], 0)] {
        let journal = written(&synced);
        let bad = journal.changed(0, |record| record[GROUP_HEAD + 5] ^= 1);
        assert_eq!(bad, (0, Rest::Bad { witness }));
    }
    let last = written(&[4, 5]).changed(1, |record| record[GROUP_HEAD + 5] ^= 1);
    assert_eq!(last, (1, Rest::Bad { witness: 0 }), "there is nothing behind it");
}

#[test]
fn a_journal_tells_of_the_sizes_at_which_its_groups_end_and_of_no_other() {
    let journal = written(&[4, 5]);
    let scan = Scan::read(&journal.path).unwrap();
    assert_eq!(scan.after(), head_at(6));
    for size in 4..=6 {
        assert_eq!(scan.agrees_with(head_at(size)), Some(true), "{size}");
        let other = Head { size: Size::new(size), root: root_at(1) };
        assert_eq!(scan.agrees_with(other), Some(false), "{size}");
    }
    assert_eq!((scan.agrees_with(head_at(3)), scan.agrees_with(head_at(7))), (None, None));
    assert!(scan.check_ends(head_at(6)).is_ok());
    for next in [head_at(5), head_at(7), Head { size: Size::new(6), root: root_at(1) }] {
        assert!(matches!(scan.check_ends(next), Err(Error::Damaged { seq: Some(at), .. })
            if at == seq(5)));
    }
}

#[test]
fn a_scan_checks_every_group_and_keeps_those_behind_a_size() {
    let journal = written(&[4, 5, 6]);
    let scan = Scan::read_after(&journal.path, 5).unwrap();
    let numbers: Vec<_> = scan.frames().map(|(seq, _)| seq.get()).collect();
    assert_eq!((numbers, scan.after()), (vec![6, 7], head_at(7)));
    assert_eq!(scan.agrees_with(head_at(5)), Some(true), "where the first that is kept begins");
    assert_eq!(scan.agrees_with(head_at(4)), None, "it is not known any more");
    assert_eq!(scan.bytes_after(6), frame_of(7).len() as u64);
    let mut bytes = journal.bytes();
    bytes[journal.starts[0] + GROUP_HEAD + 5] ^= 1;
    fs::write(&journal.path, bytes).unwrap();
    let scan = Scan::read_after(&journal.path, 5).unwrap();
    assert_eq!((scan.after(), scan.rest), (head_at(4), Rest::Bad { witness: 6 }));
}

#[test]
fn groups_of_every_length_are_read_through_windows() {
    let dir = TempDir::new().unwrap();
    let mut journal = empty(dir.path(), 4 << 20);
    let (mut number, mut lengths) = (5, Vec::new());
    for len in [1, 250 << 10, 30 << 10, 700 << 10, 0, 256 << 10, 3] {
        let frames = [vec![7; len]];
        let group =
            Group { first: seq(number), frames: &frames, root: root_at(number), tree_hashes: &[] };
        journal.write(&group, number - 1).unwrap();
        lengths.push(len);
        number += 1;
    }
    let scan = Scan::read(&journal.path).unwrap();
    assert_eq!((scan.after(), scan.rest), (head_at(number - 1), Rest::Zero));
    assert_eq!(scan.frames().map(|(_, frame)| frame.len()).collect::<Vec<_>>(), lengths);
}

#[test]
fn what_is_missing_was_durable_if_head_or_a_later_group_says_so() {
    let journal = written(&[4, 5, 9]);
    let whole = Scan::read(&journal.path).unwrap();
    assert!(whole.judge(0).is_ok() && whole.judge(7).is_ok());
    assert!(matches!(whole.judge(8), Err(Error::LostTail { expected: 8, found: 7 })));
    let torn = |witness| {
        let journal = written(&[4, 5, witness]);
        let mut bytes = journal.bytes();
        bytes[journal.starts[1]] ^= 1;
        Scan::of(&journal.path, bytes).unwrap()
    };
    assert!(torn(5).judge(5).is_ok());
    for refused in [torn(5).judge(6), torn(6).judge(0)] {
        assert!(matches!(refused, Err(Error::Damaged { seq: Some(at), .. }) if at == seq(6)));
    }
}

#[test]
fn a_torn_end_is_zeroed_and_a_short_file_is_made_as_long_as_it_was() {
    let torn = written(&[4, 5]);
    let mut sound = torn.bytes();
    sound[torn.starts[1]..].fill(0);
    let mut damaged = torn.bytes();
    damaged[torn.starts[1] + GROUP_HEAD] ^= 1;
    fs::write(&torn.path, &damaged).unwrap();
    let scan = Scan::read(&torn.path).unwrap();
    assert!(scan.is_whole());
    let mut journal = scan.into_journal(5).unwrap();
    assert_eq!(torn.bytes(), sound);
    let frames = [frame_of(6)];
    let group = Group { first: seq(6), frames: &frames, root: root_at(6), tree_hashes: &[] };
    journal.write(&group, 5).unwrap();
    assert_eq!(Scan::read(&torn.path).unwrap().after(), head_at(6));

    let short = written(&[4, 5]);
    let sound = short.bytes();
    fs::write(&short.path, &sound[..sound.len() - 1]).unwrap();
    let scan = Scan::read(&short.path).unwrap();
    assert!(!scan.is_whole());
    scan.into_journal(6).unwrap();
    assert_eq!(short.bytes(), sound);
}

/// After a failed sync the system's pages may be in memory only: reading shows them, and the disk
/// has something else.
#[test]
fn groups_that_nobody_has_synced_are_written_once_more_and_no_others() {
    let journal = written(&[4, 5, 6]);
    let sound = journal.bytes();
    let lost = |starts: &[usize]| {
        let mut bytes = sound.clone();
        for at in starts {
            bytes[*at..*at + 4].fill(0);
        }
        bytes
    };
    let [first, second, third, _] = journal.starts[..] else { panic!("three groups") };
    for (synced, stays_lost) in
        [(4, vec![]), (5, vec![first]), (6, vec![first, second]), (7, vec![first, second, third])]
    {
        fs::write(&journal.path, &sound).unwrap();
        let scan = Scan::read(&journal.path).unwrap();
        fs::write(&journal.path, lost(&[first, second, third])).unwrap();
        scan.make_durable(synced).unwrap();
        assert!(journal.bytes() == lost(&stays_lost), "synced up to {synced}");
    }
}

#[test]
fn a_journal_longer_than_any_is_refused_unread() {
    let journal = written(&[4]);
    let file = fs::File::options().write(true).open(&journal.path).unwrap();
    file.set_len(FILE_BYTES_MAX + 1).unwrap();
    let refused = Scan::read(&journal.path).unwrap_err();
    assert!(refused.to_string().contains("no journal has over"), "{refused}");
    assert!(journal.dir.path().is_dir());
}

// Reading one of this size takes a gibibyte.
#[test]
fn a_journal_may_have_the_largest_size_and_none_above() {
    let path = Path::new("00000000000000000005.journal");
    scan::check_length(FILE_BYTES_MAX, path).unwrap();
    assert!(scan::check_length(FILE_BYTES_MAX + 1, path).is_err());
}

#[test]
fn a_header_may_say_the_largest_size_and_none_above() {
    let header = |bytes: u64| {
        let mut body = vec![3; 16];
        body.extend_from_slice(&77_u64.to_le_bytes());
        sector::put_head(&mut body, head_at(4));
        body.extend_from_slice(&bytes.to_le_bytes());
        sector::encode(*b"TLJRNL\r\n", &body)
    };
    let path = Path::new("00000000000000000005.journal");
    let largest = Header::decode(&header(FILE_BYTES_MAX), path).unwrap();
    assert_eq!((largest.bytes, largest.before), (FILE_BYTES_MAX, head_at(4)));
    assert!(Header::decode(&header(FILE_BYTES_MAX + 1), path).is_err());
}

#[test]
fn a_spare_that_is_not_needed_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let spare = Spare::prepare(dir.path(), 2, BYTES).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    spare.discard();
    assert!(files(dir.path()).is_empty());
}

/// The checksum that the first group names of its header was once over the header with its own
/// checksum: that is the same for every header, so the group would have followed any.
#[test]
fn the_first_group_follows_one_header_only() {
    const SIZE_BEFORE: usize = 8 + 4 + 16 + 8;
    const ROOT_BEFORE: usize = SIZE_BEFORE + 8;
    let journal = written(&[4, 5]);
    let mut bytes = journal.bytes();
    assert_eq!(Scan::of(&journal.path, bytes.clone()).unwrap().groups.len(), 2);
    bytes[ROOT_BEFORE] ^= 1;
    let checksum = crc32c::crc32c(&bytes[..508]);
    bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
    let scan = Scan::of(&journal.path, bytes).unwrap();
    assert_eq!(scan.groups.len(), 0, "the header is sound, and is another");
}
