//! The store on disk: a journal that commits are synced to, a tail in memory, blocks in sled.
//!
//! ```text
//! append, sync --> journal/   one write and one fdatasync a commit   (journal, scan)
//!              --> tail       what sled does not hold yet            (tail)
//!              --> HEAD       how far; moved after the sync          (head)
//!   behind that, on a thread of its own                              (sealer)
//!                  sled/      blocks of 16 frames, tree hashes             (store::sled)
//!                  archive/   full journals, compressed              (archive)
//! ```
//!
//! **Every frame in sled is in another file too**: archive and journals together hold every frame,
//! so sled can be rebuilt ([`rebuild`]). `HEAD` and the groups of the journal show a loss. Start
//! reading at [`DiskStore`], then `writer`, `sealer`, `open`.

#[allow(unreachable_pub, reason = "tests see some of it, by the feature test-util")]
mod files;
#[allow(unreachable_pub, reason = "tests see it, by the feature test-util")]
mod home;
mod inspect;
mod live;
mod look;
mod options;
#[cfg(any(test, feature = "test-util"))]
pub mod parse;
mod spool;
#[cfg(test)]
mod tests;
mod whole;

use self::{
    files::{journal, node},
    whole::{create, open},
};
use crate::{
    ids::{Head, Root, Seq, Size, TreeHash},
    store::{Error, FrameLog, Group, Identity, Rewrite},
};
use live::{
    engine::Engine,
    shared::{Sealing, Shared, lock},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    thread::JoinHandle,
};

pub(crate) use files::snapshots::DiskSnapshots;
#[allow(unreachable_pub, reason = "tests see it, by the feature test-util")]
pub use home::DiskHome;
pub use options::DiskOptions;
#[cfg(test)]
pub(crate) use spool::UNSETTLED;
pub(crate) use spool::{OUTPUT_BYTES_MAX, Output, SpoolFiles, Spooled, output_key};
pub(crate) use whole::replace::{Place, ReplaceError};

/// A log in a directory. The module describes its files, [`FrameLog`] its promises.
///
/// Dropping it without [`close`](FrameLog::close) loses no written frame, but the next opening
/// takes longer.
#[derive(Debug)]
pub(crate) struct DiskStore {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DiskStore {
    /// Makes a ledger in `path`, which must be empty or not exist. Durable when it returns. If it
    /// fails, it removes all that it made. Stopped half way, it leaves a state that the next `create`
    /// clears and that no `open` accepts. With
    /// [`Role::Copying`] the ledger is in such a state until [`set_identity`](Self::set_identity)
    /// gives it another role.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::UnsafeDir`], [`Error::InUse`], [`Error::Full`],
    /// [`Error::Io`], [`Error::Engine`].
    pub(crate) fn create(
        path: impl AsRef<Path>,
        options: &DiskOptions,
        identity: Identity,
    ) -> Result<Self, Error> {
        create::create(path.as_ref(), options, identity)
    }

    /// Opens the ledger in `path`: reads the journals, drops the group that a crash tore, and
    /// checks journals, `HEAD` and the word beside sled against each other. Opens and checks sled only
    /// where that word does not say that it holds what it was synced with, or much waits to be
    /// sealed. Seals nothing before [`resume`](FrameLog::resume).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Unfinished`], [`Error::UnsafeDir`], [`Error::InUse`], and the
    /// findings [`Error::Damaged`], [`Error::LostTail`], [`Error::Engine`] and
    /// [`Error::UnsupportedFormat`], after which no file was changed, except that sled may have
    /// written to its own before it failed.
    pub(crate) fn open(path: impl AsRef<Path>, options: &DiskOptions) -> Result<Self, Error> {
        Ok(Self::over(open::open(path.as_ref(), options)?))
    }

    fn over(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// The identity of this copy of the ledger.
    #[must_use]
    pub(crate) fn identity(&self) -> Identity {
        *lock(&self.shared.identity)
    }

    /// Changes the identity of this copy, durably before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Io`]: then the old identity stays.
    pub(crate) fn set_identity(&self, identity: Identity) -> Result<(), Error> {
        self.shared.check_running()?;
        let mut current = lock(&self.shared.identity);
        node::replace(&self.shared.root, &identity)?;
        *current = identity;
        Ok(())
    }

    /// The saved states of this ledger.
    #[must_use]
    pub(crate) fn snapshots(&self) -> DiskSnapshots {
        DiskSnapshots::of(&self.shared.root)
    }

    fn stop_thread(&self) {
        lock(&self.shared.call).stop = true;
        self.shared.called.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // The thread catches panics of sled; if it panicked all the same, sealing has stopped.
            let _ = thread.join();
        }
    }
}

impl FrameLog for DiskStore {
    fn written(&self) -> Head {
        self.shared.progress().record.written
    }

    fn synced(&self) -> Head {
        self.shared.progress().record.synced
    }

    fn append(&self, group: Group<'_>) -> Result<(), Error> {
        self.shared.append(group)
    }

    fn append_may_wait(&self) -> bool {
        self.shared.append_may_wait()
    }

    fn sync(&self) -> Result<Head, Error> {
        self.shared.sync()
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.shared.read(from, bytes_max)
    }

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        self.shared.tree_hash(index)
    }

    fn named_root(&self, size: Size) -> Result<Option<Root>, Error> {
        self.shared.named_root(size)
    }

    fn sealed(&self) -> Head {
        self.shared.progress().record.sealed
    }

    fn resume(&self, tree_hashes: Vec<TreeHash>) -> Result<(), Error> {
        self.shared.check_running()?;
        lock(&self.shared.tail).add_tree_hashes(&tree_hashes);
        let mut sealing = lock(&self.shared.sealing);
        if *sealing != Sealing::Waiting {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("taskledger-sealer".to_owned())
            .spawn(move || shared.seal_until_stopped())
            .map_err(|source| Error::Io { during: "start a thread", path: None, source })?;
        *lock(&self.thread) = Some(thread);
        *sealing = Sealing::Running;
        self.shared.seals.store(true, Ordering::SeqCst);
        drop(sealing);
        self.shared.wake();
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.shared.check_running()?;
        self.shared.flush()
    }

    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.shared.erase(upto, rewrite)
    }

    fn erased_upto(&self) -> Option<Seq> {
        Seq::new(self.shared.progress().record.erased_upto)
    }

    fn reserved(&self) -> u64 {
        self.shared.progress().record.reserved
    }

    fn reserve(&self, number: u64) -> Result<(), Error> {
        self.shared.reserve(number)
    }

    fn close(&self) -> Result<(), Error> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(Error::Halted);
        }
        let synced = self.shared.sync();
        // Its thread would go on making the next journal, and take the space that sealing needs.
        self.stop_thread();
        let sealed = synced.as_ref().map_or(Ok(()), |_| self.shared.flush_to_close());
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Ok(log) = &synced {
            self.shared.note_end(*log);
        }
        let spare = lock(&self.shared.journals).spare.take();
        spare.into_iter().for_each(journal::Spare::discard);
        // sled releases its lock with its last handle; then the lock of the ledger can be released.
        let opening = lock(&self.shared.opening);
        let engine = std::mem::replace(&mut *lock(&self.shared.engine), Engine::Closed);
        drop(opening);
        drop(engine);
        self.shared.forget_cold();
        drop(lock(&self.shared.lock).take());
        synced.and(sealed)
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.stop_thread();
    }
}
