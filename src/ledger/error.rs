//! Errors of opening, appending and reading. One variant for each thing that a caller can do.

use super::Role;
use crate::{
    code::Code,
    codec::DecodeError,
    event::PartKind,
    ids::{Epoch, Head, Key, Root, Seq},
    proof::ProofError,
    state::Rejection,
    store,
};
use std::{fmt, path::PathBuf, sync::Arc};

mod damage;
mod discontinuity;
mod open;
mod taking_over;
#[cfg(test)]
mod tests;

pub use damage::Damage;
pub use discontinuity::{Discontinuity, Fork};
pub use open::OpenError;
pub use taking_over::{PromiseError, TakeOverError};

/// The reason that an append was not acknowledged. Unless the variant says otherwise, nothing was
/// written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(Rejection),
    /// A value is larger than its limit.
    #[error("{what} of {len} {unit}; the limit is {max} {unit}")]
    TooLarge {
        /// The value.
        what: &'static str,
        /// Its size.
        len: usize,
        /// The limit.
        max: usize,
        /// The unit of both.
        unit: Unit,
    },
    /// An event that the append depends on could not be read: the one with its idempotency key, or
    /// the one that it redacts.
    #[error("event {seq}, which it depends on, could not be read")]
    Unreadable {
        /// The event.
        seq: Seq,
        /// The error of that read.
        #[source]
        source: Arc<ReadError>,
    },
    /// Too many requests wait. Try again.
    #[error("{max} appends are waiting already")]
    Busy {
        /// The limit of these bytes.
        max: usize,
    },
    /// Too many bytes wait to be sealed. Try again when the sealer has caught up.
    #[error("{waiting} bytes wait to be sealed; the limit is {max} bytes")]
    SealingBehind {
        /// The number of bytes that wait.
        waiting: usize,
        /// The limit of these bytes.
        max: usize,
    },
    /// Sealing has stopped after a failure, which the log of the process names, and no more bytes
    /// may wait for it. Reads go on; appends do once the ledger is opened again.
    #[error("sealing has stopped, and {waiting} bytes wait for it; the limit is {max} bytes")]
    SealingStopped {
        /// The number of bytes that wait.
        waiting: usize,
        /// The limit of these bytes.
        max: usize,
    },
    /// The engine below the store cannot be reached now. Try again.
    #[error("storage cannot be reached")]
    StorageUnavailable {
        /// The error of the store.
        #[source]
        source: Arc<store::Error>,
    },
    /// There is no space on the disk. Reads go on; try again when there is space.
    #[error("no space left on the ledger's disk")]
    DiskFull,
    /// The task or thread has events that the caller has not seen. Read, and decide again.
    #[error("the last event is {}, not {}", show(.actual.as_ref()), show(.expected.as_ref()))]
    Conflict {
        /// The last event that the caller has seen.
        expected: Option<Seq>,
        /// The last event in the log.
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
    /// This ledger takes no frames: it is a primary, or was opened for reading.
    #[error("this ledger takes no frames of another one")]
    NotStandby,
    /// Another node took over from this one, which takes no more requests.
    #[error("this ledger is fenced by epoch {by}: another node is in charge")]
    Fenced {
        /// The epoch of that node.
        by: Epoch,
    },
    /// Frames from elsewhere do not continue this log.
    #[error("event {at} does not continue this log: {why}")]
    NotContinuation {
        /// The event.
        at: Seq,
        /// The reason.
        why: Discontinuity,
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
            Self::Unreadable { source, .. } => source.code(),
            Self::Busy { .. } => Code::Busy,
            Self::SealingBehind { .. } => Code::SealingBehind,
            Self::SealingStopped { .. } => Code::SealingStopped,
            Self::StorageUnavailable { source } => source.code(),
            Self::DiskFull => Code::DiskFull,
            Self::Conflict { .. } => Code::Conflict,
            Self::KeyReused { .. } => Code::KeyReused,
            Self::NotPrimary => Code::NotPrimary,
            Self::NotStandby => Code::NotStandby,
            Self::Fenced { .. } => Code::Fenced,
            Self::NotContinuation { why, .. } => why.code(),
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
            return Self::TooLarge { what, len, max, unit: Unit::Bytes };
        }
        Self::Rejected(rejection)
    }
}

fn show(seq: Option<&Seq>) -> String {
    seq.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl AppendError {
    /// Says whether the same append can succeed later on this ledger.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::SealingBehind { .. }
            | Self::StorageUnavailable { .. }
            | Self::DiskFull => true,
            Self::Rejected(_)
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::SealingStopped { .. }
            | Self::Conflict { .. }
            | Self::KeyReused { .. }
            | Self::NotPrimary
            | Self::NotStandby
            | Self::Fenced { .. }
            | Self::NotContinuation { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Halted => false,
        }
    }

    /// The answer to an append that the store refused, so that nothing was written.
    ///
    /// # Errors
    /// The error again, if the store failed: what was written is unknown.
    pub(crate) fn of_refusal(error: store::Error) -> Result<Self, store::Error> {
        match error {
            store::Error::Full { .. } => Ok(Self::DiskFull),
            store::Error::TooLarge { what, len, max } => {
                Ok(Self::TooLarge { what, len, max, unit: Unit::Bytes })
            }
            store::Error::SealingBehind { waiting, max } => {
                Ok(Self::SealingBehind { waiting, max })
            }
            store::Error::SealingStopped { waiting, max } => {
                Ok(Self::SealingStopped { waiting, max })
            }
            error @ store::Error::Backend { retryable: true, .. } => {
                Ok(Self::StorageUnavailable { source: Arc::new(error) })
            }
            error @ (store::Error::Backend { retryable: false, .. }
            | store::Error::NotFound { .. }
            | store::Error::Exists { .. }
            | store::Error::Unfinished { .. }
            | store::Error::Diverged { .. }
            | store::Error::InUse { .. }
            | store::Error::Unsettled { .. }
            | store::Error::Replaced { .. }
            | store::Error::UnsafeDir { .. }
            | store::Error::UnsupportedFormat { .. }
            | store::Error::NotNext { .. }
            | store::Error::Io { .. }
            | store::Error::Damaged { .. }
            | store::Error::LostTail { .. }
            | store::Error::Engine { .. }
            | store::Error::Halted) => Err(error),
        }
    }

    /// A name for each kind, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::TooLarge { .. } => "too_large",
            Self::Unreadable { .. } => "unreadable",
            Self::Busy { .. } => "busy",
            Self::SealingBehind { .. } => "sealing_behind",
            Self::SealingStopped { .. } => "sealing_stopped",
            Self::StorageUnavailable { .. } => "storage_unavailable",
            Self::DiskFull => "disk_full",
            Self::Conflict { .. } => "conflict",
            Self::KeyReused { .. } => "key_reused",
            Self::NotPrimary => "not_primary",
            Self::NotStandby => "not_standby",
            Self::Fenced { .. } => "fenced",
            Self::NotContinuation { .. } => "not_continuation",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Halted => "halted",
        }
    }
}

/// The reason that redacted texts were not removed from every file. Files that were not reached still
/// hold them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// A ledger of this role is not purged.
    #[error("a ledger that is {role} cannot be purged")]
    NotHere {
        /// Its role.
        role: Role,
    },
    /// Too many requests wait. Try again.
    #[error("{max} requests are waiting already")]
    Busy {
        /// The limit of waiting requests.
        max: usize,
    },
    /// Storage failed earlier, or the ledger is closed. Open it again.
    #[error("the ledger is halted")]
    Halted,
    /// A file could not be rewritten. Purge again.
    #[error("the files could not be rewritten")]
    Store(#[from] store::Error),
}

impl PurgeError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotHere { role: Role::Fenced { .. } } => Code::Fenced,
            Self::NotHere {
                role: Role::Primary | Role::Standby | Role::Copying | Role::ReadOnly,
            } => Code::NotPrimary,
            Self::Busy { .. } => Code::Busy,
            Self::Halted => Code::Halted,
            Self::Store(error) => error.code(),
        }
    }
}

/// The unit of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Events.
    Events,
    /// Arrays and objects of JSON within one another.
    Levels,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Events => "events",
            Self::Levels => "levels",
        })
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
    /// The stored bytes of the event were changed.
    #[error("event {seq} is damaged: {}{detail}", damage::within(.file.as_ref()))]
    Damaged {
        /// The event.
        seq: Seq,
        /// The file, if it is known and the store has files.
        file: Option<PathBuf>,
        /// The fault.
        detail: Damage,
    },
    /// A newer version wrote it.
    #[error("an event has {what} {found}; this version reads up to {max}")]
    UnsupportedFormat {
        /// The unknown thing: the format, or a tag or flag in it.
        what: &'static str,
        /// Its number.
        found: u32,
        /// The highest number known here.
        max: u32,
    },
    /// The caller's head does not belong to this history.
    #[error("the history at {} has another root: expected {}, found {found}", .expected.size, .expected.root)]
    OtherHistory {
        /// The head that the caller has seen.
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
            return Self::Damaged { seq, file, detail: Damage::Store(detail) };
        }
        Self::Store(error)
    }
}

impl ReadError {
    /// Makes the error for changed bytes of event `seq`.
    pub(crate) fn damaged(seq: Seq, detail: impl Into<Damage>) -> Self {
        Self::Damaged { seq, file: None, detail: detail.into() }
    }

    /// Makes the error for event `seq`, which the store should hold and does not.
    pub(crate) fn missing(seq: Seq) -> Self {
        Self::damaged(seq, Damage::Missing)
    }

    /// Makes the error for a text of event `seq` that is not the one that was recorded.
    pub(crate) fn forged(seq: Seq, kind: PartKind) -> Self {
        Self::damaged(seq, DecodeError::Mismatch { kind })
    }
}

impl From<ProofError<Self>> for ReadError {
    fn from(error: ProofError<Self>) -> Self {
        let (seq, fault) = match error {
            ProofError::Source(error) => return error,
            ProofError::MissingLeaves { first, expected, found } => {
                (first, ProofError::MissingLeaves { first, expected, found })
            }
            ProofError::OutOfRange { size } => {
                (Seq::new(size).unwrap_or(Seq::FIRST), ProofError::OutOfRange { size })
            }
            ProofError::MissingTreeHash { index } => {
                (Seq::FIRST, ProofError::MissingTreeHash { index })
            }
        };
        Self::damaged(seq, Damage::Tree(fault))
    }
}
