//! Claims about saved states.

use super::{Error, Place, open, seq};

/// A store saves nothing by itself.
pub fn a_new_store_has_no_snapshots(mut place: impl Place) {
    assert_eq!(open(&mut place).snapshots.list().unwrap(), []);
}

/// A snapshot may be any bytes, of any length.
pub fn a_snapshot_loads_as_it_was_saved(mut place: impl Place) {
    let opened = open(&mut place);
    let large: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (at, bytes) in [(1, &b"small"[..]), (2, &[]), (u64::MAX, &large)] {
        opened.snapshots.save(seq(at), bytes).unwrap();
        assert!(opened.snapshots.load(seq(at)).unwrap() == bytes, "snapshot {at}");
    }
}

/// Parts are read without the rest, also after the snapshot was removed.
pub fn a_snapshot_is_read_in_parts(mut place: impl Place) {
    let opened = open(&mut place);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    opened.snapshots.save(seq(7), &bytes).unwrap();
    let parts = opened.snapshots.parts(seq(7)).unwrap();
    opened.snapshots.remove(seq(7)).unwrap();
    assert_eq!(parts.size(), 100_000);
    for (from, to) in [(0, 512), (99_000, 100_000), (1, 1), (65_000, 66_000), (0, 100_000)] {
        let offset = u64::try_from(from).unwrap();
        assert!(parts.read(offset, to - from).unwrap() == bytes[from..to], "{from} to {to}");
    }
    assert_eq!(parts.read(99_990, 1_000).unwrap(), bytes[99_990..], "fewer at the end");
    assert_eq!(parts.read(99_990, usize::MAX).unwrap(), bytes[99_990..]);
    assert!(parts.read(u64::MAX, 8).unwrap().is_empty());
    assert!(matches!(opened.snapshots.parts(seq(7)), Err(Error::Io { .. })));
}

/// The order counts, since an opening tries the newest first.
pub fn snapshots_are_listed_oldest_first(mut place: impl Place) {
    let opened = open(&mut place);
    for at in [200, 9, 1_000, 10] {
        opened.snapshots.save(seq(at), b"state").unwrap();
    }
    assert_eq!(opened.snapshots.list().unwrap(), [9, 10, 200, 1_000].map(seq));
}

/// There is one state at a number, so there is one snapshot.
pub fn a_snapshot_saved_again_replaces_the_first(mut place: impl Place) {
    let opened = open(&mut place);
    opened.snapshots.save(seq(5), b"a longer first one").unwrap();
    opened.snapshots.save(seq(5), b"second").unwrap();
    assert_eq!(opened.snapshots.list().unwrap(), [seq(5)]);
    assert_eq!(opened.snapshots.load(seq(5)).unwrap(), b"second");
}

/// A missing snapshot is not the same as an empty one.
pub fn loading_a_missing_snapshot_is_an_error(mut place: impl Place) {
    let opened = open(&mut place);
    opened.snapshots.save(seq(5), b"").unwrap();
    assert!(matches!(opened.snapshots.load(seq(4)), Err(Error::Io { .. })));
}

/// A snapshot to remove may be gone already.
pub fn removing_a_snapshot_twice_is_no_error(mut place: impl Place) {
    let opened = open(&mut place);
    opened.snapshots.save(seq(5), b"state").unwrap();
    opened.snapshots.save(seq(6), b"state").unwrap();
    opened.snapshots.remove(seq(5)).unwrap();
    opened.snapshots.remove(seq(5)).unwrap();
    assert_eq!(opened.snapshots.list().unwrap(), [seq(6)]);
}

/// A state of no use is not offered to the next opening.
pub fn a_snapshot_that_is_set_aside_is_not_listed(mut place: impl Place) {
    let opened = open(&mut place);
    opened.snapshots.save(seq(5), b"state").unwrap();
    opened.snapshots.save(seq(6), b"no state").unwrap();
    opened.snapshots.set_aside(seq(6)).unwrap();
    opened.snapshots.set_aside(seq(6)).unwrap();
    assert_eq!(opened.snapshots.list().unwrap(), [seq(5)]);
    opened.snapshots.save(seq(6), b"a state").unwrap();
    assert_eq!(opened.snapshots.load(seq(6)).unwrap(), b"a state");
}

/// `Ok` means durable, and a removed snapshot does not come back after a crash.
pub fn snapshots_survive_loss_of_power(mut place: impl Place) {
    let opened = open(&mut place);
    opened.snapshots.save(seq(5), b"five").unwrap();
    opened.snapshots.save(seq(6), b"six").unwrap();
    opened.snapshots.remove(seq(5)).unwrap();
    let _ = place.cut_power(opened);
    let opened = open(&mut place);
    assert_eq!(opened.snapshots.list().unwrap(), [seq(6)]);
    assert_eq!(opened.snapshots.load(seq(6)).unwrap(), b"six");
}
