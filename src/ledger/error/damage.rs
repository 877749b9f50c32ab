//! What can be wrong with an event that was recorded, as facts.

use crate::{codec, ids::Seq, proof::ProofError, store};
use std::{convert::Infallible, path::PathBuf};

/// What does not hold of stored events. Which event and which file stand beside it, in
/// [`OpenError::Damaged`](super::OpenError::Damaged) and
/// [`ReadError::Damaged`](super::ReadError::Damaged).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A file of the store does not hold.
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
    /// The log goes on behind the event, but the store does not hold it.
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
    /// The hash tree is not whole.
    #[error(transparent)]
    Tree(ProofError<Infallible>),
}

/// `FILE: `, or nothing: how the file stands in the text of an error.
pub(super) fn within(file: Option<&PathBuf>) -> String {
    file.map(|file| format!("{}: ", file.display())).unwrap_or_default()
}
