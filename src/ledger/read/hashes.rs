//! The hash tree of a log, as its store holds it.

use crate::{
    codec,
    ids::Seq,
    ledger::{ReadError, commit::shared::unreadable},
    proof::{self, HashSource},
    store::FrameLog,
};

/// The bytes of a usual block. A larger one is read event by event.
pub(super) const BLOCK_BYTES: usize = 12 << 10;

/// The hashes of the tree as the log holds them: tree hashes from the store, leaves from the
/// frames.
pub(crate) struct LogHashes<'a>(pub(crate) &'a dyn FrameLog);

impl HashSource for LogHashes<'_> {
    type Error = ReadError;

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, ReadError> {
        Ok(self.0.tree_hash(index)?)
    }

    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, ReadError> {
        let mut hashes = Vec::new();
        let mut next = first;
        while u64::try_from(hashes.len()).unwrap_or(u64::MAX) < count {
            let frames = self.0.read(next, BLOCK_BYTES)?;
            if frames.is_empty() {
                return Err(ReadError::missing(next));
            }
            for frame in
                frames.iter().take(usize::try_from(count).unwrap_or(usize::MAX) - hashes.len())
            {
                let leaf = codec::leaf(frame).map_err(|error| unreadable(next, error))?;
                hashes.push(proof::leaf_hash(leaf));
                next = next.next().unwrap_or(next);
            }
        }
        Ok(hashes)
    }
}
