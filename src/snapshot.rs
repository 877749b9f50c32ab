//! Saved states: when to save one, its bytes, and when to distrust it.
//!
//! A snapshot saves the fold of the events before it, and is never needed: a snapshot that cannot
//! be read, or that another version of the fold wrote, is skipped, and the log is folded instead.
//! Knows no files and no log: the caller compares the [`Head`] of a loaded snapshot with that of
//! the log.
//!
//! Start reading at [`encode`].

use crate::{
    code::Code,
    ids::{Head, Root, Size},
    state::{DecodeError, FOLD_VERSION, LedgerState},
};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, io};

mod ladder;

pub use ladder::{BYTES_PER_EVENT, Rung, surplus};

/// The smallest number of events between two snapshots.
pub const EVENTS_BETWEEN_MIN: u64 = 10_000;

const MAGIC: [u8; 8] = *b"tlsnap\r\n";
const FORMAT: u32 = 1;
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
        /// The only format that this version knows.
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
        #[source]
        source: DecodeError,
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
        }
    }
}

/// Says whether a snapshot is worth its cost: replay may cost as much as loading one does.
#[must_use]
pub fn due(events_since_last: u64, tasks: usize) -> bool {
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    events_since_last > tasks.max(EVENTS_BETWEEN_MIN)
}

/// Encodes a state as a snapshot for `head`. O(state); blocks for about a second per million tasks.
///
/// # Panics
/// If `head` is not the head of the state: such a snapshot would falsify every later state.
#[must_use]
pub fn encode(state: &LedgerState, head: Head) -> Vec<u8> {
    assert_eq!(state.size(), head.size, "a snapshot is named by the last event in it");
    let raw = state.to_bytes();
    let len = size_of(&raw);
    let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).ok();
    let packed = packed.filter(|packed| len <= size_of(packed).saturating_mul(RATIO_MAX));
    let (method, payload) = match packed {
        Some(packed) => (Method::Zstd, packed),
        None => (Method::Stored, raw),
    };
    Header { method, head, len }.seal(&payload)
}

/// Decodes the state in a snapshot and the head that it stands for. O(bytes); about half a second
/// per million tasks.
///
/// # Errors
/// The first fault in the bytes. Fold the log instead.
pub fn decode(bytes: &[u8]) -> Result<(LedgerState, Head), SnapshotError> {
    let (raw, head) = unpack(bytes)?;
    let state = LedgerState::from_bytes(&raw).map_err(|source| SnapshotError::State { source })?;
    if state.size() != head.size {
        return Err(SnapshotError::WrongSize { said: head.size.get(), found: state.size().get() });
    }
    Ok((state, head))
}

/// Reads the [digest](LedgerState::digest) of the state in a snapshot, and the head that it stands
/// for. O(bytes), a tenth of the cost of decoding: the bytes are not checked to be a state.
///
/// # Errors
/// As [`decode`], except those about the state.
pub fn state_digest(bytes: &[u8]) -> Result<([u8; 32], Head), SnapshotError> {
    let (raw, head) = unpack(bytes)?;
    Ok((Sha256::digest(raw).into(), head))
}

/// The encoded state in a snapshot, and the head that it stands for.
fn unpack(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Head), SnapshotError> {
    let (Header { method, head, len }, payload) = Header::open(bytes)?;
    match method {
        Method::Stored if size_of(payload) == len => Ok((payload.into(), head)),
        Method::Zstd if len <= size_of(payload).saturating_mul(RATIO_MAX) => {
            let capacity = usize::try_from(len).unwrap_or(usize::MAX);
            let raw = zstd::bulk::decompress(payload, capacity)
                .map_err(|source| SnapshotError::Compression { source })?;
            if size_of(&raw) != len {
                return Err(SnapshotError::WrongLength { said: len });
            }
            Ok((raw.into(), head))
        }
        Method::Stored | Method::Zstd => Err(SnapshotError::WrongLength { said: len }),
    }
}

/// The way in which the payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored,
    Zstd,
}

/// The bytes before the payload: magic 8, format u32, fold version u64, method u8, size u64, root
/// 32, length of the encoded state u64, and SHA-256 over all of that and the payload.
struct Header {
    method: Method,
    head: Head,
    len: u64,
}

impl Header {
    /// Puts the header before the payload.
    fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(payload.len() + 128);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(FOLD_VERSION.to_le_bytes());
        bytes.push(match self.method {
            Method::Stored => 0,
            Method::Zstd => 1,
        });
        bytes.extend(self.head.size.get().to_le_bytes());
        bytes.extend(self.head.root.0);
        bytes.extend(self.len.to_le_bytes());
        let digest = digest(&bytes, payload);
        bytes.extend(digest);
        bytes.extend(payload);
        bytes
    }

    /// Checks the header, and returns it and the payload.
    fn open(bytes: &[u8]) -> Result<(Self, &[u8]), SnapshotError> {
        let mut rest = bytes;
        if take(&mut rest)? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let found = u32::from_le_bytes(take(&mut rest)?);
        if found != FORMAT {
            return Err(SnapshotError::UnsupportedFormat { found, known: FORMAT });
        }
        let fold = u64::from_le_bytes(take(&mut rest)?);
        let [method] = take(&mut rest)?;
        let size = u64::from_le_bytes(take(&mut rest)?);
        let root = Root(take(&mut rest)?);
        let len = u64::from_le_bytes(take(&mut rest)?);
        let covered = bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes);
        let expected: [u8; 32] = take(&mut rest)?;
        if digest(covered, rest) != expected {
            return Err(SnapshotError::Damaged);
        }
        if fold != FOLD_VERSION {
            return Err(SnapshotError::OtherFold { found: fold, known: FOLD_VERSION });
        }
        let method = match method {
            0 => Method::Stored,
            1 => Method::Zstd,
            _ => return Err(SnapshotError::NotASnapshot),
        };
        Ok((Self { method, head: Head { size: Size::new(size), root }, len }, rest))
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (taken, rest) = from.split_first_chunk().ok_or(SnapshotError::NotASnapshot)?;
    *from = rest;
    Ok(*taken)
}

fn digest(header: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(header).chain_update(payload).finalize().into()
}

fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
