//! Claims about the state after the end of a process or a loss of power.

use super::{Place, Trouble, assert_holds, assert_marks, fill, head, open, seq};

/// A crash of the process loses nothing that an append answered `Ok` to.
pub fn a_crash_keeps_every_written_group(mut place: impl Place) {
    let mut size = 0;
    for groups in [[1, 2, 3], [20, 1, 30], [16, 16, 16]] {
        let opened = open(&mut place);
        assert_holds(&*opened.log, size);
        fill(&*opened.log, &groups[..2]);
        opened.log.sync().unwrap();
        size = fill(&*opened.log, &groups[2..])[0];
        place.crash(opened);
    }
    assert_holds(&*open(&mut place).log, size);
}

/// The promise of the ledger: what was acknowledged survives.
pub fn a_power_cut_keeps_every_synced_group(mut place: impl Place) {
    for round in 0..12 {
        let opened = open(&mut place);
        fill(&*opened.log, &[1, round % 5 + 1]);
        let synced = opened.log.sync().unwrap().size;
        if round % 4 == 3 {
            opened.log.flush().unwrap();
        }
        fill(&*opened.log, &[2, 9]);
        if !place.cut_power(opened) {
            return;
        }
        let opened = open(&mut place);
        let left = opened.log.written().size;
        assert!(left >= synced, "{synced} frames were durable, {left} are left");
        assert_holds(&*opened.log, left.get());
        place.crash(opened);
    }
}

/// Groups that were not synced may be there or not, but whole and from the front.
pub fn a_power_cut_keeps_whole_groups_in_order(mut place: impl Place) {
    for round in 0..16 {
        let opened = open(&mut place);
        let before = opened.log.written().size;
        let mut sizes = fill(&*opened.log, &[3, 1 + round, 2, 25, 1]);
        sizes.push(before.get());
        if !place.cut_power(opened) {
            return;
        }
        let opened = open(&mut place);
        let left = opened.log.written().size;
        assert!(sizes.contains(&left.get()), "{left} frames end within a group: {sizes:?}");
        assert_holds(&*opened.log, left.get());
        assert_marks(&*opened.log, left.get());
        place.crash(opened);
    }
}

/// An opening shows nothing that a power cut could still take away: readers act on what they see.
pub fn what_an_opening_finds_is_durable(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[4, 4]);
    place.crash(opened);
    let opened = open(&mut place);
    assert_eq!(opened.log.synced(), head(8));
    if !place.cut_power(opened) {
        return;
    }
    assert_holds(&*open(&mut place).log, 8);
}

/// After a failed sync the system may hold pages that it takes for written but are not: they can be
/// read, a second sync succeeds, and the next power cut takes them away. So an opening must write
/// such pages again before it relies on them.
pub fn a_failed_sync_is_not_made_good_by_opening(mut place: impl Place) {
    for round in 0..12 {
        let opened = open(&mut place);
        fill(&*opened.log, &[3, 3 + round]);
        if !place.make(Trouble::FailedSync) {
            return;
        }
        opened.log.sync().unwrap_err();
        place.crash(opened);
        let opened = open(&mut place);
        let promised = opened.log.synced().size;
        assert_eq!(opened.log.sync().unwrap().size, promised);
        if !place.cut_power(opened) {
            return;
        }
        let opened = open(&mut place);
        let left = opened.log.written().size;
        assert!(left >= promised, "{promised} frames were durable, {left} are left");
        assert_holds(&*opened.log, left.get());
        place.crash(opened);
    }
}

/// The values beside the frames survive with them.
pub fn a_crash_keeps_marks_erasure_and_reservation(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[20]);
    opened.log.sync().unwrap();
    opened.log.reserve(77).unwrap();
    opened.log.erase(seq(20), &|_, _| Ok(None)).unwrap();
    fill(&*opened.log, &[20]);
    place.crash(opened);
    let opened = open(&mut place);
    assert_eq!(opened.log.reserved(), 77);
    assert_eq!(opened.log.erased_upto(), Some(seq(20)));
    assert_holds(&*opened.log, 40);
    assert_marks(&*opened.log, 40);
}
