//! A look at a store for an audit or a rescue: every frame of the log, every frame of the sealed
//! store, and every fault.
//!
//! Knows no file and no engine. Start reading at [`Inspect`].

use super::{Error, Frames, Identity, SnapshotStore};
use crate::ids::{Head, Seq};
use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A store under inspection, which changes nothing. Nobody else writes until
/// [`let_go`](Inspect::let_go), or what another process writes is not seen.
pub trait Inspect: fmt::Debug + Send + Sync {
    /// The identity of this copy of the ledger; `None` if it cannot be read.
    fn identity(&self) -> Option<Identity>;

    /// The size that the log is known to have reached, from a source other than the log; `None` if
    /// there is none.
    fn witness(&self) -> Option<Witness>;

    /// Findings that need no reading of the log.
    fn findings(&self) -> &[StoreFinding];

    /// The first event in the files that commits go to, if there are such files.
    fn commits_from(&self) -> Option<Seq>;

    /// Gives every frame of the log to `visit`, in order and each once, and the roots in the files
    /// as it meets them. O(all bytes).
    ///
    /// Returns the faults. Frames behind a fault are still given: `visit` then gets a number that
    /// does not follow the one before.
    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding>;

    /// All items of the sealed store: blocks in order, then tree hashes.
    ///
    /// An answer that takes longer than `deadline` is a finding and the end. The time between two
    /// calls does not count.
    fn sealed(&self, deadline: Duration) -> SealedItems;

    /// Lets others write to the store from here on. The witness and the items of the sealed store
    /// stay those of before; the files may change.
    fn let_go(&self) {}

    /// Says whether nobody has written to the store since the inspection began. Otherwise a fault may
    /// come from that, and counts only if another inspection meets it, too.
    fn is_still(&self) -> bool {
        true
    }

    /// The saved states.
    fn snapshots(&self) -> Arc<dyn SnapshotStore>;
}

impl dyn Inspect + '_ {
    /// As [`log`](Inspect::log), for a visitor that can fail.
    ///
    /// # Errors
    /// The first error of `visit`, which ends it.
    pub fn try_log<E>(
        &self,
        mut visit: impl FnMut(Evidence<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<Vec<StoreFinding>, E> {
        // A trait object's method is not generic, so the one variable that is filled from within
        // a visitor is here.
        let mut failed = Ok(());
        let findings = self.log(&mut |evidence| {
            visit(evidence).unwrap_or_else(|error| {
                failed = Err(error);
                ControlFlow::Break(())
            })
        });
        failed.map(|()| findings)
    }
}

/// The items of the sealed store, with a finding in place of each damaged one.
pub type SealedItems = Box<dyn Iterator<Item = Result<SealedItem, StoreFinding>> + Send>;

/// The size that a log had, from a source other than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// The log up to the last written frame.
    pub written: Head,
    /// The log up to the last frame that survives loss of power. If the log is shorter, events were
    /// lost.
    pub synced: Head,
    /// The log up to the last frame that the sealed store holds durably.
    pub sealed: Head,
}

/// One item of archive and journals, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence<'a> {
    /// A frame whose checksum in the store is right.
    Frame {
        /// Its number. It grows; after a finding there may be a gap.
        seq: Seq,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The size and root of the log, as a file records them.
    Root {
        /// The size and the root.
        head: Head,
        /// The file.
        file: &'a Path,
    },
    /// A tree hash, as a file beside the frames has it. It comes after the frames that complete it.
    TreeHash {
        /// Its number among the stored hashes.
        index: u64,
        /// The hash.
        hash: [u8; 32],
        /// The file.
        file: &'a Path,
    },
}

/// One item of the sealed store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedItem {
    /// The frames of a block. The first number grows from block to block. A damaged block is a
    /// finding instead.
    Block(Frames),
    /// A tree hash. These come after the blocks.
    TreeHash {
        /// Its number among the stored hashes.
        index: u64,
        /// The hash.
        hash: [u8; 32],
    },
}

/// One fault of a store, or one thing that does not belong in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFinding {
    /// The first event that is affected, if it is known.
    pub seq: Option<Seq>,
    /// The file.
    pub file: PathBuf,
    /// The kind of the fault.
    pub kind: StoreFindingKind,
    /// The fault in words.
    pub detail: String,
}

/// The kind of a [`StoreFinding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFindingKind {
    /// One slot of `HEAD` is damaged; the other one counts.
    HeadSlot,
    /// `HEAD` is damaged or missing.
    Head,
    /// `NODE` is damaged or missing.
    Node,
    /// A journal is damaged.
    Journal,
    /// An archive is damaged.
    Archive,
    /// Events are in no file.
    Gap,
    /// The log is shorter than `HEAD` says.
    LostTail,
    /// sled cannot be read.
    Sealed,
    /// sled was not read, since another process has the ledger open, it belongs to another user, or
    /// there is no room for a copy. Harmless: the other files were read.
    SealedUnchecked,
    /// Bytes behind the last whole group that were never acknowledged. Harmless: the next opening
    /// removes them.
    TornEnd,
    /// Bytes in a place for zeros. Harmless: they are never read.
    StrayBytes,
    /// A file of tree hashes beside an archive is damaged. Harmless: the frames give the hashes.
    TreeHashes,
    /// A file that does not belong to a ledger. Harmless.
    UnknownFile,
}

impl StoreFindingKind {
    /// Says whether a finding of this kind changes no answer and loses nothing.
    #[must_use]
    pub const fn is_harmless(self) -> bool {
        match self {
            Self::HeadSlot
            | Self::SealedUnchecked
            | Self::TornEnd
            | Self::StrayBytes
            | Self::TreeHashes
            | Self::UnknownFile => true,
            Self::Head
            | Self::Node
            | Self::Journal
            | Self::Archive
            | Self::Gap
            | Self::LostTail
            | Self::Sealed => false,
        }
    }
}

impl StoreFinding {
    /// Says whether the fault changes no answer and loses nothing.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.kind.is_harmless()
    }

    pub(crate) fn new(
        kind: StoreFindingKind,
        file: &Path,
        seq: Option<Seq>,
        detail: impl Into<String>,
    ) -> Self {
        Self { seq, file: file.to_owned(), kind, detail: detail.into() }
    }

    /// Makes a finding of an error of the store.
    pub(crate) fn of(kind: StoreFindingKind, place: &Path, error: &Error) -> Self {
        match error {
            Error::Damaged { seq, file, detail } => {
                Self::new(kind, file.as_deref().unwrap_or(place), *seq, detail.to_string())
            }
            Error::LostTail { found, .. } => {
                let seq = Seq::FIRST.plus(*found);
                Self::new(StoreFindingKind::LostTail, place, seq, error.to_string())
            }
            Error::Io { source, .. } => Self::new(kind, place, None, format!("{error}: {source}")),
            Error::NotFound { .. }
            | Error::Exists { .. }
            | Error::Unfinished { .. }
            | Error::Diverged { .. }
            | Error::InUse { .. }
            | Error::Unsettled { .. }
            | Error::Replaced { .. }
            | Error::UnsafeDir { .. }
            | Error::UnsupportedFormat { .. }
            | Error::NotNext { .. }
            | Error::TooLarge { .. }
            | Error::Full { .. }
            | Error::SealingBehind { .. }
            | Error::SealingStopped { .. }
            | Error::Backend { .. }
            | Error::Engine { .. }
            | Error::Halted => Self::new(kind, place, None, error.to_string()),
        }
    }
}
