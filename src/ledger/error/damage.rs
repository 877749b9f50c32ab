//! Faults of recorded events, as facts.

use crate::{codec, ids::Seq, proof::ProofError, store};
use std::{convert::Infallible, path::PathBuf};

/// A fault of stored events. The event and the file stand beside it, in
/// [`OpenError::Damaged`](super::OpenError::Damaged) and
/// [`ReadError::Damaged`](super::ReadError::Damaged).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A fault in a file of the store.
    #[error(transparent)]
    Store(store::Damage),
    /// The bytes are not a frame of the log.
    #[error(transparent)]
    Frame(#[from] codec::DecodeError),
    /// The frame is that of another event.
    #[error("its frame says that it is event {found}")]
    OtherEvent {
        /// The event that the frame is of.
        found: Seq,
    },
    /// The log continues after the event, but the store does not hold it.
    #[error("the store does not hold it")]
    Missing,
    /// A result has more levels than can be read.
    #[error("a result of {levels} levels; the limit is {max} levels")]
    TooDeep {
        /// Its levels.
        levels: usize,
        /// The limit.
        max: usize,
    },
    /// The hash tree is incomplete.
    #[error(transparent)]
    Tree(ProofError<Infallible>),
}

/// `FILE: `, or nothing: the form of the file in the text of an error.
pub(super) fn within(file: Option<&PathBuf>) -> String {
    file.map(|file| format!("{}: ", file.display())).unwrap_or_default()
}
