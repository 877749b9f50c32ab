//! Frames on stable storage.
//!
//! The only module that knows how frames reach a disk. It moves opaque bytes: it cannot tell one
//! event from another, knows neither the codec nor the hash tree (it gets roots and tree hashes as
//! bytes), reads no clock that can reach a result, and retries nothing.
//!
//! Start reading at [`FrameLog`]; `conformance` is the same contract as running code. The store for
//! production is `disk`: a journal that commits are synced to, a tail in memory, blocks in sled.

use crate::ids::{Head, Root, Seq, Size, TreeHash};
use std::fmt;

mod block;
mod damage;
pub(crate) mod disk;
mod error;
mod frames;
mod home;
mod inspect;
mod look;
mod mem;
mod sled;

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
#[cfg(any(test, feature = "test-util"))]
pub mod faulty;

pub use damage::Damage;
pub use disk::DiskOptions;
#[cfg(test)]
pub(crate) use disk::UNSETTLED;
#[cfg(any(test, feature = "test-util"))]
#[doc(hidden)]
pub use disk::{DiskHome, parse};
pub(crate) use disk::{
    OUTPUT_BYTES_MAX, Output, Place, ReplaceError, SpoolFiles, Spooled, output_key,
};
pub(crate) use error::holder;
pub use error::{Error, Room, Unsafe};
pub use frames::Frames;
pub use home::{FixedNode, Home, Identity, NOTE_BYTES, NodeStore, Opened, Rebuilt, Replay, Role};
pub use inspect::{
    Evidence, Inspect, SealedItem, SealedItems, StoreFinding, StoreFindingKind, Witness,
};
pub use look::{FrameRead, Looked, Shortfall};
pub use mem::MemStore;

/// The largest frame that a store takes, in bytes: four parts of 1 MiB and an event, with room to
/// spare.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// The largest group that a store takes, in bytes of its record: the ledger's batch limit with
/// room to spare.
pub const GROUP_BYTES_MAX: usize = 64 << 20;

/// The frames of one commit, which become durable together or not at all.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The number of the first frame.
    pub first: Seq,
    /// The frames; at least one.
    pub frames: &'a [Vec<u8>],
    /// The root of the hash tree after the last of them.
    pub root: Root,
    /// The tree hashes that these frames complete.
    pub tree_hashes: &'a [TreeHash],
}

/// Gives the new bytes of a frame; `None` if it stays as it is; or the reason that they cannot be
/// made.
pub type Rewrite<'a> = &'a (dyn Fn(Seq, &[u8]) -> Result<Option<Vec<u8>>, RewriteError> + Sync);

/// Why a frame cannot be rewritten: an error of the caller, opaque to the store.
pub type RewriteError = Box<dyn std::error::Error + Send + Sync>;

/// An append-only run of frames, numbered from [`Seq::FIRST`] without a gap.
///
/// Every call may block. One thread appends, syncs and erases; any number may read meanwhile.
/// A store with one tier implements the required methods and no more; `disk`, with its second tier,
/// overrides the others.
///
/// # Contract
///
/// - A group is all or nothing, also across a crash.
/// - Once [`sync`](Self::sync) returns `Ok`, every earlier group survives loss of power.
/// - A frame, once readable, changes only by [`erase`](Self::erase).
/// - After an append or a sync that failed other than with [`Error::NotNext`],
///   [`Error::TooLarge`], [`Error::SealingStopped`] or one that
///   [can be tried again](Error::is_retryable), every later one is [`Error::Halted`].
pub trait FrameLog: fmt::Debug + Send + Sync + 'static {
    /// The log up to the last frame that is written and readable. O(1).
    fn written(&self) -> Head;

    /// The log up to the last frame that survives loss of power. O(1); never ahead of
    /// [`written`](Self::written).
    fn synced(&self) -> Head;

    /// Writes a group after the last one. O(bytes).
    ///
    /// It is readable at once, survives a crash of the process, and is durable after the next
    /// [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// - [`Error::NotNext`] if `group.first` does not follow the last frame: nothing is written.
    /// - [`Error::TooLarge`] if it, or a frame in it, is over a limit of the store: nothing is
    ///   written.
    /// - [`Error::Full`] if there is no space for it: nothing is written, and the caller may try
    ///   again.
    /// - [`Error::SealingBehind`] if too many bytes wait to be sealed: nothing is written, try
    ///   again.
    /// - [`Error::SealingStopped`] if they wait for a sealer that has stopped: nothing is written,
    ///   and only opening the store again helps.
    /// - [`Error::Io`] if storage failed: drop this value and open the store again.
    fn append(&self, group: Group<'_>) -> Result<(), Error>;

    /// Says whether [`append`](Self::append) may block now, on the device or on sealing, rather than
    /// only copy memory. A hint for async callers. O(1).
    ///
    /// A store that cannot know this keeps the default, `true`.
    fn append_may_wait(&self) -> bool {
        true
    }

    /// Makes every group durable that was appended before. One sync of the device; groups may be
    /// appended meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if storage failed. It is unknown which bytes reached the disk. A sync is never
    /// repeated, since the second could succeed without the data (see `docs/adr/0001`).
    fn sync(&self) -> Result<Head, Error>;

    /// Reads frames from `from` on, in order: as many as fit `bytes_max`, but at least one if there
    /// is one. Empty past the end. O(bytes), plus about 50 us for the first block.
    ///
    /// # Errors
    ///
    /// - [`Error::Damaged`] if the stored bytes were changed.
    /// - [`Error::Io`], [`Error::Engine`] if they could not be read.
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error>;

    /// The tree hash with this index, if it was ever given. O(log size).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error>;

    /// The root over the first `size` frames, if the store names it beside them. O(log size).
    ///
    /// A hint, which saves the hashing: the default is `None`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn named_root(&self, size: Size) -> Result<Option<Root>, Error> {
        let _ = size;
        Ok(None)
    }

    /// The log up to the last frame in the sealed store. The tree hashes of later frames are given
    /// again by [`resume`](Self::resume). O(1).
    ///
    /// A store without a second tier keeps tree hashes with their frames, and uses the default.
    fn sealed(&self) -> Head {
        self.synced()
    }

    /// Gives the tree hashes of the frames after [`sealed`](Self::sealed) again, and starts
    /// sealing. Called once after opening, before the first append.
    ///
    /// # Errors
    ///
    /// [`Error::Halted`] if the store has failed.
    ///
    /// A store without a second tier ignores them.
    fn resume(&self, tree_hashes: Vec<TreeHash>) -> Result<(), Error> {
        let _ = tree_hashes;
        Ok(())
    }

    /// Moves all synced frames into the sealed store, durably. Seconds at worst.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`], [`Error::Io`] or [`Error::Full`] if this failed; commits go on.
    ///
    /// In a store without a second tier this is a sync.
    fn flush(&self) -> Result<(), Error> {
        self.sync().map(|_| ())
    }

    /// Replaces frames up to and including `upto` by the result of `rewrite`, in every file.
    /// `rewrite` may be called more than once for a frame, also for its own result. O(all bytes).
    ///
    /// After `Ok`, no file of the store holds the replaced bytes, and
    /// [`erased_upto`](Self::erased_upto) is `upto`. If it is stopped half way, call it again.
    /// A saved state after `upto` stays: the caller has saved it before, without these bytes. All
    /// others may be removed.
    ///
    /// # Errors
    ///
    /// - [`Error::Damaged`] at a frame that `rewrite` could not rewrite, or that is missing.
    /// - As [`flush`](Self::flush).
    ///
    /// After an error the remaining frames are unchanged, and [`erased_upto`](Self::erased_upto)
    /// does not move.
    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error>;

    /// The last event that [`erase`](Self::erase) has covered. O(1).
    fn erased_upto(&self) -> Option<Seq>;

    /// A number kept durably beside the log; 0 at first. O(1).
    ///
    /// The ledger keeps an upper bound of its task numbers here: numbers below it may be in use,
    /// synced or not.
    fn reserved(&self) -> u64;

    /// Sets [`reserved`](Self::reserved) to `number`, durably before it returns. One sync.
    ///
    /// The ledger raises it ahead of need, and sets it back to the numbers in use when it closes
    /// cleanly, after a sync.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if storage failed; the store halts.
    fn reserve(&self, number: u64) -> Result<(), Error>;

    /// Syncs, flushes, stops its threads and closes its files. Later calls are [`Error::Halted`].
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync) and [`flush`](Self::flush); the store is closed even then.
    fn close(&self) -> Result<(), Error>;
}

/// The bytes of a saved state, of which parts can be read.
pub trait SnapshotBytes: fmt::Debug + Send + Sync {
    /// The number of bytes. O(1).
    fn size(&self) -> u64;

    /// Reads `bytes` bytes from `offset` on: fewer only at the end. O(bytes). Memory is taken only
    /// for bytes that are there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if they could not be read.
    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error>;
}

impl SnapshotBytes for &[u8] {
    fn size(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let to = from.saturating_add(bytes).min(self.len());
        Ok(self.get(from..to).unwrap_or_default().to_vec())
    }
}

impl SnapshotBytes for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        self.as_slice().read(offset, bytes)
    }
}

impl SnapshotBytes for Box<dyn SnapshotBytes> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        (**self).read(offset, bytes)
    }
}

/// Saved states, each named by the last event in it. Losing one costs time, but changes no answer.
pub trait SnapshotStore: fmt::Debug + Send + Sync + 'static {
    /// The saved states, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if they could not be listed.
    fn list(&self) -> Result<Vec<Seq>, Error>;

    /// The size of a saved state in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it could not be read, or is not there.
    fn bytes(&self, at: Seq) -> Result<u64, Error>;

    /// The bytes of a saved state.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it could not be read, or is not there.
    fn load(&self, at: Seq) -> Result<Vec<u8>, Error>;

    /// Opens a saved state, to read parts of it. It can be read to its end, also if it is removed
    /// meanwhile.
    ///
    /// The default loads all of it.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    fn parts(&self, at: Seq) -> Result<Box<dyn SnapshotBytes>, Error> {
        Ok(Box::new(self.load(at)?))
    }

    /// Saves a state, durably, or leaves nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Full`].
    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error>;

    /// Removes a saved state; `Ok` if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn remove(&self, at: Seq) -> Result<(), Error>;

    /// Puts a saved state that is of no use out of the way, where a person can still look at it if the
    /// store has such a place; `Ok` if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Full`].
    fn set_aside(&self, at: Seq) -> Result<(), Error> {
        self.remove(at)
    }
}
