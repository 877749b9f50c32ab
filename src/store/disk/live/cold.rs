//! Reading without sled: from archive and journals, as a reader does that has no lock.
//!
//! So are frames read as long as nothing has opened sled, and after it has failed.

use super::{
    shared::{Shared, lock},
    tail::BLOCK,
};
use crate::{
    ids::{Root, Seq, Size},
    store::{Damage, Error, FrameRead, Frames, disk::look::Look},
};
use std::sync::Arc;

impl Shared {
    /// Frames from `seq` on, at least one, not beyond those of its group or chunk.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::Io`].
    pub(crate) fn read_cold(&self, seq: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let look = self.cold()?;
        if seq.size() > look.shown().size {
            look.refresh()?;
        }
        let frames = look.read(seq, bytes_max)?;
        if frames.is_empty() {
            return Err(Error::damaged(seq, self.root.clone(), Damage::Missing));
        }
        Ok(frames)
    }

    /// The frames of the whole block that begins with `first`; `None` if they are not all there.
    pub(crate) fn cold_block(&self, first: Seq) -> Option<Frames> {
        let mut frames = Vec::new();
        while let Some(left) = usize::try_from(BLOCK).ok()?.checked_sub(frames.len()) {
            if left == 0 {
                break;
            }
            let next = first.plus(u64::try_from(frames.len()).ok()?)?;
            frames.extend(self.read_cold(next, usize::MAX).ok()?.into_iter().take(left));
        }
        Frames::collect(first, frames.iter().map(Vec::as_slice))
    }

    /// The root after `size` events, if a journal or an archive names it.
    ///
    /// # Errors
    ///
    /// As [`read_cold`](Self::read_cold).
    pub(crate) fn cold_root(&self, size: Size) -> Result<Option<Root>, Error> {
        self.cold()?.root_at(size)
    }

    /// Closes files, which are opened again when they are needed: an erasure replaces them, and a journal
    /// that is removed takes space as long as it is open.
    pub(crate) fn forget_cold(&self) {
        lock(&self.cold).take();
    }

    fn cold(&self) -> Result<Arc<dyn FrameRead>, Error> {
        if let Some(look) = &*lock(&self.cold) {
            return Ok(Arc::clone(look));
        }
        let look = Look::open(&self.root)?.log;
        Ok(Arc::clone(lock(&self.cold).get_or_insert(look)))
    }
}
