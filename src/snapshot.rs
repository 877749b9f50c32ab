//! Saved states: when to save one, its bytes, and when to distrust it.
//!
//! A snapshot saves the fold of the events before it, and is never needed: a snapshot that cannot
//! be read, or that another version of the fold wrote, is skipped, and the log is folded instead.
//! Knows no files and no log: the caller compares the [`Head`] of a loaded snapshot with that of
//! the log.
//!
//! Format 2 is written, in sections that are read one by one (`sectioned.rs`); format 1, one run of
//! bytes, is still read (`whole.rs`). Start reading at [`encode`].

use crate::{
    code::Code,
    ids::Head,
    state::{DecodeError, LedgerState},
    store,
};
use std::io;

mod ladder;
mod sectioned;
mod whole;

pub use ladder::{BYTES_PER_EVENT, Rung, surplus};
pub(crate) use sectioned::Sectioned;

/// The smallest number of events between two snapshots.
pub const EVENTS_BETWEEN_MIN: u64 = 10_000;
/// The fewest events between the snapshots that are taken at the end: they replay in some milliseconds.
const EVENTS_AT_CLOSE_MIN: u64 = 1_000;

const MAGIC: [u8; 8] = *b"tlsnap\r\n";
/// The level of zstd. Saving is off the commit path and loading is not, and bytes that compress
/// fast also decompress fast.
const ZSTD_LEVEL: i32 = 1;
/// The most bytes that one compressed byte can stand for. A state that would shrink more is stored
/// uncompressed, so that a few bytes cannot claim much memory.
const RATIO_MAX: u64 = 1_000;

/// The reason that bytes are not a usable snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not start like a snapshot, or end within its header.
    #[error("not a snapshot")]
    NotASnapshot,
    /// The bytes have a layout that this version does not know.
    #[error("snapshot format {found}; this version reads {known}")]
    UnsupportedFormat {
        /// Their format.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// Another version of the fold wrote them.
    #[error("snapshot of fold version {found}; this version folds {known}")]
    OtherFold {
        /// The version that wrote them.
        found: u64,
        /// The version of this fold.
        known: u64,
    },
    /// The bytes were changed: their digest does not match.
    #[error("snapshot is damaged: its digest does not match")]
    Damaged,
    /// The digest matches, but the state has another length than the header says.
    #[error("snapshot says that it holds {said} bytes, which it does not")]
    WrongLength {
        /// The length in the header.
        said: u64,
    },
    /// The payload could not be decompressed.
    #[error("snapshot cannot be decompressed")]
    Compression {
        /// The error of the decompressor.
        #[source]
        source: io::Error,
    },
    /// The payload is not a state.
    #[error("snapshot holds no state")]
    State {
        /// The first value that is not valid.
        #[from]
        source: DecodeError,
    },
    /// The store could not read the bytes.
    #[error("snapshot cannot be read")]
    Read {
        /// The error of the store.
        #[from]
        source: store::Error,
    },
    /// The state has another size than the header says.
    #[error("snapshot of {said} events holds a state of {found}")]
    WrongSize {
        /// The size in the header.
        said: u64,
        /// The size of the state.
        found: u64,
    },
}

impl SnapshotError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnsupportedFormat { .. } | Self::OtherFold { .. } => Code::UnsupportedFormat,
            Self::NotASnapshot
            | Self::Damaged
            | Self::WrongLength { .. }
            | Self::Compression { .. }
            | Self::WrongSize { .. } => Code::Damaged,
            Self::State { source } => source.code(),
            Self::Read { source } => source.code(),
        }
    }
}

/// Says whether a snapshot is worth its cost: replay may cost as much as loading one does.
#[must_use]
pub fn due(events_since_last: u64, tasks: usize) -> bool {
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    events_since_last > tasks.max(EVENTS_BETWEEN_MIN)
}

/// As [`due`], when the ledger is closed: the next opening replays what no snapshot holds. Small states
/// are saved sooner, so that each of many short openings replays little.
#[must_use]
pub fn due_to_close(events_since_last: u64, tasks: usize) -> bool {
    let twentieth = u64::try_from(tasks / 20).unwrap_or(u64::MAX);
    events_since_last > twentieth.clamp(EVENTS_AT_CLOSE_MIN, EVENTS_BETWEEN_MIN)
}

/// Encodes a state as a snapshot for `head`. O(state); blocks for about a second per million tasks.
///
/// # Panics
/// If `head` is not the head of the state: such a snapshot would falsify every later state.
#[must_use]
pub fn encode(state: &LedgerState, head: Head) -> Vec<u8> {
    assert_eq!(state.size(), head.size, "a snapshot is named by the last event in it");
    sectioned::encode(state, head)
}

/// Decodes the state in a snapshot and the head that it stands for. O(bytes); about half a second
/// per million tasks.
///
/// # Errors
/// The first fault in the bytes that a state is made of. Fold the log instead.
pub fn decode(bytes: &[u8]) -> Result<(LedgerState, Head), SnapshotError> {
    let (state, head) = match format(bytes)? {
        whole::FORMAT => whole::decode(bytes)?,
        _ => Sectioned::open(bytes)?.load()?,
    };
    if state.size() != head.size {
        return Err(SnapshotError::WrongSize { said: head.size.get(), found: state.size().get() });
    }
    Ok((state, head))
}

/// The digest of a state in a snapshot. It depends on the state and on the format alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateDigest {
    format: u32,
    sha256: [u8; 32],
}

impl StateDigest {
    /// Says whether this is the digest of that state. O(state).
    #[must_use]
    pub fn is_of(&self, state: &LedgerState) -> bool {
        let sha256 = match self.format {
            whole::FORMAT => state.digest(),
            _ => sectioned::digest(state),
        };
        sha256 == self.sha256
    }
}

/// Reads the digest of the state in a snapshot, and the head that it stands for. O(bytes), a tenth
/// of the cost of decoding: the bytes are checked to be whole, and not to be a state.
///
/// # Errors
/// As [`decode`], except those about the state.
pub fn state_digest(bytes: &[u8]) -> Result<(StateDigest, Head), SnapshotError> {
    let format = format(bytes)?;
    let (sha256, head) = match format {
        whole::FORMAT => whole::state_digest(bytes)?,
        _ => Sectioned::open(bytes)?.digest()?,
    };
    Ok((StateDigest { format, sha256 }, head))
}

/// The format of a snapshot, which is one that can be read.
fn format(bytes: &[u8]) -> Result<u32, SnapshotError> {
    let mut rest = bytes;
    if take(&mut rest)? != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    match u32::from_le_bytes(take(&mut rest)?) {
        found @ (whole::FORMAT | sectioned::FORMAT) => Ok(found),
        found => Err(SnapshotError::UnsupportedFormat { found, known: sectioned::FORMAT }),
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (taken, rest) = from.split_first_chunk().ok_or(SnapshotError::NotASnapshot)?;
    *from = rest;
    Ok(*taken)
}

fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
