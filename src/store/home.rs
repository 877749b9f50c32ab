//! The place of a store, from before it exists until it is rebuilt: the seam that another engine
//! implements.
//!
//! A [`Home`] is a directory, a memory or a database. Opening it gives a log, its snapshots and its
//! node. Knows no file and no engine. Start reading at [`Home`]; `conformance::home` is the same
//! contract as running code.

use super::{Error, FrameLog, Inspect, Looked, SnapshotStore};
use crate::ids::{Epoch, Head, LedgerId, NodeId, Root, Seq, TreeHash};
use std::{fmt, path::PathBuf, sync::Arc};

/// A place that holds the store of one ledger, or none yet.
///
/// Every call may block.
///
/// # Contract
///
/// - At most one opened store of a place may write. A place returns [`Error::InUse`] to a second
///   opening, or halts the first.
/// - [`create`](Self::create) is all or nothing: stopped half way, it leaves a state that the next
///   `create` clears and that [`open`](Self::open) does not accept.
/// - An identity with [`Role::Copying`] is not a ledger yet: only `create` and
///   [`remove_unfinished`](Self::remove_unfinished) take such a place.
/// - An identity with [`Role::Divergent`] is a ledger that is only read: every call but
///   [`open`](Self::open) takes such a place.
pub trait Home: fmt::Debug + Send + Sync {
    /// Makes a store without frames. Durable when it returns.
    ///
    /// # Errors
    ///
    /// - [`Error::Exists`] if the place is not empty.
    /// - [`Error::UnsafeDir`], [`Error::InUse`], [`Error::Full`], [`Error::Io`],
    ///   [`Error::Engine`].
    fn create(&self, identity: Identity) -> Result<Opened, Error>;

    /// Opens the store, and checks its parts against each other. Drops the rest of a group that a
    /// crash left unfinished and that was never acknowledged.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if there is none, [`Error::Unfinished`] if it is an unfinished copy,
    ///   [`Error::Diverged`] if it was replaced.
    /// - [`Error::InUse`], [`Error::UnsafeDir`], [`Error::UnsupportedFormat`], [`Error::Io`].
    /// - The findings [`Error::Damaged`], [`Error::LostTail`] and [`Error::Engine`], after which
    ///   nothing was changed.
    fn open(&self) -> Result<Opened, Error>;

    /// Opens the store to read it, beside a writer or without one. Takes no lock, writes nothing, and
    /// reads a damaged store as far as it goes.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if there is none, [`Error::Unfinished`] if it is an unfinished copy.
    /// - [`Error::UnsafeDir`], [`Error::UnsupportedFormat`], [`Error::Unsettled`], [`Error::Io`].
    fn look(&self) -> Result<Looked, Error>;

    /// Inspects everything here without changing it, even if it is damaged.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), without the findings: those are [`Inspect::findings`].
    fn inspect(&self) -> Result<Box<dyn Inspect>, Error>;

    /// Inspects what can be inspected beside a writer, or without the rights to inspect it all: `why`
    /// says for the findings which of the two. A place that can be inspected at any time has no such case.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    fn inspect_beside(&self, why: &str) -> Result<Box<dyn Inspect>, Error> {
        let _ = why;
        self.inspect()
    }

    /// Rebuilds the sealed store from the log that commits were synced to, and what that log has lost
    /// from the sealed store. The store must not be open. Destroys nothing. O(all bytes).
    ///
    /// # Errors
    ///
    /// - [`Error::Damaged`], [`Error::LostTail`] if both together are not whole: nothing is changed.
    /// - Otherwise as [`open`](Self::open).
    fn rebuild(&self, replay: &mut dyn Replay) -> Result<Rebuilt, Error>;

    /// The last event that the sealed store held durably at the last flush, if events were written
    /// after it: loss of power may have cut the sealed store short there. `None` if nothing can be
    /// lost.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn unsealed_since(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// Removes an unfinished copy, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if this is no unfinished copy; [`Error::InUse`], [`Error::Io`].
    fn remove_unfinished(&self) -> Result<(), Error>;
}

/// A store that is open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its frames.
    pub log: Arc<dyn FrameLog>,
    /// Its saved states.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Its identity.
    pub node: Arc<dyn NodeStore>,
}

impl Opened {
    /// Takes one store for all three parts.
    pub fn of<S: FrameLog + SnapshotStore + NodeStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self { log: store.clone(), snapshots: store.clone(), node: store }
    }
}

/// The identity of an open store.
pub trait NodeStore: fmt::Debug + Send + Sync {
    /// The identity of this copy of the ledger. O(1).
    fn identity(&self) -> Identity;

    /// Changes the identity of this copy, durably before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Io`] or [`Error::Halted`]: then the old identity stays.
    fn set_identity(&self, identity: Identity) -> Result<(), Error>;
}

/// The node of a store whose identity cannot change, since it is only read.
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

/// The role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may append.
    Primary,
    /// It follows a primary.
    Standby,
    /// An unfinished copy of another ledger: none of it was acknowledged. No opening accepts it,
    /// and a creation in its place clears it.
    Copying,
    /// It was replaced by a copy that follows another primary. It holds events that no other node has;
    /// it is read, and never opened to write.
    Divergent,
}

/// The identity of one copy of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The ledger.
    pub ledger: LedgerId,
    /// This copy of it.
    pub node: NodeId,
    /// The role of this copy.
    pub role: Role,
    /// The epoch that fenced it, if one did: it was a primary, and another one took over.
    pub fenced: Option<Epoch>,
    /// The epoch below which it has promised to acknowledge nothing.
    pub promised: Option<Epoch>,
    /// Bytes that the ledger keeps here for itself; zeros at first.
    pub note: [u8; NOTE_BYTES],
}

/// The number of bytes that a ledger may keep in [`Identity::note`].
pub const NOTE_BYTES: usize = 64;

impl Identity {
    /// A new primary without a note.
    #[must_use]
    pub fn new(ledger: LedgerId, node: NodeId) -> Self {
        let role = Role::Primary;
        Self { ledger, node, role, fenced: None, promised: None, note: [0; NOTE_BYTES] }
    }

    /// Says whether this copy may append: it is a primary and is not fenced. The store does not
    /// check this; the ledger does before each append.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.role == Role::Primary && self.fenced.is_none()
    }
}

/// The hash tree for a [`Home::rebuild`], since a store does not know it.
pub trait Replay {
    /// Takes the next frame, and returns the tree hashes that it completes.
    ///
    /// # Errors
    ///
    /// Any reason that the frame is not one of this log; the rebuild then ends with it.
    fn push(&mut self, seq: Seq, frame: &[u8]) -> Result<Vec<TreeHash>, Error>;

    /// The root over the frames so far.
    fn root(&self) -> Root;

    /// Takes the bytes of the saved state after event `_at`, before the first frame; no bytes if they
    /// cannot be read.
    fn saved(&mut self, _at: Seq, _bytes: &[u8]) {}

    /// The saved states, after the last frame, that are not what the frames up to them fold to. The
    /// home puts them out of the way.
    fn useless(&self) -> Vec<Seq> {
        Vec::new()
    }

    /// Reports progress now and then: `_done` frames of `_total`.
    fn progress(&mut self, _done: u64, _total: u64) {}
}

/// The result of [`Home::rebuild`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The head that the new sealed store reaches.
    pub head: Head,
    /// The new paths of the old sealed store, of damaged archives, and of saved states that are
    /// damaged or of events that the log does not have.
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
        assert!(!may(Role::Divergent, None));
    }
}
