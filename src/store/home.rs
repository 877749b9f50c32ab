//! Where a store lives, from before it exists until it is rebuilt: the seam that another engine
//! implements.
//!
//! A [`Home`] is a place: a directory, a memory, a database. Opening it gives a log, its snapshots
//! and its node. Knows no file and no engine. Start reading at [`Home`]; `conformance::home` is the
//! same contract as running code.

use super::{Error, FrameLog, Inspect, SnapshotStore};
use crate::ids::{Epoch, Head, LedgerId, NodeId, Root, Seq, TreeHash};
use std::{fmt, path::PathBuf, sync::Arc};

/// A place that holds the store of one ledger, or none yet.
///
/// Every call may block.
///
/// # Contract
///
/// - At most one opened store of a place may write. A place says [`Error::InUse`] to a second
///   opening, or halts the first.
/// - [`create`](Self::create) is all or nothing: stopped half way, it leaves what the next one
///   clears away and what [`open`](Self::open) does not accept.
/// - An identity with [`Role::Copying`] is not a ledger yet: only `create` and
///   [`remove_unfinished`](Self::remove_unfinished) take such a place.
pub trait Home: fmt::Debug + Send + Sync {
    /// Makes a store without frames, durable when it returns.
    ///
    /// # Errors
    ///
    /// - [`Error::Exists`] if something is here already.
    /// - [`Error::UnsafeDir`], [`Error::InUse`], [`Error::Full`], [`Error::Io`],
    ///   [`Error::Engine`].
    fn create(&self, identity: Identity) -> Result<Opened, Error>;

    /// Opens the store that is here, and holds its parts against each other. Drops what a crash
    /// left of a group that was never acknowledged.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if there is none, [`Error::Unfinished`] if it is a copy in the making.
    /// - [`Error::InUse`], [`Error::UnsafeDir`], [`Error::UnsupportedFormat`], [`Error::Io`].
    /// - The findings [`Error::Damaged`], [`Error::LostTail`] and [`Error::Engine`], after which
    ///   nothing was changed.
    fn open(&self) -> Result<Opened, Error>;

    /// Looks at everything that is here without changing it, in spite of damage.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), without the findings: those are [`Inspect::findings`].
    fn inspect(&self) -> Result<Box<dyn Inspect>, Error>;

    /// Makes anew what the log can be read from fastest, from where commits were synced to. Nobody
    /// may have the store open. Destroys nothing. O(all bytes).
    ///
    /// # Errors
    ///
    /// - [`Error::Damaged`], [`Error::LostTail`] if the log is not whole: nothing is changed.
    /// - Otherwise as [`open`](Self::open).
    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, Error>;

    /// Up to which event the sealed store was durable at the last flush, if events were written
    /// after it: loss of power may have cut it short there. `None` if nothing can be.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn unsealed_since(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// Removes a copy whose making was cut short, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if this is anything else; [`Error::InUse`], [`Error::Io`].
    fn remove_unfinished(&self) -> Result<(), Error>;
}

/// A store that is open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its frames.
    pub log: Arc<dyn FrameLog>,
    /// Its saved states.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Who it is.
    pub node: Arc<dyn NodeStore>,
}

impl Opened {
    /// The three faces of one store.
    pub fn of<S: FrameLog + SnapshotStore + NodeStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self { log: store.clone(), snapshots: store.clone(), node: store }
    }
}

/// Keeps who an open store is.
pub trait NodeStore: fmt::Debug + Send + Sync {
    /// Who this copy of the ledger is. O(1).
    fn identity(&self) -> Identity;

    /// Changes who this copy is, durably before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`] or [`Error::Halted`]: then the old identity stays.
    fn set_identity(&self, identity: Identity) -> Result<(), Error>;
}

/// The node of a store that cannot change who it is: one that is only read.
#[derive(Debug, Clone, Copy)]
pub struct FixedNode(pub Identity);

impl NodeStore for FixedNode {
    fn identity(&self) -> Identity {
        self.0
    }

    fn set_identity(&self, _: Identity) -> Result<(), Error> {
        Err(Error::Halted)
    }
}

/// The part that a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may append.
    Primary,
    /// It follows a primary.
    Standby,
    /// It is being made as a copy of another ledger and is not one yet: nobody was told of anything
    /// in it. No opening accepts it, and a creation in its place clears it away.
    Copying,
}

/// Who a copy of a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The ledger.
    pub ledger: LedgerId,
    /// This copy of it.
    pub node: NodeId,
    /// The part that it plays.
    pub role: Role,
    /// The epoch that ended its being a primary, if one did.
    pub fenced: Option<Epoch>,
    /// The epoch below which it promised to acknowledge nothing.
    pub promised: Option<Epoch>,
    /// Bytes of the ledger's own beside its name; zeros at first.
    pub note: [u8; NOTE_BYTES],
}

/// Bytes that a ledger may keep in [`Identity::note`].
pub const NOTE_BYTES: usize = 64;

impl Identity {
    /// A new primary without a note.
    #[must_use]
    pub fn new(ledger: LedgerId, node: NodeId) -> Self {
        let role = Role::Primary;
        Self { ledger, node, role, fenced: None, promised: None, note: [0; NOTE_BYTES] }
    }

    /// Whether this copy may append: a primary that no other one has taken over from. The store
    /// does as it is told; the ledger asks this before it lets anybody append.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.role == Role::Primary && self.fenced.is_none()
    }
}

/// The hash tree, which a store does not know, for a [`Home::rebuild`].
pub trait Replay {
    /// Takes the next frame, and answers the tree hashes that it completes.
    ///
    /// # Errors
    ///
    /// Anything that keeps the frame from being one of this log; the rebuild then ends with it.
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error>;

    /// The root over the frames so far.
    fn root(&self) -> Root;

    /// Is told now and then how many frames of how many there are.
    fn progress(&mut self, _done: u64, _total: u64) {}
}

/// The answer of [`Home::rebuild`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// How far the new sealed store reaches.
    pub head: Head,
    /// Where the old sealed store is now, and saved states of events that the log does not have.
    pub set_aside: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_that_was_not_fenced_may_append() {
        let epoch = Some(Epoch { number: 3, nonce: 9 });
        let may = |role, fenced| {
            let new = Identity::new(LedgerId([1; 16]), NodeId([2; 16]));
            Identity { role, fenced, ..new }.may_append()
        };
        assert!(may(Role::Primary, None));
        assert!(!may(Role::Primary, epoch));
        assert!(!may(Role::Standby, None));
        assert!(!may(Role::Copying, None));
    }
}
