//! What opening, appending and reading can answer. One variant for each thing a caller can do.

use crate::{
    code::Code,
    ids::{Head, Key, Root, Seq},
    proof::ProofError,
    state::Rejection,
    store,
};
use std::path::PathBuf;

/// Why a ledger could not be created or opened. Nothing was written, except by `Io` and `Full`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no ledger here. Opening never creates one.
    #[error("no ledger at {}", .path.display())]
    NotFound {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// There is a ledger, or something else, here already.
    #[error("{} is not empty", .path.display())]
    Exists {
        /// Where one was to be created.
        path: PathBuf,
    },
    /// It is a fork or a restored backup whose making was cut short, and no ledger. Make it again
    /// in the same place: that clears away what is there.
    #[error("{} is an unfinished copy", .path.display())]
    Unfinished {
        /// Where it is.
        path: PathBuf,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the ledger at {} is open in process {pid}", .path.display())]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The process that holds it.
        pid: u32,
    },
    /// Somebody else could change the directory, so nothing in it can be trusted.
    #[error("unsafe directory {}: {why}", .path.display())]
    UnsafeDir {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It was written by a newer version.
    #[error("the ledger has format {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// The format that was found.
        found: u32,
        /// The newest format known here.
        max: u32,
    },
    /// It is shorter than it is known to have been.
    #[error("the log ends at event {found} but held {expected}")]
    LostTail {
        /// Events that it held durably.
        expected: u64,
        /// Events that are there.
        found: u64,
    },
    /// Bytes are not those that were written.
    #[error("the ledger is damaged{}: {detail}", .seq.map(|s| format!(" at {s}")).unwrap_or_default())]
    Damaged {
        /// The first event that is affected, if it can be told.
        seq: Option<Seq>,
        /// Which file, and what does not hold.
        detail: String,
    },
    /// The events are readable, but are not those that the roots were made of.
    #[error("the history up to {at} does not hash to its root: expected {expected}, found {found}")]
    Tampered {
        /// Up to where.
        at: u64,
        /// The root that was recorded.
        expected: Root,
        /// The root that the events have.
        found: Root,
    },
    /// The engine that holds the sealed blocks failed or panicked.
    #[error("the engine failed during {during}: {detail}")]
    Engine {
        /// What was being done.
        during: &'static str,
        /// What it said.
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
            Self::InUse { .. } => Code::InUse,
            Self::UnsafeDir { .. } => Code::UnsafeDirectory,
            Self::UnsupportedFormat { .. } => Code::UnsupportedFormat,
            Self::LostTail { .. } => Code::LostTail,
            Self::Damaged { .. } => Code::Damaged,
            Self::Tampered { .. } => Code::Tampered,
            Self::Engine { .. } => Code::EngineFailed,
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
            store::Error::InUse { path, pid } => Self::InUse { path, pid },
            store::Error::UnsafeDir { path, why } => Self::UnsafeDir { path, why },
            store::Error::UnsupportedFormat { found, max, .. } => {
                Self::UnsupportedFormat { found, max }
            }
            store::Error::Damaged { seq, file, detail } => {
                Self::Damaged { seq, detail: format!("{}: {detail}", file.display()) }
            }
            store::Error::LostTail { expected, found } => Self::LostTail { expected, found },
            store::Error::Engine { during, detail } => Self::Engine { during, detail },
            error @ (store::Error::NotNext { .. }
            | store::Error::TooLarge { .. }
            | store::Error::Full { .. }
            | store::Error::Busy { .. }
            | store::Error::Io { .. }
            | store::Error::Halted) => Self::Io(error),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { seq, detail } => Self::Damaged { seq: Some(seq), detail },
            ReadError::UnsupportedFormat { found, max } => Self::UnsupportedFormat { found, max },
            ReadError::Store(error) => error.into(),
            error @ (ReadError::NoSuchEvent { .. } | ReadError::OtherHistory { .. }) => {
                Self::Damaged { seq: None, detail: error.to_string() }
            }
        }
    }
}

/// Why an append was not acknowledged. Unless said otherwise, nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something is larger than its limit.
    #[error("{what} of {len}; the limit is {max}")]
    TooLarge {
        /// What, and its unit.
        what: &'static str,
        /// Its size.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// It cannot be recorded as it stands.
    #[error("{why}")]
    Invalid {
        /// What is wrong with it.
        why: String,
    },
    /// Too many requests wait. Try again.
    #[error("{max} appends are waiting already")]
    Busy {
        /// How many may.
        max: usize,
    },
    /// There is no space on the disk. Reads go on; try again when there is.
    #[error("no space left on the ledger's disk")]
    DiskFull,
    /// There are events that the caller has not seen. Read, and decide again.
    #[error("the last event is {}, not {}", show(.actual.as_ref()), show(.expected.as_ref()))]
    Conflict {
        /// The last event that the caller has seen.
        expected: Option<Seq>,
        /// The last event that there is.
        actual: Option<Seq>,
    },
    /// The idempotency key belongs to another command.
    #[error("the key was used for another command, which is event {seq}")]
    KeyReused {
        /// The event that has the key.
        seq: Seq,
    },
    /// This ledger was opened for reading, or is a standby.
    #[error("this ledger takes no appends")]
    NotPrimary,
    /// Frames from elsewhere do not continue this log.
    #[error("event {at} does not continue this log: {why}")]
    NotContinuation {
        /// The event.
        at: Seq,
        /// What does not fit.
        why: String,
    },
    /// Storage failed while this append was in flight. It may or may not be there after the
    /// ledger is opened again; with a key, appending it again is safe.
    #[error("storage failed: whether the append was kept is unknown until the ledger is opened")]
    OutcomeUnknown {
        /// The key of the first proposal, if it had one.
        key: Option<Key>,
    },
    /// Storage failed earlier, or the ledger is closed. Open it again.
    #[error("the ledger is halted")]
    Halted,
}

impl AppendError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Invalid { .. } => Code::Invalid,
            Self::Busy { .. } => Code::Busy,
            Self::DiskFull => Code::DiskFull,
            Self::Conflict { .. } => Code::Conflict,
            Self::KeyReused { .. } => Code::KeyReused,
            Self::NotPrimary => Code::NotPrimary,
            Self::NotContinuation { .. } => Code::DiscontinuityFrame,
            Self::OutcomeUnknown { .. } => Code::OutcomeUnknown,
            Self::Halted => Code::Halted,
        }
    }
}

impl From<Rejection> for AppendError {
    fn from(rejection: Rejection) -> Self {
        if let Rejection::Conflict { expected, actual } = rejection {
            return Self::Conflict { expected, actual };
        }
        if let Rejection::TooLarge { what, len, max } = rejection {
            return Self::TooLarge { what, len, max };
        }
        Self::Rejected(rejection)
    }
}

fn show(seq: Option<&Seq>) -> String {
    seq.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl AppendError {
    /// Whether the same append can succeed later on this ledger.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::DiskFull => true,
            Self::Rejected(_)
            | Self::TooLarge { .. }
            | Self::Invalid { .. }
            | Self::Conflict { .. }
            | Self::KeyReused { .. }
            | Self::NotPrimary
            | Self::NotContinuation { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Halted => false,
        }
    }

    /// A name for each kind, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid { .. } => "invalid",
            Self::Busy { .. } => "busy",
            Self::DiskFull => "disk_full",
            Self::Conflict { .. } => "conflict",
            Self::KeyReused { .. } => "key_reused",
            Self::NotPrimary => "not_primary",
            Self::NotContinuation { .. } => "not_continuation",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Halted => "halted",
        }
    }
}

/// Why something of the past could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such event.
    #[error("no event {seq}: the log holds {}", .head.size)]
    NoSuchEvent {
        /// The event.
        seq: Seq,
        /// The end of the log.
        head: Head,
    },
    /// What is stored is not what was written.
    #[error("event {seq} is damaged: {detail}")]
    Damaged {
        /// The event.
        seq: Seq,
        /// What does not hold.
        detail: String,
    },
    /// It was written by a newer version.
    #[error("an event has format {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// The format that was found.
        found: u32,
        /// The newest format known here.
        max: u32,
    },
    /// The head that was named is not of this history.
    #[error("the history at {} has another root: expected {}, found {found}", .expected.size, .expected.root)]
    OtherHistory {
        /// What the caller has seen.
        expected: Head,
        /// The root there in this ledger.
        found: Root,
    },
    /// Storage failed.
    #[error("storage could not be read")]
    Store(#[source] store::Error),
}

impl ReadError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoSuchEvent { .. } => Code::NoSuchEvent,
            Self::Damaged { .. } => Code::Damaged,
            Self::UnsupportedFormat { .. } => Code::UnsupportedFormat,
            Self::OtherHistory { .. } => Code::OtherHistory,
            Self::Store(error) => error.code(),
        }
    }
}

impl From<store::Error> for ReadError {
    fn from(error: store::Error) -> Self {
        if let store::Error::Damaged { seq: Some(seq), file, detail } = error {
            return Self::Damaged { seq, detail: format!("{}: {detail}", file.display()) };
        }
        Self::Store(error)
    }
}

impl From<ProofError<Self>> for ReadError {
    fn from(error: ProofError<Self>) -> Self {
        let detail = error.to_string();
        let seq = match error {
            ProofError::Source(error) => return error,
            ProofError::MissingLeaves { first, .. } => first,
            ProofError::OutOfRange { size } => Seq::last_of(size).unwrap_or(Seq::FIRST),
            ProofError::MissingTreeHash { .. } => Seq::FIRST,
        };
        Self::Damaged { seq, detail }
    }
}

impl From<ProofError<ReadError>> for OpenError {
    fn from(error: ProofError<ReadError>) -> Self {
        ReadError::from(error).into()
    }
}
