//! Why a promise was not given, and why a node did not take over.

use super::{AppendError, Role};
use crate::{
    code::Code,
    ids::{Epoch, LedgerId},
    store,
};

/// The reason that a node did not promise an epoch. It is what it was before, unless the variant says
/// otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromiseError {
    /// A ledger of this role has no say in who is in charge.
    #[error("a ledger that is {role} promises nothing")]
    NotHere {
        /// Its role.
        role: Role,
    },
    /// The node has promised, or its log has reached, an epoch that is as high or higher. Ask again with
    /// a higher number.
    #[error("this node is bound to epoch {promised} already")]
    Higher {
        /// The highest epoch that it has promised or reached.
        promised: Epoch,
    },
    /// Too many requests wait. Try again.
    #[error("{max} requests are waiting already")]
    Busy {
        /// The limit of waiting requests.
        max: usize,
    },
    /// Storage failed, now or earlier, or the ledger is closed. Open it again.
    #[error("the ledger is halted")]
    Halted,
    /// The promise could not be stored, and was not given. Unless the error [passes](Self::is_retryable), the
    /// ledger is halted, and the promise may or may not be there after it is opened again.
    #[error("the promise could not be stored")]
    Store(#[source] store::Error),
}

impl PromiseError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotHere { .. } => Code::NotPrimary,
            Self::Higher { .. } => Code::Fenced,
            Self::Busy { .. } => Code::Busy,
            Self::Halted => Code::Halted,
            Self::Store(error) => error.code(),
        }
    }

    /// Says whether the same promise can be given later by this ledger.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Store(error) => error.is_retryable(),
            Self::NotHere { .. } | Self::Higher { .. } | Self::Halted => false,
        }
    }
}

/// The reason that a node did not take over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeOverError {
    /// A ledger of this role does not take over. Nothing has changed.
    #[error("a ledger that is {role} does not take over")]
    NotHere {
        /// Its role.
        role: Role,
    },
    /// The node has not promised this epoch. Nothing has changed: promise it first.
    #[error("epoch {epoch} was not promised{}", bound_to(.promised.as_ref()))]
    NotPromised {
        /// The epoch.
        epoch: Epoch,
        /// The epoch that it has promised, if there is one.
        promised: Option<Epoch>,
    },
    /// The log has events of an epoch that is as high or higher: another node was first. Nothing has
    /// changed.
    #[error("epoch {epoch} does not follow {reached}, which the log has reached")]
    Superseded {
        /// The epoch.
        epoch: Epoch,
        /// The epoch of the log.
        reached: Epoch,
    },
    /// The log holds only a part of the ledger that this one was copied from. Nothing has changed: wait
    /// until the events of this ledger are here.
    #[error("the events so far are those of ledger {found}, of which {expected} is a copy")]
    OtherLedger {
        /// This ledger.
        expected: LedgerId,
        /// The ledger of the last writer in the log.
        found: LedgerId,
    },
    /// Too many requests wait. Nothing has changed; try again.
    #[error("{max} requests are waiting already")]
    Busy {
        /// The limit of waiting requests.
        max: usize,
    },
    /// Storage failed earlier, or the ledger is closed. Nothing has changed; open it again.
    #[error("the ledger is halted")]
    Halted,
    /// The new role could not be stored. Unless the error [passes](Self::is_retryable), the ledger is halted,
    /// and the role may or may not be there after it is opened again.
    #[error("the new role could not be stored")]
    Store(#[source] store::Error),
    /// The role is stored, and the events that go with it could not be written. Until they are, the ledger
    /// takes neither appends nor frames: take over again, or open it again, which goes on with it.
    #[error("the epoch could not be begun")]
    Append(#[source] AppendError),
}

impl TakeOverError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotHere { .. } => Code::NotStandby,
            Self::NotPromised { .. } | Self::Superseded { .. } => Code::Fenced,
            Self::OtherLedger { .. } => Code::OtherHistory,
            Self::Busy { .. } => Code::Busy,
            Self::Halted => Code::Halted,
            Self::Store(error) => error.code(),
            Self::Append(error) => error.code(),
        }
    }

    /// Says whether taking over in the same epoch can succeed later on this ledger.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Store(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            Self::NotHere { .. }
            | Self::NotPromised { .. }
            | Self::Superseded { .. }
            | Self::OtherLedger { .. }
            | Self::Halted => false,
        }
    }
}

fn bound_to(promised: Option<&Epoch>) -> String {
    promised.map_or_else(|| "; none was".to_owned(), |epoch| format!("; {epoch} was"))
}
