//! A look as a log: what is shown can be read, and nothing can be written.
//!
//! The hashes of the tree are those of files beside archives, once the root of the archive has judged
//! them. Where there is no such file, or it does not hold, they are made from the frames when a proof
//! asks for them. Start reading at [`LookLog`].

use crate::{
    codec,
    ids::{Head, Root, Seq, Size, TreeHash},
    ledger::{
        Damage, ReadError,
        commit::shared::{decode, unreadable},
        read::replay,
    },
    proof::{Claims, Judged, Tree, leaf_hash},
    store::{self, Error, FrameLog, FrameRead, Group, Rewrite, Shortfall},
};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A log that is only read.
#[derive(Debug)]
pub(crate) struct LookLog {
    look: Arc<dyn FrameRead>,
    /// The end that is shown in place of the look's own, where events after it cannot be read.
    cut: Option<Head>,
    hashes: Mutex<Judged>,
}

impl LookLog {
    pub(crate) fn new(look: Arc<dyn FrameRead>) -> Self {
        Self { look, cut: None, hashes: Mutex::default() }
    }

    /// The end that is shown.
    pub(crate) fn shown(&self) -> Head {
        self.cut.unwrap_or_else(|| self.look.shown())
    }

    pub(crate) fn pending(&self) -> u64 {
        self.look.pending()
    }

    pub(crate) fn shortfall(&self) -> Option<Shortfall> {
        let readable = self.shown().size.get();
        match (self.look.shortfall(), self.cut) {
            (Some(short), _) => Some(Shortfall { readable, ..short }),
            (None, Some(_)) => {
                Some(Shortfall { readable, held: Some(self.look.shown().size.get()) })
            }
            (None, None) => None,
        }
    }

    /// Shows what became durable since. A log that is cut stays as it is.
    pub(crate) fn refresh(&self) -> Result<Head, Error> {
        self.cut.map_or_else(|| self.look.refresh(), Ok)
    }

    /// Ends the log before the first event that cannot be read, and returns the new end. O(bytes).
    pub(crate) fn cut(&mut self) -> Result<Head, Error> {
        let all = self.look.shown().size;
        let mut tree = Tree::new();
        let read = self.each_leaf((0, all.get()), |seq, frame, leaf| {
            decode(seq, frame)?;
            tree.push_hash(leaf);
            Ok(())
        });
        // Any other error is where the events end that can be read.
        if let Err(ReadError::Store(error)) = read {
            return Err(error);
        }
        self.cut = Some(tree.head());
        Ok(tree.head())
    }

    /// Visits the first `to` frames except the first `behind`, with their leaf hashes.
    fn each_leaf(
        &self,
        span: (u64, u64),
        mut visit: impl FnMut(Seq, &[u8], [u8; 32]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        replay::each_frame(self, span, ReadError::missing, |seq, frame| {
            let leaf = codec::leaf(&frame).map_err(|error| unreadable(seq, error))?;
            visit(seq, &frame, leaf_hash(leaf))?;
            Ok(ControlFlow::Continue(()))
        })
    }

    fn hashes(&self) -> MutexGuard<'_, Judged> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claims for LookLog {
    type Error = ReadError;

    fn claimed(&self, index: u64) -> Result<Option<([u8; 32], Head)>, ReadError> {
        Ok(self.look.tree_hash(index)?)
    }

    fn leaf_hashes(&self, first: Seq, count: u64) -> Result<Vec<[u8; 32]>, ReadError> {
        let mut leaves = Vec::new();
        let behind = first.leaf_index();
        let to = behind.saturating_add(count).min(self.shown().size.get());
        self.each_leaf((behind, to), |_, _, leaf| {
            leaves.push(leaf);
            Ok(())
        })?;
        Ok(leaves)
    }
}

/// The store's words for a frame that cannot be hashed.
fn unhashed(error: ReadError) -> Error {
    match error {
        ReadError::Store(error) => error,
        ReadError::Damaged { seq, file, detail } => {
            let detail = match detail {
                Damage::Store(detail) => detail,
                Damage::Missing => store::Damage::Missing,
                Damage::Frame(_)
                | Damage::OtherEvent { .. }
                | Damage::TooDeep { .. }
                | Damage::Tree(_) => store::Damage::Malformed { part: "an event" },
            };
            Error::Damaged { seq: Some(seq), file, detail }
        }
        error @ (ReadError::NoSuchEvent { .. }
        | ReadError::UnsupportedFormat { .. }
        | ReadError::OtherHistory { .. }) => {
            Error::Backend { during: "hashing", retryable: false, source: error.into() }
        }
    }
}

impl FrameLog for LookLog {
    fn written(&self) -> Head {
        self.shown()
    }

    fn synced(&self) -> Head {
        self.shown()
    }

    fn append(&self, _: Group<'_>) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn sync(&self) -> Result<Head, Error> {
        Ok(self.shown())
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut frames = self.look.read(from, bytes_max)?;
        if let Some(cut) = self.cut {
            let left = cut.size.get().saturating_sub(from.leaf_index());
            frames.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        Ok(frames)
    }

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        let shown = self.shown().size;
        // A log that is cut has no hash that later events complete.
        let completed = TreeHash::place_of(index).filter(|(seq, _)| seq.size() <= shown);
        let Some(_) = completed else { return Ok(None) };
        self.hashes().hash(index, self).map_err(unhashed)
    }

    fn named_root(&self, size: Size) -> Result<Option<Root>, Error> {
        let shown = self.shown();
        if size == shown.size { Ok(Some(shown.root)) } else { self.look.root_at(size) }
    }

    fn erase(&self, _: Seq, _: Rewrite<'_>) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn erased_upto(&self) -> Option<Seq> {
        None
    }

    fn reserved(&self) -> u64 {
        0
    }

    fn reserve(&self, _: u64) -> Result<(), Error> {
        Err(Error::Halted)
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}
