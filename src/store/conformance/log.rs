//! Claims about appending, syncing and reading.

use super::{Error, FrameLog, Group, Place, Trouble};
use super::{append_at, assert_holds, fill, frame, head, open, read_from, root, seq};
use crate::ids::Head;

/// A new log is empty, and gives the empty head.
pub fn an_empty_log_has_the_empty_head(mut place: impl Place) {
    let opened = open(&mut place);
    assert_eq!(opened.log.written(), Head::EMPTY);
    assert_eq!(opened.log.synced(), Head::EMPTY);
    assert_eq!(opened.log.sealed(), Head::EMPTY);
    assert_eq!(opened.log.erased_upto(), None);
    assert_eq!(opened.log.reserved(), 0);
    assert_eq!(opened.log.read(seq(1), 100).unwrap(), Vec::<Vec<u8>>::new());
}

/// A read does not wait for a sync.
pub fn a_group_is_readable_at_once(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[1]);
    assert_holds(&*opened.log, 1);
    fill(&*opened.log, &[7, 1, 30]);
    assert_holds(&*opened.log, 39);
}

/// A refused append leaves no trace.
pub fn append_past_the_next_number_changes_nothing(mut place: impl Place) {
    let opened = open(&mut place);
    let refused = append_at(&*opened.log, 2, 1).unwrap_err();
    assert!(matches!(refused, Error::NotNext { at, next } if at == seq(2) && next == seq(1)));
    assert_eq!(opened.log.written(), Head::EMPTY);
    fill(&*opened.log, &[3]);
    assert_holds(&*opened.log, 3);
}

/// A number is used once.
pub fn append_at_a_taken_number_changes_nothing(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[3]);
    let other = [b"other".to_vec(), b"frames".to_vec()];
    let group = Group { first: seq(3), frames: &other, root: root(9), tree_hashes: &[] };
    let refused = opened.log.append(group).unwrap_err();
    assert!(matches!(refused, Error::NotNext { at, next } if at == seq(3) && next == seq(4)));
    assert_holds(&*opened.log, 3);
}

/// A sync returns the head that it reached, which is the whole log.
pub fn a_sync_reaches_what_is_written(mut place: impl Place) {
    let opened = open(&mut place);
    assert_eq!(opened.log.sync().unwrap(), Head::EMPTY);
    fill(&*opened.log, &[2, 3]);
    assert!(opened.log.synced().size <= 5);
    assert_eq!(opened.log.sync().unwrap(), head(5));
    assert_eq!(opened.log.synced(), head(5));
    fill(&*opened.log, &[1]);
    assert!(opened.log.synced().size >= 5);
    assert_holds(&*opened.log, 6);
}

/// A read may start at any frame, whether it is sealed, synced or neither.
pub fn every_frame_reads_back_from_every_number(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[16, 1, 20]);
    opened.log.sync().unwrap();
    opened.log.flush().unwrap();
    fill(&*opened.log, &[40]);
    opened.log.sync().unwrap();
    fill(&*opened.log, &[25]);
    for from in 1..=102 {
        let expected: Vec<_> = (from..=102).map(frame).collect();
        assert!(read_from(&*opened.log, from) == expected, "reading from {from}");
    }
}

/// The limit of a read is in bytes, but a frame larger than the limit can still be read.
pub fn a_read_gives_what_fits_and_at_least_one_frame(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[60]);
    opened.log.sync().unwrap();
    assert_eq!(opened.log.read(seq(1), 0).unwrap(), [frame(1)]);
    assert_eq!(opened.log.read(seq(50), 19_000).unwrap(), [frame(50)]);
    let two = frame(1).len() + frame(2).len();
    assert_eq!(opened.log.read(seq(1), two).unwrap(), [frame(1), frame(2)]);
    assert_eq!(opened.log.read(seq(1), two - 1).unwrap(), [frame(1)]);
    assert_eq!(opened.log.read(seq(58), usize::MAX).unwrap(), [frame(58), frame(59), frame(60)]);
}

/// The end is no error: a follower stands there most of the time.
pub fn a_read_past_the_end_gives_nothing(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[17]);
    assert_eq!(opened.log.read(seq(18), 100).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(opened.log.read(seq(u64::MAX), 100).unwrap(), Vec::<Vec<u8>>::new());
}

/// A reader on another thread sees the log grow by whole groups and never change.
pub fn readers_see_whole_groups_while_one_thread_appends(mut place: impl Place) {
    const GROUPS: u64 = 60;
    let opened = open(&mut place);
    let log = &*opened.log;
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for group in 1..=GROUPS {
                fill(log, &[3]);
                if group % 7 == 0 {
                    log.sync().unwrap();
                }
                if group % 20 == 0 {
                    log.flush().unwrap();
                }
            }
        });
        threads.spawn(|| read_until(log, 3 * GROUPS));
        threads.spawn(|| read_until(log, 3 * GROUPS));
    });
}

fn read_until(log: &dyn FrameLog, end: u64) {
    let mut seen = 0;
    while seen < end {
        let written = log.written();
        assert_eq!(written, head(written.size.get()));
        assert_eq!(written.size.get() % 3, 0, "part of a group can be seen");
        assert!(written.size >= seen, "the log shrank");
        for number in seen + 1..=written.size.get() {
            assert_eq!(log.read(seq(number), 0).unwrap(), [frame(number)]);
        }
        seen = written.size.get();
        std::thread::yield_now();
    }
}

/// A reserved number is raised ahead of need, and set back when none of it can have been lost.
pub fn a_reserved_number_is_what_it_was_set_to_last(mut place: impl Place) {
    for numbers in [&[20, 500][..], &[70_000, 21]] {
        let opened = open(&mut place);
        for number in numbers {
            opened.log.reserve(*number).unwrap();
            assert_eq!(opened.log.reserved(), *number);
        }
        let _ = place.cut_power(opened);
        assert_eq!(Some(&open(&mut place).log.reserved()), numbers.last());
    }
}

/// After closing, nothing more is written by this value.
pub fn a_closed_log_is_halted(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[2]);
    opened.log.close().unwrap();
    assert!(matches!(append_at(&*opened.log, 3, 1), Err(Error::Halted)));
    assert!(matches!(opened.log.sync(), Err(Error::Halted)));
    assert!(matches!(opened.log.flush(), Err(Error::Halted)));
    assert!(matches!(opened.log.reserve(9), Err(Error::Halted)));
    drop(opened);
    assert_holds(&*open(&mut place).log, 2);
}

/// After a failed write nothing is acknowledged until the store is opened again. Earlier frames can
/// still be read, and the failed group is there whole or not at all.
pub fn a_failed_write_halts_the_log(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[2]);
    opened.log.sync().unwrap();
    if !place.make(Trouble::FailedWrite) {
        return;
    }
    assert!(matches!(append_at(&*opened.log, 3, 5), Err(Error::Io { .. })));
    assert_halted(&*opened.log, 2);
    place.crash(opened);
    check_opens_again(place, &[2, 7]);
}

/// As after a failed write: a second sync could succeed without the data.
pub fn a_failed_sync_halts_the_log(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[2]);
    opened.log.sync().unwrap();
    fill(&*opened.log, &[5]);
    if !place.make(Trouble::FailedSync) {
        return;
    }
    assert!(matches!(opened.log.sync(), Err(Error::Io { .. })));
    assert_eq!(opened.log.synced(), head(2), "a failed sync has synced nothing");
    assert_halted(&*opened.log, 7);
    place.crash(opened);
    check_opens_again(place, &[2, 7]);
}

fn assert_halted(log: &dyn FrameLog, size: u64) {
    let next = log.written().size.get() + 1;
    assert!(matches!(append_at(log, next, 1), Err(Error::Halted)));
    assert!(matches!(log.sync(), Err(Error::Halted)));
    assert_holds(log, size);
}

/// Checks that the log, opened again, has one of these sizes and takes more.
fn check_opens_again(mut place: impl Place, sizes: &[u64]) {
    let opened = open(&mut place);
    let size = opened.log.written().size;
    assert!(sizes.contains(&size.get()), "{size} frames, not one of {sizes:?}");
    fill(&*opened.log, &[1, 4]);
    opened.log.sync().unwrap();
    assert_holds(&*opened.log, size.get() + 5);
}

/// An append to a full disk is refused before anything is written, and is no failure.
pub fn an_append_without_space_changes_nothing(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[2]);
    if !place.make(Trouble::NoSpace) {
        return;
    }
    let refused = append_at(&*opened.log, 3, 5).unwrap_err();
    assert!(matches!(refused, Error::Full { .. }) && refused.is_retryable());
    assert_holds(&*opened.log, 2);
    assert!(place.make(Trouble::Space));
    fill(&*opened.log, &[5]);
    assert_eq!(opened.log.sync().unwrap(), head(7));
    assert_holds(&*opened.log, 7);
}
