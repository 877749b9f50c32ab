//! A look at a store for an audit or a rescue: every frame from where it was synced to, every frame
//! as the sealed store holds it, and all that does not belong or does not hold.
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

/// A store under inspection. Nobody writes to it meanwhile, and looking changes nothing.
pub trait Inspect: fmt::Debug + Send + Sync {
    /// Who this copy of the ledger is; `None` if that cannot be read.
    fn identity(&self) -> Option<Identity>;

    /// How far the log is known to have been, apart from the log; `None` if nothing tells.
    fn witness(&self) -> Option<Witness>;

    /// Findings that need no reading of the log.
    fn findings(&self) -> &[StoreFinding];

    /// The first event that the files hold which commits go to, if there are such files.
    fn commits_from(&self) -> Option<Seq>;

    /// Gives every frame of the log to `visit`, in order and each once, and the roots that files
    /// name as it comes to them. O(all bytes).
    ///
    /// Answers what does not hold. Frames behind it are still given: `visit` sees a number that
    /// does not follow the one before.
    fn log(&self, visit: &mut dyn FnMut(Evidence<'_>) -> ControlFlow<()>) -> Vec<StoreFinding>;

    /// Everything that the sealed store holds: blocks in order, then tree hashes.
    ///
    /// An answer that takes longer than `deadline` is a finding and the end; the time between two
    /// questions does not count.
    fn sealed(&self, deadline: Duration) -> SealedItems;

    /// The saved states.
    fn snapshots(&self) -> Arc<dyn SnapshotStore>;
}

/// What the sealed store holds, item by item, and findings in the place of what does not hold.
pub type SealedItems = Box<dyn Iterator<Item = Result<SealedItem, StoreFinding>> + Send>;

/// How far a log was, told by something apart from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// How far frames were written.
    pub written: Head,
    /// How far they survive loss of power. If the log is shorter, something was lost.
    pub synced: Head,
    /// How far the sealed store holds them durably.
    pub sealed: Head,
}

/// One thing that archive and journals say, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence<'a> {
    /// A frame, whose checksum in the store holds.
    Frame {
        /// Its number. It grows; after a finding there may be a gap.
        seq: Seq,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The log at this size, by the word of a file.
    Root {
        /// Size and root.
        head: Head,
        /// The file.
        file: &'a Path,
    },
}

/// One thing that the sealed store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedItem {
    /// The frames of a block. The first number grows; a block that does not hold is a finding
    /// instead.
    Block(Frames),
    /// A hash of the tree. They come after the blocks.
    TreeHash {
        /// Its number among the stored hashes.
        index: u64,
        /// The hash.
        hash: [u8; 32],
    },
}

/// One thing in a store that does not belong or does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFinding {
    /// The first event that is affected, if it can be told.
    pub seq: Option<Seq>,
    /// The file.
    pub file: PathBuf,
    /// One of the names in [`kind`].
    pub kind: &'static str,
    /// What does not hold.
    pub detail: String,
}

/// What a [`StoreFinding`] can be about.
pub mod kind {
    /// A slot of `HEAD` does not hold; the other one counts.
    pub const HEAD_SLOT: &str = "head-slot";
    /// `HEAD` does not hold, or is not there.
    pub const HEAD: &str = "head";
    /// `NODE` does not hold, or is not there.
    pub const NODE: &str = "node";
    /// A journal does not hold.
    pub const JOURNAL: &str = "journal";
    /// An archive does not hold.
    pub const ARCHIVE: &str = "archive";
    /// Events are in no file.
    pub const GAP: &str = "gap";
    /// The log is shorter than `HEAD` says.
    pub const LOST_TAIL: &str = "lost-tail";
    /// sled cannot be read.
    pub const SLED: &str = "sled";
    /// Bytes behind the last whole group that were never acknowledged. Harmless: the next opening
    /// removes them.
    pub const TORN_END: &str = "torn-end";
    /// Bytes where there should be zeros. Harmless: nobody reads them.
    pub const STRAY_BYTES: &str = "stray-bytes";
    /// A file that no ledger has. Harmless.
    pub const UNKNOWN_FILE: &str = "unknown-file";
}

impl StoreFinding {
    /// Whether it changes no answer and loses nothing.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let harmless = [kind::HEAD_SLOT, kind::TORN_END, kind::STRAY_BYTES, kind::UNKNOWN_FILE];
        harmless.contains(&self.kind)
    }

    pub(crate) fn new(
        kind: &'static str,
        file: &Path,
        seq: Option<Seq>,
        detail: impl Into<String>,
    ) -> Self {
        Self { seq, file: file.to_owned(), kind, detail: detail.into() }
    }

    /// The finding that an error of the store amounts to.
    pub(crate) fn of(kind: &'static str, place: &Path, error: &Error) -> Self {
        match error {
            Error::Damaged { seq, file, detail } => {
                Self::new(kind, file.as_deref().unwrap_or(place), *seq, detail.to_string())
            }
            Error::LostTail { found, .. } => {
                let seq = Seq::FIRST.plus(*found);
                Self::new(kind::LOST_TAIL, place, seq, error.to_string())
            }
            Error::Io { source, .. } => Self::new(kind, place, None, format!("{error}: {source}")),
            Error::NotFound { .. }
            | Error::Exists { .. }
            | Error::Unfinished { .. }
            | Error::InUse { .. }
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
