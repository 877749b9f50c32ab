//! Snapshots of format 1: a header and a state as one run of bytes. No longer written.
//!
//! The header: magic 8, format u32, fold version u64, method u8, size u64, root 32, length of the
//! encoded state u64, and SHA-256 over all of that and the payload.

#[cfg(test)]
use super::MAGIC;
use super::{RATIO_MAX, SnapshotError, size_of, take};
use crate::{
    ids::{Head, Root, Size},
    state::{FOLD_VERSION, LedgerState},
};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

pub(super) const FORMAT: u32 = 1;

pub(super) fn decode(bytes: &[u8]) -> Result<(LedgerState, Head), SnapshotError> {
    let (raw, head) = unpack(bytes)?;
    Ok((LedgerState::from_bytes(&raw)?, head))
}

pub(super) fn state_digest(bytes: &[u8]) -> Result<([u8; 32], Head), SnapshotError> {
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
pub(super) enum Method {
    Stored,
    Zstd,
}

pub(super) struct Header {
    pub(super) method: Method,
    pub(super) head: Head,
    pub(super) len: u64,
}

impl Header {
    /// Puts the header before the payload.
    #[cfg(test)]
    pub(super) fn seal(&self, payload: &[u8]) -> Vec<u8> {
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
        let _: ([u8; 8], [u8; 4]) = (take(&mut rest)?, take(&mut rest)?); // magic and format
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

fn digest(header: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(header).chain_update(payload).finalize().into()
}
