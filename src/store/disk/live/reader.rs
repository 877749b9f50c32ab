//! Reading: the tail first, then sled if it is open, or else archive and journals.

use super::{
    shared::{Shared, lock},
    tail::{BLOCK, block_start},
};
use crate::{
    ids::{Root, Seq, Size},
    store::{
        Damage, Error, Frames,
        disk::files::sector::{narrow, next_after, wide},
    },
};
use std::sync::atomic::Ordering;

impl Shared {
    /// See [`crate::store::FrameLog::read`].
    pub(crate) fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.check_open()?;
        let written = self.progress().record.written.size;
        let mut taken = Taken { frames: Vec::new(), bytes: 0, bytes_max };
        let mut next = from.get();
        while let Some(seq) = Seq::new(next).filter(|seq| seq.get() <= written.get()) {
            let found = lock(&self.tail).read(seq, taken.left());
            if let Some(frames) = found {
                taken.fill(frames.iter().map(AsRef::as_ref));
                break;
            }
            if self.open_engine().is_none()
                && let Ok(frames) = self.read_cold(seq, taken.left())
            {
                next += wide(frames.len());
                if taken.fill(frames.iter().map(AsRef::as_ref)) == Room::None {
                    break;
                }
                continue;
            }
            let before = block_start(next - 1);
            let block = self.sealed_block(before)?;
            let wanted = block.iter().skip(narrow(next - 1 - before));
            if taken.fill(wanted.map(|(_, frame)| frame)) == Room::None {
                break;
            }
            next = before + BLOCK + 1;
        }
        Ok(taken.frames)
    }

    /// The frames of the whole block after `before` events: from sled or, if sled has failed, from
    /// archive and journals.
    fn sealed_block(&self, before: u64) -> Result<Frames, Error> {
        let first = next_after(before);
        let whole = |frames: &Frames| wide(frames.len()) == BLOCK;
        let failure = match self.engine().and_then(|sled| sled.block(first)) {
            Ok(Some(frames)) if whole(&frames) => return Ok(frames),
            Ok(_) => {
                let engine = self.engine_path(self.progress().record.engine);
                Error::damaged(first, engine, Damage::MissingBlock)
            }
            Err(error) => error,
        };
        let ledger = self.root.display();
        tracing::warn!(%ledger, seq_first = first.get(), error = %failure, "reading without sled");
        self.cold_block(first).ok_or(failure)
    }

    /// See [`crate::store::FrameLog::tree_hash`].
    pub(crate) fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        self.check_open()?;
        let waiting = lock(&self.tail).tree_hash(index);
        match waiting.or_else(|| self.beside.tree_hash(index)) {
            Some(hash) => Ok(Some(hash)),
            None => self.engine()?.tree_hash(index),
        }
    }

    /// See [`crate::store::FrameLog::named_root`].
    pub(crate) fn named_root(&self, size: Size) -> Result<Option<Root>, Error> {
        self.check_open()?;
        let record = self.progress().record;
        let known = [record.written, record.synced, record.sealed];
        match known.into_iter().find(|head| head.size == size) {
            Some(head) => Ok(Some(head.root)),
            None if self.open_engine().is_none() => self.cold_root(size),
            None => Ok(None),
        }
    }

    /// Refuses after closing. A store that failed can still be read.
    fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::Halted) } else { Ok(()) }
    }
}

/// Frames up to a limit of bytes, but at least one.
struct Taken {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

impl Taken {
    fn left(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes)
    }

    /// Takes frames until one does not fit.
    fn fill<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) -> Room {
        for frame in frames {
            if !self.frames.is_empty() && frame.len() > self.left() {
                return Room::None;
            }
            self.bytes += frame.len();
            self.frames.push(frame.to_vec());
        }
        Room::Left
    }
}

/// The room for more frames in a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Left,
    None,
}
