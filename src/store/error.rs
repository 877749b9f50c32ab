//! Errors of storage.

use super::{Damage, RewriteError};
use crate::{code::Code, ids::Seq};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// The reason that storage did not do as asked. One variant for each thing that a caller can do
/// next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no ledger here. Opening never creates one.
    #[error("no ledger at {}", .path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The place is not empty: it holds a ledger or other files.
    #[error("{} is not empty", .path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// It is an unfinished copy, and no ledger. Make the copy again: that clears this one.
    #[error("{} is an unfinished copy", .path.display())]
    Unfinished {
        /// The path.
        path: PathBuf,
    },
    /// It was replaced by a copy that follows another primary, and is kept to be read.
    #[error("{} holds a history that parted from its ledger's", .path.display())]
    Diverged {
        /// The path.
        path: PathBuf,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the ledger at {} is open in {}", .path.display(), holder(*.pid))]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The process that holds its lock; 0 if unknown.
        pid: u32,
    },
    /// A directory that is read beside its writer changed faster than it could be looked at. Try
    /// again.
    #[error("the ledger at {} changes too fast to be read", .path.display())]
    Unsettled {
        /// The ledger.
        path: PathBuf,
    },
    /// Another directory is at the path now, as after a restore. Open it again.
    #[error("another ledger is at {} now", .path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// Another user has the directory, or could enter or change it, so nothing in it can be trusted.
    #[error("unsafe directory {}: {why}", .path.display())]
    UnsafeDir {
        /// The directory or file.
        path: PathBuf,
        /// The reason.
        why: Unsafe,
    },
    /// A file has a format that this version does not know. Nothing was written.
    #[error("{} has format {found}; this version reads up to {max}", .path.display())]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version knows.
        max: u32,
    },
    /// The append was not at the next number. Nothing was written.
    #[error("cannot append at {at}: the next number is {next}")]
    NotNext {
        /// The number of the append.
        at: Seq,
        /// The next number of the log.
        next: Seq,
    },
    /// The group, or a frame in it, is larger than the store takes. Nothing was written.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// The thing that is too large.
        what: &'static str,
        /// Its size in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The disk is full. Nothing was written; reads go on.
    #[error("no space left for {what}{}", .room.map(|room| room.to_string()).unwrap_or_default())]
    Full {
        /// The thing that was to be written.
        what: &'static str,
        /// The space that it needs, if that was known before it was written.
        room: Option<Room>,
        /// The error of the system, if it gave one.
        #[source]
        source: Option<io::Error>,
    },
    /// Too many bytes wait to be sealed. Nothing was written; try again later.
    #[error("{waiting} bytes wait to be sealed; the limit is {max} bytes")]
    SealingBehind {
        /// Bytes that wait.
        waiting: usize,
        /// The limit of these bytes.
        max: usize,
    },
    /// Sealing has stopped after a failure, and no more bytes may wait for it. Nothing was
    /// written; reads go on. Open the store again.
    #[error("sealing has stopped, and {waiting} bytes wait for it; the limit is {max} bytes")]
    SealingStopped {
        /// Bytes that wait.
        waiting: usize,
        /// The limit of these bytes.
        max: usize,
    },
    /// The device or file system failed. It is unknown which bytes reached the disk.
    #[error("storage failed during {during}{}", .path.as_ref().map(|p| format!(" of {}", p.display())).unwrap_or_default())]
    Io {
        /// The action that failed.
        during: &'static str,
        /// The file, if the action was on one.
        path: Option<PathBuf>,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// Stored bytes were changed.
    #[error("{} is damaged{}: {detail}", or_store(.file.as_ref()), at(*.seq))]
    Damaged {
        /// The first event that is affected, if it is known.
        seq: Option<Seq>,
        /// The file, if it can be told and the store has files.
        file: Option<PathBuf>,
        /// The fault in words.
        detail: Damage,
    },
    /// The log is shorter than it is known to have been.
    #[error("the log ends at event {found} but held {expected}")]
    LostTail {
        /// The number of events that it held durably.
        expected: u64,
        /// The number of events in it now.
        found: u64,
    },
    /// The engine below the sealed store returned an error or panicked.
    #[error("the engine failed during {during}: {detail}")]
    Engine {
        /// The action that failed.
        during: &'static str,
        /// The message of the engine.
        detail: String,
    },
    /// A store on another engine failed. If it is retryable, nothing was written. Otherwise it is
    /// unknown which bytes were written, and the store must be opened again.
    #[error("storage failed during {during}")]
    Backend {
        /// The action that failed.
        during: &'static str,
        /// Says whether the same call on this value can succeed later.
        retryable: bool,
        /// The error of the engine.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An earlier failure stopped this store. Open it again to learn which events it kept.
    #[error("the store stopped after an earlier failure")]
    Halted,
}

/// The space that something needs on a disk that has less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// The bytes that it needs.
    pub needed: u64,
    /// The bytes that are free.
    pub free: u64,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ": it needs {} bytes, and {} are free", self.needed, self.free)
    }
}

/// The reason that a directory is not safe. One variant for each thing that its owner can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsafe {
    /// The path is a symbolic link, whose target somebody may change.
    #[error("it is a symbolic link")]
    Link,
    /// The whole directory belongs to another user: use the ledger as that user.
    #[error("it belongs to another user, {owner}, and this process runs as {user}")]
    OtherUser {
        /// The number of its owner.
        owner: u32,
        /// The number of the user of this process.
        user: u32,
    },
    /// One file belongs to another user than the directory: a program of that user has made it.
    #[error("it belongs to user {owner}, and the ledger to user {user}")]
    MixedOwners {
        /// The number of its owner.
        owner: u32,
        /// The number of the user who has the directory.
        user: u32,
    },
    /// The mode of a directory lets other users in, and sled writes to it by the umask.
    #[error("its mode, {:04o}, lets other users enter it", mode & 0o7777)]
    OthersMayEnter {
        /// The mode.
        mode: u32,
    },
    /// The mode of a file or a directory lets other users write to it.
    #[error("its mode, {:04o}, lets other users write to it", mode & 0o7777)]
    OthersMayWrite {
        /// The mode.
        mode: u32,
    },
    /// Neither a file nor a directory.
    #[error("it is neither a file nor a directory")]
    Special,
    /// Directories within directories, deeper than in any ledger.
    #[error("it is nested too deep to belong to a ledger")]
    TooDeep,
}

impl Error {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::Exists { .. } => Code::Exists,
            Self::Unfinished { .. } => Code::UnfinishedCopy,
            Self::Diverged { .. } => Code::Diverged,
            Self::InUse { .. } => Code::InUse,
            Self::Unsettled { .. } => Code::Busy,
            Self::Replaced { .. } => Code::OtherHistory,
            Self::UnsafeDir { .. } => Code::UnsafeDirectory,
            Self::UnsupportedFormat { .. } => Code::UnsupportedFormat,
            Self::NotNext { .. } => Code::DiscontinuityGap,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Full { .. } => Code::DiskFull,
            Self::SealingBehind { .. } => Code::SealingBehind,
            Self::SealingStopped { .. } => Code::SealingStopped,
            Self::Backend { retryable: true, .. } => Code::StorageUnavailable,
            // There is no directory to make one in, or a file is in its place.
            Self::Io { source, .. } if names_nothing(source) => Code::NotFound,
            Self::Io { .. } | Self::Backend { retryable: false, .. } => Code::StorageFailed,
            Self::Damaged { .. } => Code::Damaged,
            Self::LostTail { .. } => Code::LostTail,
            Self::Engine { .. } => Code::EngineFailed,
            Self::Halted => Code::Halted,
        }
    }
}

impl Error {
    /// Stored bytes that are not those that were written.
    pub(crate) fn damaged(
        seq: impl Into<Option<Seq>>,
        file: impl Into<PathBuf>,
        detail: Damage,
    ) -> Self {
        Self::Damaged { seq: seq.into(), file: Some(file.into()), detail }
    }

    /// A check of the free space that found too little. Nothing was tried.
    pub(crate) fn full(what: &'static str, room: Room) -> Self {
        Self::Full { what, room: Some(room), source: None }
    }

    /// Names the file that a frame came from, if the error is damage and names no file.
    pub(super) fn within(mut self, place: &Path) -> Self {
        if let Self::Damaged { file: file @ None, .. } = &mut self {
            *file = Some(place.to_owned());
        }
        self
    }

    /// The error for a frame that cannot be rewritten; `why` comes from
    /// [`Rewrite`](super::Rewrite).
    pub(super) fn not_rewritten(seq: Seq, file: Option<&Path>, why: RewriteError) -> Self {
        let detail = Damage::NotRewritten { why: why.into() };
        Self::Damaged { seq: Some(seq), file: file.map(Path::to_owned), detail }
    }

    /// Says whether the same call on this value can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } | Self::SealingBehind { .. } | Self::Unsettled { .. } => true,
            Self::Backend { retryable, .. } => *retryable,
            Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Unfinished { .. }
            | Self::Diverged { .. }
            | Self::InUse { .. }
            | Self::Replaced { .. }
            | Self::UnsafeDir { .. }
            | Self::UnsupportedFormat { .. }
            | Self::NotNext { .. }
            | Self::TooLarge { .. }
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::LostTail { .. }
            | Self::Engine { .. }
            | Self::SealingStopped { .. }
            | Self::Halted => false,
        }
    }
}

/// Says whether the path itself was wrong.
fn names_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The process that has a ledger open, in words.
pub(crate) fn holder(pid: u32) -> String {
    // The holder may not have written its number yet.
    if pid == 0 { "another process".to_owned() } else { format!("process {pid}") }
}

/// ` at #7`, or nothing.
fn at(seq: Option<Seq>) -> String {
    seq.map(|seq| format!(" at {seq}")).unwrap_or_default()
}

fn or_store(file: Option<&PathBuf>) -> String {
    file.map_or_else(|| "the store".to_owned(), |file| file.display().to_string())
}
