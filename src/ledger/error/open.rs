//! Why a ledger could not be created or opened.

use super::{Damage, ReadError, TakeOverError, damage};
use crate::{
    code::Code,
    ids::{Epoch, Root, Seq},
    proof::ProofError,
    store,
};
use std::path::PathBuf;

/// The reason that a ledger could not be created or opened. Nothing was written, except by `Io`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
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
    /// It is an unfinished fork or restored backup, and no ledger. Make it again in the same place:
    /// that clears this one.
    #[error("{} is an unfinished copy", .path.display())]
    Unfinished {
        /// The path.
        path: PathBuf,
    },
    /// It was replaced when its node became a standby of another primary. It keeps events that are in no
    /// other history: it can be read, and takes neither appends nor frames.
    #[error("{} holds a history that parted from its ledger's", .path.display())]
    Diverged {
        /// The path.
        path: PathBuf,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the ledger at {} is open in {}", .path.display(), store::holder(*.pid))]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The process that holds it; 0 if unknown.
        pid: u32,
    },
    /// Another user has the directory, or could enter or change it, so nothing in it can be trusted.
    #[error("unsafe directory {}: {why}", .path.display())]
    UnsafeDir {
        /// The directory or file.
        path: PathBuf,
        /// The reason, which says what its owner can do.
        why: store::Unsafe,
    },
    /// A newer version wrote it.
    #[error("the ledger has {what} {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// The unknown thing: the format of a file or an event, or a tag or flag in it.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The highest number known here.
        max: u32,
    },
    /// It is shorter than it is known to have been.
    #[error("the log ends at event {found} but held {expected}")]
    LostTail {
        /// The number of events that it held durably.
        expected: u64,
        /// The number of events in it now.
        found: u64,
    },
    /// Stored bytes were changed.
    #[error(
        "the ledger is damaged{}: {}{detail}",
        .seq.map(|s| format!(" at {s}")).unwrap_or_default(),
        damage::within(.file.as_ref())
    )]
    Damaged {
        /// The first event that is affected, if it is known.
        seq: Option<Seq>,
        /// The file, if it is known and the store has files.
        file: Option<PathBuf>,
        /// The fault.
        detail: Damage,
    },
    /// The events can be read, but do not hash to the recorded roots.
    #[error("the history up to {at} does not hash to its root: expected {expected}, found {found}")]
    Tampered {
        /// The number of events whose root differs.
        at: u64,
        /// The root that was recorded.
        expected: Root,
        /// The root that the events have.
        found: Root,
    },
    /// An option has a value with which the ledger cannot work.
    #[error("the option {option} is {value}; it must be from {min} to {max}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: usize,
        /// The least that it may be.
        min: usize,
        /// The most that it may be, beside the other options.
        max: usize,
    },
    /// It was stopped while it took over in an epoch, and the rest could not be written now. Open it
    /// again, which goes on with it.
    #[error("the take-over in epoch {epoch}, which was begun, could not be finished")]
    TakeOver {
        /// The epoch.
        epoch: Epoch,
        /// The reason.
        #[source]
        source: TakeOverError,
    },
    /// The engine that holds the sealed blocks failed or panicked.
    #[error("the engine failed during {during}: {detail}")]
    Engine {
        /// The action that failed.
        during: &'static str,
        /// The message of the engine.
        detail: String,
    },
    /// The device or file system failed, or is full.
    #[error("storage could not be opened")]
    Io(#[source] store::Error),
}

impl OpenError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::Exists { .. } => Code::Exists,
            Self::Unfinished { .. } => Code::UnfinishedCopy,
            Self::Diverged { .. } => Code::Diverged,
            Self::InUse { .. } => Code::InUse,
            Self::UnsafeDir { .. } => Code::UnsafeDirectory,
            Self::UnsupportedFormat { .. } => Code::UnsupportedFormat,
            Self::LostTail { .. } => Code::LostTail,
            Self::Damaged { .. } => Code::Damaged,
            Self::Tampered { .. } => Code::Tampered,
            Self::Engine { .. } => Code::EngineFailed,
            Self::Option { .. } => Code::Invalid,
            Self::TakeOver { source, .. } => source.code(),
            Self::Io(error) => error.code(),
        }
    }
}

impl From<store::Error> for OpenError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound { path } => Self::NotFound { path },
            store::Error::Exists { path } => Self::Exists { path },
            store::Error::Unfinished { path } => Self::Unfinished { path },
            store::Error::Diverged { path } => Self::Diverged { path },
            store::Error::InUse { path, pid } => Self::InUse { path, pid },
            store::Error::UnsafeDir { path, why } => Self::UnsafeDir { path, why },
            store::Error::UnsupportedFormat { found, max, .. } => {
                Self::UnsupportedFormat { what: "format", found, max }
            }
            store::Error::Damaged { seq, file, detail } => {
                Self::Damaged { seq, file, detail: Damage::Store(detail) }
            }
            store::Error::LostTail { expected, found } => Self::LostTail { expected, found },
            store::Error::Engine { during, detail } => Self::Engine { during, detail },
            error @ (store::Error::NotNext { .. }
            | store::Error::TooLarge { .. }
            | store::Error::Full { .. }
            | store::Error::SealingBehind { .. }
            | store::Error::SealingStopped { .. }
            | store::Error::Backend { .. }
            | store::Error::Io { .. }
            | store::Error::Unsettled { .. }
            | store::Error::Replaced { .. }
            | store::Error::Halted) => Self::Io(error),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { seq, file, detail } => {
                Self::Damaged { seq: Some(seq), file, detail }
            }
            ReadError::UnsupportedFormat { what, found, max } => {
                Self::UnsupportedFormat { what, found, max }
            }
            ReadError::Store(error) => error.into(),
            ReadError::NoSuchEvent { seq, head } => {
                Self::LostTail { expected: seq.get(), found: head.size.get() }
            }
            ReadError::OtherHistory { expected, found } => {
                Self::Tampered { at: expected.size.get(), expected: expected.root, found }
            }
        }
    }
}

impl From<ProofError<ReadError>> for OpenError {
    fn from(error: ProofError<ReadError>) -> Self {
        ReadError::from(error).into()
    }
}
