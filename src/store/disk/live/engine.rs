//! sled of an open store. It is opened when something needs it: the sealing thread, or a read that
//! archive and journals cannot answer.
//!
//! The checks that an opening of the ledger makes of sled are made here, whenever it is opened. Once it has
//! failed it is not tried again: another attempt could meet files that the first one has overwritten.

use super::{
    shared::{Shared, lock},
    tail::{BLOCK, block_start},
};
use crate::{
    ids::{Head, LedgerId},
    store::{
        Error, Frames,
        disk::{
            files::{
                dir::{self, engine_path},
                head::HeadRecord,
                sector::{narrow, next_after, wide},
                upto::{Edge, Record, Upto},
            },
            options::DiskOptions,
        },
        sled::{self, Sled},
    },
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

/// The state of sled.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Not opened yet.
    Waiting {
        /// The size of the log that the opening of the store has found.
        found: u64,
    },
    Open(Arc<Sled>),
    /// It could not be opened.
    Failed(String),
    /// The store is closed.
    Closed,
}

/// The file beside sled, and the facts that are known from it without opening sled.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Taken after `engine` when both are needed.
    pub(crate) upto: std::sync::Mutex<Upto>,
    /// Hashes of the tree at the sealed head of the opening.
    pub(crate) edge: Edge,
}

/// Opens sled if it is safe to open, and checks that it ends neither before `record.sealed` nor behind
/// the log, `found` events.
///
/// # Errors
///
/// [`Error::LostTail`], [`Error::Damaged`], [`Error::Engine`], [`Error::Full`].
pub(crate) fn open(
    root: &Path,
    options: &DiskOptions,
    record: &HeadRecord,
    found: u64,
) -> Result<Sled, Error> {
    let path = engine_path(root, record.engine);
    let sealed = record.sealed.size;
    let segments = sled::preflight(&path)?;
    if segments == 0 && sealed > 0 {
        return Err(Error::LostTail { expected: sealed.get(), found: 0 });
    }
    options.steps.at("opening sled");
    options.steps.check("opening sled", 1)?;
    let sled = Sled::open(&path, options.cache_bytes, &root.join(dir::QUARANTINE))?;
    last_block(&sled, record.sealed)?;
    refuse_longer(&sled, found)?;
    Ok(sled)
}

/// The block that holds the last event of `sealed`; `None` of no event.
///
/// # Errors
///
/// [`Error::LostTail`] if sled ends before.
pub(crate) fn last_block(sled: &Sled, sealed: Head) -> Result<Option<Frames>, Error> {
    let Some(last) = sealed.seq().map(|seq| block_start(seq.leaf_index())) else { return Ok(None) };
    let frames = sled.block(next_after(last))?;
    let len = frames.as_ref().map_or(0, |frames| wide(frames.len()));
    if len >= sealed.size.get() - last {
        return Ok(frames);
    }
    let found = if len == 0 {
        sled.last_block()?.map_or(0, |first| first.leaf_index().saturating_add(BLOCK)).min(last)
    } else {
        last + len
    };
    Err(Error::LostTail { expected: sealed.size.get(), found })
}

/// Only synced frames are sealed, so every frame in sled was durable. If the log ends before it,
/// log and `HEAD` are older copies, or the log has lost its end.
fn refuse_longer(sled: &Sled, found: u64) -> Result<(), Error> {
    let Some(last) = sled.last_block()? else { return Ok(()) };
    let before = last.leaf_index();
    if before.saturating_add(BLOCK) <= found {
        return Ok(());
    }
    let frames = match sled.block(last) {
        Ok(frames) => frames.map_or(0, |frames| wide(frames.len())),
        // Its number alone is enough.
        Err(Error::Damaged { .. }) if before >= found => 1,
        Err(error) => return Err(error),
    };
    let expected = before.saturating_add(frames);
    if expected > found { Err(Error::LostTail { expected, found }) } else { Ok(()) }
}

impl Engine {
    /// Bytes in the tail that are worth sealing.
    pub(crate) fn seals_from(&self, options: &DiskOptions) -> usize {
        let waits = matches!(self, Self::Waiting { .. });
        let more = narrow(options.unsealed_at_close_max.saturating_add(1));
        if waits { more.max(options.seal_bytes) } else { options.seal_bytes }
    }
}

impl Beside {
    /// The file beside the sled in use, for an opening that has read `record` there.
    pub(crate) fn of(root: &Path, engine: u64, ledger: LedgerId, record: Option<Record>) -> Self {
        let edge = record.as_ref().map_or_else(Edge::new, |record| record.edge.clone());
        let upto = Upto::of(&engine_path(root, engine), ledger, record);
        Self { upto: upto.into(), edge }
    }

    /// The hash with this index, if it is at the edge of the tree.
    pub(crate) fn tree_hash(&self, index: u64) -> Option<[u8; 32]> {
        self.edge.iter().find(|(at, _)| *at == index).map(|(_, hash)| *hash)
    }
}

impl Shared {
    /// Returns sled, for use without a lock. Opens it at the first call.
    ///
    /// # Errors
    ///
    /// [`Error::Halted`] after closing; [`Error::Full`], after which it can be tried again; as [`open`], and
    /// [`Error::Engine`] once that has failed. A sled that is longer than the log halts the store.
    pub(crate) fn engine(&self) -> Result<Arc<Sled>, Error> {
        self.engine_or_found()?.map_or_else(|_| self.open_once(), Ok)
    }

    /// sled, or the size of the log that the opening of the store has found.
    fn engine_or_found(&self) -> Result<Result<Arc<Sled>, u64>, Error> {
        match &*lock(&self.engine) {
            Engine::Open(sled) => Ok(Ok(Arc::clone(sled))),
            Engine::Waiting { found } => Ok(Err(*found)),
            Engine::Closed => Err(Error::Halted),
            Engine::Failed(detail) => Err(Error::Engine { during: "open", detail: detail.clone() }),
        }
    }

    fn open_once(&self) -> Result<Arc<Sled>, Error> {
        let _opening = lock(&self.opening);
        // Another thread may have opened it meanwhile.
        let found = match self.engine_or_found()? {
            Ok(sled) => return Ok(sled),
            Err(found) => found,
        };
        self.check_opening_space()?;
        let record = self.progress().record;
        if record.synced.size > record.sealed.size {
            // Its files change as it is opened: from here on a loss of power may cut it short.
            lock(&self.beside.upto).raise(record.synced, record.sealed.size)?;
            self.steps_at("sled is to be opened");
        }
        let opened = open(&self.root, &self.options, &record, found).map(Arc::new);
        self.seals_from.store(self.options.seal_bytes, Ordering::Relaxed);
        if matches!(opened, Err(Error::LostTail { expected, .. }) if expected > found) {
            // The log has lost its end, and nothing more is to be put in its place.
            self.halted.store(true, Ordering::SeqCst);
        }
        // On a full disk it may have failed for that.
        let full =
            matches!(opened, Err(Error::Engine { .. })) && self.check_opening_space().is_err();
        let mut engine = lock(&self.engine);
        match &opened {
            _ if matches!(*engine, Engine::Closed) => return Err(Error::Halted),
            Ok(sled) => *engine = Engine::Open(Arc::clone(sled)),
            Err(Error::Engine { .. }) if full => {}
            Err(
                error @ (Error::LostTail { .. } | Error::Damaged { .. } | Error::Engine { .. }),
            ) => *engine = Engine::Failed(error.to_string()),
            Err(_) => {}
        }
        opened
    }

    /// Lets go of sled, which is opened again when something needs it. The log has `found` events.
    pub(crate) fn wait_with_engine(&self, found: u64) {
        let mut engine = lock(&self.engine);
        if let Engine::Open(_) = &*engine {
            let sled = std::mem::replace(&mut *engine, Engine::Waiting { found });
            drop(engine);
            drop(sled);
        }
    }

    /// Notes beside sled where the log ends. A witness that is missing is no reason not to close.
    pub(crate) fn note_end(&self, log: Head) {
        if let Err(error) = lock(&self.beside.upto).note_end(log) {
            tracing::debug!(ledger = %self.root.display(), %error, "the end was not noted");
        }
    }

    /// sled, if it is open.
    pub(crate) fn open_engine(&self) -> Option<Arc<Sled>> {
        self.engine_or_found().ok()?.ok()
    }

    /// Says whether nothing has needed sled yet.
    pub(crate) fn engine_waits(&self) -> bool {
        matches!(&*lock(&self.engine), Engine::Waiting { .. })
    }

    /// Says whether sled may hold more than it was synced with.
    pub(crate) fn engine_is_beyond(&self) -> bool {
        lock(&self.beside.upto).is_beyond(self.progress().record.sealed.size)
    }
}
