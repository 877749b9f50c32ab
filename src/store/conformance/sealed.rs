//! Claims about the sealed store: flushes, tree hashes and erasure.

use super::{
    Error, FrameLog, Place, assert_holds, assert_marks, fill, frame, head, open, tree_hash,
};
use super::{read_from, seq};
use crate::store::RewriteError;

/// Sealing waits for the sync, never the sync for sealing.
pub fn a_checkpoint_seals_what_is_synced(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[20]);
    opened.log.sync().unwrap();
    opened.log.flush().unwrap();
    assert_eq!(opened.log.sealed(), head(20));
    fill(&*opened.log, &[3]);
    opened.log.flush().unwrap();
    assert!(opened.log.sealed().size <= opened.log.synced().size);
    opened.log.sync().unwrap();
    opened.log.flush().unwrap();
    assert_eq!(opened.log.sealed(), head(23));
}

/// A read does not show where a frame is kept.
pub fn a_checkpoint_changes_no_frame_and_no_mark(mut place: impl Place) {
    let opened = open(&mut place);
    for groups in [[5, 11, 1], [15, 16, 17], [1, 1, 33]] {
        let sizes = fill(&*opened.log, &groups);
        opened.log.sync().unwrap();
        opened.log.flush().unwrap();
        assert_holds(&*opened.log, sizes[2]);
        assert_marks(&*opened.log, sizes[2]);
    }
}

/// A tree hash can be read as soon as its group can. A hash that was never given is not there.
pub fn marks_read_back(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[4, 30]);
    assert_marks(&*opened.log, 34);
    assert_eq!(opened.log.tree_hash(1).unwrap(), None);
    assert_eq!(opened.log.tree_hash(u64::MAX).unwrap(), None);
}

/// After a crash the tree hashes after the sealed head are given again. Then all of them are there
/// as before.
pub fn marks_after_the_sealed_head_are_given_again(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[10, 10]);
    opened.log.sync().unwrap();
    opened.log.flush().unwrap();
    fill(&*opened.log, &[10, 10]);
    opened.log.sync().unwrap();
    place.crash(opened);
    let opened = place.open();
    let sealed = opened.log.sealed().size;
    assert!(sealed >= 20, "what a checkpoint sealed stays sealed");
    assert_marks(&*opened.log, sealed.get());
    opened.log.resume((sealed.get() + 1..=40).filter_map(tree_hash).collect()).unwrap();
    assert_marks(&*opened.log, 40);
    fill(&*opened.log, &[8]);
    opened.log.sync().unwrap();
    opened.log.flush().unwrap();
    assert_marks(&*opened.log, 48);
}

/// Frames up to a number are replaced as the caller says, the others stay. Heads and tree hashes do
/// not move.
pub fn erasing_replaces_what_it_is_told_to(mut place: impl Place) {
    let opened = open(&mut place);
    fill_and_seal_some(&*opened.log);
    opened.log.erase(seq(40), &erased).unwrap();
    assert_eq!(opened.log.erased_upto(), Some(seq(40)));
    assert_erased(&*opened.log, 40, 45);
    fill(&*opened.log, &[2]);
    assert_erased(&*opened.log, 40, 47);
}

/// Erasure survives crashes and loss of power.
pub fn erased_frames_stay_erased(mut place: impl Place) {
    let opened = open(&mut place);
    fill_and_seal_some(&*opened.log);
    opened.log.erase(seq(21), &erased).unwrap();
    place.crash(opened);
    let opened = open(&mut place);
    assert_eq!(opened.log.erased_upto(), Some(seq(21)));
    assert_erased(&*opened.log, 21, 45);
    opened.log.flush().unwrap();
    let _ = place.cut_power(opened);
    let opened = open(&mut place);
    assert_eq!(opened.log.erased_upto(), Some(seq(21)));
    assert_erased(&*opened.log, 21, 45);
}

/// An erasure that was stopped half way is repeated. Frames that it erased already do no harm.
pub fn erasing_twice_is_erasing_once(mut place: impl Place) {
    let opened = open(&mut place);
    fill_and_seal_some(&*opened.log);
    opened.log.erase(seq(30), &erased).unwrap();
    opened.log.erase(seq(30), &erased).unwrap();
    assert_erased(&*opened.log, 30, 45);
    opened.log.erase(seq(45), &erased).unwrap();
    assert_erased(&*opened.log, 45, 45);
    assert_eq!(opened.log.erased_upto(), Some(seq(45)));
}

/// An erasure that has not reached every frame does not count as done, and can be done again.
pub fn a_frame_that_cannot_be_rewritten_stops_the_erasure(mut place: impl Place) {
    let opened = open(&mut place);
    fill_and_seal_some(&*opened.log);
    let stops = |at: crate::ids::Seq, frame: &[u8]| match at.get() {
        30 => Err("its checksum does not hold".into()),
        _ => erased(at, frame),
    };
    let error = opened.log.erase(seq(45), &stops).unwrap_err();
    let Error::Damaged { seq: Some(at), detail, .. } = &error else { panic!("{error}") };
    assert!(*at == seq(30) && detail.to_string().contains("its checksum does not hold"), "{error}");
    assert_eq!(opened.log.erased_upto(), None);
    assert_eq!(opened.log.read(seq(30), 1).unwrap(), [frame(30)]);
    opened.log.erase(seq(45), &erased).unwrap();
    assert_erased(&*opened.log, 45, 45);
}

/// An orderly end leaves every frame readable, and what it has not sealed can be sealed later.
pub fn closing_leaves_what_the_next_opening_seals(mut place: impl Place) {
    let opened = open(&mut place);
    fill(&*opened.log, &[18, 5]);
    opened.log.close().unwrap();
    drop(opened);
    let opened = place.open();
    let sealed = opened.log.sealed().size.get();
    assert!(sealed == 0 || sealed == 23, "all of it, or nothing: {sealed}");
    assert_holds(&*opened.log, 23);
    opened.log.resume((sealed + 1..=23).filter_map(tree_hash).collect()).unwrap();
    assert_marks(&*opened.log, 23);
    opened.log.flush().unwrap();
    assert_eq!(opened.log.sealed(), head(23));
    assert_holds(&*opened.log, 23);
    assert_marks(&*opened.log, 23);
}

/// 45 frames: 33 sealed, 12 synced only.
fn fill_and_seal_some(log: &dyn FrameLog) {
    fill(log, &[33]);
    log.sync().unwrap();
    log.flush().unwrap();
    fill(log, &[4, 8]);
    log.sync().unwrap();
}

/// Every third frame and the large ones lose their text. Their number is in their first bytes.
fn erased(at: crate::ids::Seq, frame: &[u8]) -> Result<Option<Vec<u8>>, RewriteError> {
    if frame[..8] != at.get().to_le_bytes() {
        return Err(format!("the frame does not go with its number {at}").into());
    }
    let goes = at.get().is_multiple_of(3) && frame.len() > 8;
    Ok(goes.then(|| frame[..8].to_vec()))
}

#[track_caller]
fn assert_erased(log: &dyn FrameLog, upto: u64, size: u64) {
    assert_eq!(log.written(), head(size));
    let short = |number: u64| number <= upto && number.is_multiple_of(3);
    let expected = |n| if short(n) { n.to_le_bytes().to_vec() } else { frame(n) };
    assert!(read_from(log, 1) == (1..=size).map(expected).collect::<Vec<_>>());
    assert_marks(log, size);
}
