//! Claims about reading beside a writer.
//!
//! Each claim gets an empty [`Home`].

use super::{append_at, frame, head, root, seq, tree_hash};
use crate::{
    ids::{LedgerId, NodeId, Seq, TreeHash},
    store::{Error, FrameRead, Home, Identity, Opened, Replay, Role},
};

fn identity() -> Identity {
    Identity::new(LedgerId([1; 16]), NodeId([2; 16]))
}

/// A store that is open, with so many durable frames.
fn opened(home: &impl Home, count: u64) -> Opened {
    let opened = home.create(identity()).unwrap();
    opened.log.resume(Vec::new()).unwrap();
    append_synced(&opened, count);
    opened
}

/// Appends frames in groups of three, and syncs.
fn append_synced(opened: &Opened, upto: u64) {
    let mut next = opened.log.written().size.get() + 1;
    while next <= upto {
        let count = (upto + 1 - next).min(3);
        append_at(&*opened.log, next, count).unwrap();
        next += count;
    }
    opened.log.sync().unwrap();
}

/// Opens the store again.
fn reopened(home: &impl Home) -> Opened {
    let opened = home.open().unwrap();
    let after = opened.log.sealed().size.get() + 1;
    let missing = (after..=opened.log.written().size.get()).filter_map(tree_hash).collect();
    opened.log.resume(missing).unwrap();
    opened
}

/// Asserts that exactly the first `size` frames are shown, as they were written.
#[track_caller]
fn assert_shows(look: &dyn FrameRead, size: u64) {
    assert_eq!(look.shown(), head(size));
    assert_eq!(look.shortfall(), None);
    let mut frames = Vec::new();
    loop {
        let next = seq(u64::try_from(frames.len()).unwrap() + 1);
        let some = look.read(next, 4096).unwrap();
        if some.is_empty() {
            break;
        }
        frames.extend(some);
    }
    assert_eq!(frames, (1..=size).map(frame).collect::<Vec<_>>());
}

/// Looking never creates.
pub fn where_nothing_is_nothing_is_seen(home: impl Home) {
    assert!(matches!(home.look(), Err(Error::NotFound { .. })));
    assert!(matches!(home.open(), Err(Error::NotFound { .. })), "looking has made something");
}

/// An unfinished copy cannot be read: none of it was acknowledged.
pub fn a_copy_in_the_making_is_not_shown(home: impl Home) {
    let copying = Identity { role: Role::Copying, ..identity() };
    let opened = home.create(copying).unwrap();
    assert!(matches!(home.look(), Err(Error::Unfinished { .. })));
    opened.node.set_identity(identity()).unwrap();
    assert_eq!(home.look().unwrap().identity, Some(identity()));
}

/// Beside the writer, every synced frame is shown.
pub fn what_was_synced_is_shown(home: impl Home) {
    let opened = opened(&home, 0);
    assert_shows(&*home.look().unwrap().log, 0);
    for size in [1, 2, 5, 40, 200] {
        append_synced(&opened, size);
        assert_shows(&*home.look().unwrap().log, size);
    }
}

/// A frame that may be lost with the power is not shown, but counted. In some stores a written
/// frame is durable at once.
pub fn what_was_not_synced_is_not_shown(home: impl Home) {
    let opened = opened(&home, 20);
    append_at(&*opened.log, 21, 4).unwrap();
    append_at(&*opened.log, 25, 1).unwrap();
    let look = home.look().unwrap().log;
    let durable = opened.log.synced().size.get();
    assert_shows(&*look, durable);
    assert_eq!(look.pending(), 25 - durable);
    assert_eq!(look.refresh().unwrap(), head(durable));
    opened.log.sync().unwrap();
    assert_eq!(look.refresh().unwrap(), head(25));
    assert_eq!(look.pending(), 0);
    assert_shows(&*look, 25);
}

/// A read may begin anywhere.
pub fn a_look_reads_from_every_number(home: impl Home) {
    let _opened = opened(&home, 150);
    let look = home.look().unwrap().log;
    for number in 1..=150 {
        assert_eq!(look.read(seq(number), 1).unwrap(), [frame(number)], "{number}");
    }
    assert_eq!(look.read(seq(151), 1).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(look.read(Seq::new(u64::MAX).unwrap(), 1).unwrap(), Vec::<Vec<u8>>::new());
}

/// A read gives as many frames as fit, and at least one.
pub fn a_look_gives_what_fits_and_at_least_one_frame(home: impl Home) {
    let _opened = opened(&home, 60);
    let look = home.look().unwrap().log;
    for number in 1..=60 {
        for bytes_max in [0, 1_000, 5_000] {
            let frames = look.read(seq(number), bytes_max).unwrap();
            let bytes: usize = frames.iter().map(Vec::len).sum();
            assert!(frames.len() == 1 || (!frames.is_empty() && bytes <= bytes_max));
        }
    }
}

/// A look changes only when that is asked for.
pub fn a_look_stays_until_it_is_refreshed(home: impl Home) {
    let opened = opened(&home, 20);
    let look = home.look().unwrap().log;
    append_synced(&opened, 300);
    assert_shows(&*look, 20);
    assert_eq!(look.refresh().unwrap(), head(300));
    assert_shows(&*look, 300);
    assert_eq!(look.refresh().unwrap(), head(300), "nothing is new");
}

/// A look outlives the opening that it began beside.
pub fn a_look_goes_on_over_closing_and_opening(home: impl Home) {
    let first = opened(&home, 120);
    let look = home.look().unwrap().log;
    first.log.close().unwrap();
    drop(first);
    assert_eq!(look.refresh().unwrap(), head(120));
    assert_shows(&*look, 120);
    let second = reopened(&home);
    append_synced(&second, 240);
    assert_eq!(look.refresh().unwrap(), head(240));
    assert_shows(&*look, 240);
    assert_eq!(look.root_at(head(240).size).unwrap(), Some(root(240)));
}

/// The hash tree of the claims, with hashes made up from the numbers.
struct MadeUp(u64);

impl Replay for MadeUp {
    fn push(&mut self, at: Seq, _: &[u8]) -> Result<Vec<TreeHash>, Error> {
        self.0 = at.get();
        Ok(tree_hash(self.0).into_iter().collect())
    }

    fn root(&self) -> crate::ids::Root {
        root(self.0)
    }
}

/// A rebuild changes nothing that is shown.
pub fn a_look_goes_on_over_a_rebuild(home: impl Home) {
    opened(&home, 90).log.close().unwrap();
    let look = home.look().unwrap().log;
    home.rebuild(&mut MadeUp(0)).unwrap();
    assert_shows(&*look, 90);
    assert_eq!(look.refresh().unwrap(), head(90));
    append_synced(&reopened(&home), 100);
    assert_eq!(look.refresh().unwrap(), head(100));
}

/// A frame that is shown stays as it is until it is erased, and then has the new bytes.
pub fn a_shown_frame_changes_only_by_erasing(home: impl Home) {
    let opened = opened(&home, 100);
    let look = home.look().unwrap().log;
    opened.log.flush().unwrap();
    assert_shows(&*look, 100);
    let gone = |number| number == 7 || number == 99;
    opened.log.erase(seq(100), &|at, _| Ok(gone(at.get()).then(|| b"erased".to_vec()))).unwrap();
    assert_eq!(look.refresh().unwrap(), head(100));
    for number in 1..=100 {
        let expected = if gone(number) { b"erased".to_vec() } else { frame(number) };
        assert_eq!(look.read(seq(number), 1).unwrap(), [expected], "{number}");
    }
}

/// Looks are taken beside each other and beside a writer, and neither waits for the other.
pub fn a_look_hinders_no_writer(home: impl Home) {
    let opened = opened(&home, 10);
    let looks: Vec<_> = (0..5).map(|_| home.look().unwrap().log).collect();
    append_synced(&opened, 200);
    opened.log.flush().unwrap();
    opened.log.close().unwrap();
    drop(opened);
    let again = reopened(&home);
    append_synced(&again, 210);
    for look in looks {
        assert_shows(&*look, 10);
        assert_eq!(look.refresh().unwrap(), head(210));
        assert_shows(&*look, 210);
    }
}

/// The saved states of a look can be loaded, and neither saved nor removed.
pub fn a_look_saves_nothing(home: impl Home) {
    let opened = opened(&home, 20);
    opened.snapshots.save(seq(20), b"a state").unwrap();
    let looked = home.look().unwrap();
    assert_eq!(looked.snapshots.list().unwrap(), [seq(20)]);
    assert_eq!(looked.snapshots.load(seq(20)).unwrap(), b"a state");
    let parts = looked.snapshots.parts(seq(20)).unwrap();
    assert_eq!((parts.size(), parts.read(2, 3).unwrap()), (7, b"sta".to_vec()));
    assert!(looked.snapshots.parts(seq(19)).is_err());
    assert!(looked.snapshots.save(seq(19), b"another").is_err());
    assert!(looked.snapshots.remove(seq(20)).is_err());
    assert!(looked.snapshots.load(seq(19)).is_err());
    assert_eq!(opened.snapshots.list().unwrap(), [seq(20)]);
}
