//! A look as a log: what is shown can be read, and nothing can be written.
//!
//! The store names few roots, so the other hashes of the tree are made from the frames when the first
//! proof asks for them. Start reading at [`LookLog`].

use crate::{
    codec,
    ids::{Head, Root, Seq, Size},
    ledger::{
        Damage, ReadError,
        commit::shared::{decode, unreadable},
        read::replay,
    },
    proof::Tree,
    store::{self, Error, FrameLog, FrameRead, Group, Rewrite, Shortfall},
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A log that is only read.
#[derive(Debug)]
pub(crate) struct LookLog {
    look: Arc<dyn FrameRead>,
    /// The end that is shown in place of the look's own, where events after it cannot be read.
    cut: Option<Head>,
    hashes: Mutex<Hashes>,
}

/// The tree over the first frames, and the hashes in it that others are made from.
#[derive(Debug, Default)]
struct Hashes {
    tree: Tree,
    kept: BTreeMap<u64, [u8; 32]>,
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
        let mut hashes = Hashes::default();
        // Any other error is where the events end that can be read.
        if let Err(ReadError::Store(error)) = hashes.go_on(&*self, all, true) {
            return Err(error);
        }
        let head = hashes.tree.head();
        self.hashes = Mutex::new(hashes);
        self.cut = Some(head);
        Ok(head)
    }

    fn hashes(&self) -> MutexGuard<'_, Hashes> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hashes {
    /// Hashes the frames up to `size`. With `decoded`, each must also be an event.
    fn go_on(&mut self, log: &dyn FrameLog, size: Size, decoded: bool) -> Result<(), ReadError> {
        let span = (self.tree.size().get(), size.get());
        let missing = |seq| ReadError::damaged(seq, Damage::Missing);
        replay::each_frame(log, span, missing, |seq, frame| {
            if decoded {
                decode(seq, &frame)?;
            }
            let leaf = codec::leaf(&frame);
            let leaf = leaf.map_err(|error| unreadable(seq, error))?;
            self.kept.extend(self.tree.push(leaf).iter().map(|hash| (hash.index, hash.hash)));
            Ok(ControlFlow::Continue(()))
        })
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
        let mut hashes = self.hashes();
        if let Some(hash) = hashes.kept.get(&index) {
            return Ok(Some(*hash));
        }
        hashes.go_on(self, self.shown().size, false).map_err(unhashed)?;
        Ok(hashes.kept.get(&index).copied())
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
