//! Claims about a place that holds a store: creation, identity, inspection, rebuilding.
//!
//! Each claim gets an empty [`Home`].

use super::{append_at, frame, head, read_from, root, seq, tree_hash};
use crate::{
    ids::{Epoch, LedgerId, NodeId, Root, Seq, TreeHash},
    store::{Error, Evidence, Home, Identity, Opened, Replay, Role},
};
use std::ops::ControlFlow;

fn identity() -> Identity {
    Identity::new(LedgerId([1; 16]), NodeId([2; 16]))
}

fn copying() -> Identity {
    Identity { role: Role::Copying, ..identity() }
}

/// Appends `count` frames durably, and drops the store.
fn fill(opened: Opened, count: u64) {
    let after = opened.log.sealed().size.get() + 1;
    let missing = (after..=opened.log.written().size.get()).filter_map(tree_hash).collect();
    opened.log.resume(missing).unwrap();
    append_at(&*opened.log, opened.log.written().size.get() + 1, count).unwrap();
    opened.log.sync().unwrap();
    opened.log.close().unwrap();
}

/// Opening never creates.
pub fn where_nothing_is_nothing_opens(home: impl Home) {
    assert!(matches!(home.open(), Err(Error::NotFound { .. })));
    assert!(matches!(home.inspect(), Err(Error::NotFound { .. })));
    assert!(matches!(home.open(), Err(Error::NotFound { .. })), "looking has made something");
}

/// A created store can be opened again, with its identity.
pub fn a_created_store_opens_again(home: impl Home) {
    let created = home.create(identity()).unwrap();
    assert_eq!(created.log.written(), head(0));
    assert_eq!(created.node.identity(), identity());
    fill(created, 20);
    let opened = home.open().unwrap();
    assert_eq!(opened.node.identity(), identity());
    assert_eq!(read_from(&*opened.log, 1), (1..=20).map(frame).collect::<Vec<_>>());
}

/// A creation over a store changes nothing in it.
pub fn creating_over_a_store_is_refused(home: impl Home) {
    fill(home.create(identity()).unwrap(), 20);
    assert!(matches!(home.create(identity()), Err(Error::Exists { .. })));
    assert_eq!(home.open().unwrap().log.written(), head(20));
}

/// Every field of an identity is kept.
pub fn an_identity_is_what_it_was_set_to_last(home: impl Home) {
    let epoch = Epoch { number: 3, nonce: 9 };
    let standby = Identity { role: Role::Standby, promised: Some(epoch), ..identity() };
    let fenced = Identity { fenced: Some(epoch), note: [7; 64], ..identity() };
    drop(home.create(identity()).unwrap());
    for changed in [standby, fenced] {
        let opened = home.open().unwrap();
        opened.node.set_identity(changed).unwrap();
        assert_eq!(opened.node.identity(), changed);
        drop(opened);
        assert_eq!(home.open().unwrap().node.identity(), changed);
        assert_eq!(home.inspect().unwrap().identity(), Some(changed));
    }
}

/// An unfinished copy cannot be opened: none of it was acknowledged.
pub fn a_copy_in_the_making_is_no_store(home: impl Home) {
    fill(home.create(copying()).unwrap(), 20);
    assert!(matches!(home.open(), Err(Error::Unfinished { .. })));
    assert!(matches!(home.inspect(), Err(Error::Unfinished { .. })));
    let again = home.create(copying()).unwrap();
    assert_eq!(again.log.written(), head(0), "what was left is cleared away");
}

/// A store that was replaced is not opened to write, and loses nothing.
pub fn a_divergent_store_is_only_read(home: impl Home) {
    let divergent = Identity { role: Role::Divergent, ..identity() };
    let opened = home.create(identity()).unwrap();
    opened.node.set_identity(divergent).unwrap();
    fill(opened, 20);
    assert!(matches!(home.open(), Err(Error::Diverged { .. })));
    assert!(matches!(home.create(identity()), Err(Error::Exists { .. })));
    assert!(matches!(home.remove_unfinished(), Err(Error::Exists { .. })));
    let looked = home.look().unwrap();
    assert_eq!((looked.log.shown(), looked.identity), (head(20), Some(divergent)));
    assert_eq!(home.inspect().unwrap().identity(), Some(divergent));
}

/// A copy is a store as soon as its role says so.
pub fn a_finished_copy_is_a_store(home: impl Home) {
    let copy = home.create(copying()).unwrap();
    copy.node.set_identity(identity()).unwrap();
    fill(copy, 20);
    assert_eq!(home.open().unwrap().log.written(), head(20));
}

/// Only an unfinished copy can be removed.
pub fn only_an_unfinished_copy_is_removed(home: impl Home) {
    fill(home.create(identity()).unwrap(), 20);
    assert!(matches!(home.remove_unfinished(), Err(Error::Exists { .. })));
    assert_eq!(home.open().unwrap().log.written(), head(20));
}

/// After the removal of a copy the place is empty.
pub fn a_removed_copy_leaves_nothing(home: impl Home) {
    fill(home.create(copying()).unwrap(), 20);
    home.remove_unfinished().unwrap();
    assert!(matches!(home.open(), Err(Error::NotFound { .. })));
    assert_eq!(home.create(identity()).unwrap().log.written(), head(0));
}

/// An inspection shows the whole log, and no finding.
pub fn an_inspection_sees_every_frame(home: impl Home) {
    fill(home.create(identity()).unwrap(), 40);
    let inspection = home.inspect().unwrap();
    assert_eq!(inspection.findings(), []);
    let witness = inspection.witness().unwrap();
    assert_eq!((witness.written, witness.synced), (head(40), head(40)));
    let mut seen = Vec::new();
    let findings = inspection.log(&mut |evidence| {
        if let Evidence::Frame { seq, bytes } = evidence {
            seen.push((seq.get(), bytes.to_vec()));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(findings, []);
    assert_eq!(seen, (1..=40).map(|number| (number, frame(number))).collect::<Vec<_>>());
}

/// The hash tree of the claims, with hashes made up from the numbers.
struct MadeUp(u64);

impl Replay for MadeUp {
    fn push(&mut self, at: Seq, _: &[u8]) -> Result<Vec<TreeHash>, Error> {
        self.0 = at.get();
        Ok(tree_hash(self.0).into_iter().collect())
    }

    fn root(&self) -> Root {
        root(self.0)
    }
}

/// A rebuild changes no frame.
pub fn a_rebuild_keeps_every_frame(home: impl Home) {
    fill(home.create(identity()).unwrap(), 40);
    assert_eq!(home.rebuild(&mut MadeUp(0)).unwrap().head, head(40));
    let opened = home.open().unwrap();
    assert_eq!(opened.log.read(seq(1), usize::MAX).unwrap().first(), Some(&frame(1)));
    assert_eq!(read_from(&*opened.log, 1).len(), 40);
}
