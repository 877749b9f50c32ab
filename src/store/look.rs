//! Reading a store beside its writer: the half of the seam that takes no lock and writes nothing.
//!
//! Knows no file and no engine. Start reading at [`FrameRead`]; `conformance::look` is the same
//! contract as running code.

use super::{Error, Identity, SnapshotStore};
use crate::ids::{Head, Root, Seq, Size};
use std::{fmt, sync::Arc};

/// The frames of a log that another handle, or another process, may be writing.
///
/// Every call may block on the device, and none on a writer. Any number of threads may call.
///
/// # Contract
///
/// - Shows only frames that survive loss of power, and always a whole batch of them.
/// - A frame, once shown, changes only by an erasure of the writer. What is shown never shrinks.
/// - Takes no lock, and changes no byte of the store.
pub trait FrameRead: fmt::Debug + Send + Sync + 'static {
    /// The log up to the last frame that is shown. O(1).
    fn shown(&self) -> Head;

    /// The number of frames that are written and not shown, since they are not known to be durable.
    /// O(1).
    fn pending(&self) -> u64;

    /// The frames that are known to be missing; `None` if the log is whole. O(1).
    fn shortfall(&self) -> Option<Shortfall>;

    /// Reads frames from `from` on, in order: as many as fit `bytes_max`, but at least one if one is
    /// shown. Empty past the end. O(bytes), and a chunk at worst.
    ///
    /// # Errors
    ///
    /// - [`Error::Damaged`] if the stored bytes were changed or are missing.
    /// - [`Error::Replaced`] after a [`refresh`](Self::refresh) that met another history, or if one
    ///   has come into this place and the frames are gone.
    /// - [`Error::Unsettled`], [`Error::Io`] if they could not be read.
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error>;

    /// The root over the first `size` frames, if the store names it. O(log size).
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`] if another history has come into this place, [`Error::Io`].
    fn root_at(&self, size: Size) -> Result<Option<Root>, Error>;

    /// The tree hash with this index by the word of a file, and the log up to the end of that file:
    /// the root there can judge the hash, and the store does not. O(1).
    ///
    /// `None` if no file has it; the events below it can still be read. A file that has one hash has
    /// all hashes that its events complete. A store that has no such files uses the default.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. A damaged file is none.
    fn tree_hash(&self, index: u64) -> Result<Option<([u8; 32], Head)>, Error> {
        let _ = index;
        Ok(None)
    }

    /// Shows what became durable since, and returns the new end.
    ///
    /// # Errors
    ///
    /// - [`Error::Replaced`] if another history is in this place now. Later reads give it too: look
    ///   again.
    /// - [`Error::Unsettled`] if the store changes too fast: try again.
    /// - [`Error::Io`], [`Error::UnsupportedFormat`].
    fn refresh(&self) -> Result<Head, Error>;
}

/// A store that is open to be read.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its frames.
    pub log: Arc<dyn FrameRead>,
    /// Its saved states; saving is refused.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Its identity; `None` if it cannot be read.
    pub identity: Option<Identity>,
}

/// The events that are missing in a ledger that was opened in spite of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall {
    /// The number of the last event that can be read, or would be if events before it were not
    /// missing.
    pub readable: u64,
    /// The number of events that the ledger is known to have held; `None` if unknown.
    pub held: Option<u64>,
}
