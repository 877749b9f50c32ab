//! A store on a device that fails, for tests of code above a store.
//!
//! [`FaultyDisk`] is the device. It keeps written bytes apart from durable bytes, and can lose
//! power, fill up, fail a call, lie about a sync and rot, as its seed decides. [`FaultyStore`] is a
//! simple [`FrameLog`] on it, with snapshots and an identity, that keeps the contract as long as the device keeps its word. Uses no
//! real file: `file` is the model of one, `record` the bytes in it, `disk` the effect of a call.

#![allow(
    clippy::missing_panics_doc,
    reason = "panics only where a test has got this harness itself wrong"
)]

mod disk;
mod file;
mod record;
#[cfg(test)]
mod tests;

use super::{
    Error, FrameLog, Group, Identity, NodeStore, Rewrite, SnapshotStore, mem::as_many_as_fit,
};
use crate::ids::{Head, LedgerId, NodeId, Seq, TreeHash};
use disk::{Answer, Disk, Process};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A kind of call to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading frames, tree hashes or snapshots.
    Read,
    /// Writing a group, a snapshot or an erasure.
    Write,
    /// Making something durable: syncs, reservations, flushes, identities.
    Sync,
    /// Any of these.
    Any,
}

/// The effect of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// One call fails.
    FailsOnce,
    /// This call and every later one fails, until [`FaultyDisk::repair`].
    FailsForGood,
    /// A sync returns `Ok` without doing anything, and so do all later ones.
    Lies,
}

/// A planned failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The kind of call that counts, and fails.
    pub call: Call,
    /// The number of these calls that still succeed.
    pub after: u64,
    /// The effect after that.
    pub effect: Effect,
}

/// A device in memory that outlives the stores on it. A clone is the same device.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<Disk>>);

/// A log on a [`FaultyDisk`]. Only the handle that was opened last works.
#[derive(Debug)]
pub struct FaultyStore {
    disk: FaultyDisk,
    opening: u64,
}

impl FaultyDisk {
    /// An empty device. The same seed fails in the same way.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk::new(seed))))
    }

    /// Opens the store on it, as a new process would. Halts earlier handles.
    ///
    /// # Errors
    ///
    /// - [`Error::LostTail`] if the log is shorter than its durable part was.
    /// - [`Error::Damaged`] if its bytes were changed.
    /// - [`Error::Io`] if the device fails.
    pub fn open(&self) -> Result<FaultyStore, Error> {
        let opening = self.disk().open()?;
        Ok(FaultyStore { disk: self.clone(), opening })
    }

    /// Cuts the power: each sector that was not synced is there, gone or torn. Halts all handles.
    pub fn cut_power(&self) {
        let disk = &mut *self.disk();
        disk.journal.cut_power(&mut disk.random);
        disk.process = Process::new(disk.process.opening + 1);
    }

    /// Plans a failure, and replaces an earlier plan.
    pub fn fail(&self, fault: Fault) {
        self.disk().fault = Some(fault);
    }

    /// Makes the device work from now on. A halted store stays halted.
    pub fn repair(&self) {
        self.disk().fault = None;
    }

    /// Sets the largest size of the log in bytes; `None` for no limit.
    pub fn set_bytes_max(&self, bytes_max: Option<usize>) {
        self.disk().bytes_max = bytes_max;
    }

    /// The size of the log in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.disk().journal.bytes().len()
    }

    /// Flips the bits of `mask` in one byte of the log, durably, like a decaying disk.
    pub fn flip(&self, at: usize, mask: u8) {
        self.disk().journal.flip(at, mask);
    }

    /// Cuts the log to `len` bytes, durably, like an incomplete copy.
    pub fn truncate(&self, len: usize) {
        self.disk().journal.truncate(len);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyStore {
    /// The disk, if this handle was not closed, crashed or opened anew.
    fn ours(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let disk = self.disk.disk();
        if disk.process.opening == self.opening { Ok(disk) } else { Err(Error::Halted) }
    }

    /// The same for calls that change something: not after a failure either.
    fn working(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let disk = self.ours()?;
        if disk.process.halted { Err(Error::Halted) } else { Ok(disk) }
    }
}

impl FrameLog for FaultyStore {
    fn written(&self) -> Head {
        self.disk.disk().process.written
    }

    fn synced(&self) -> Head {
        self.disk.disk().beside.synced
    }

    fn append(&self, group: Group<'_>) -> Result<(), Error> {
        self.working()?.append(group)
    }

    fn append_may_wait(&self) -> bool {
        false
    }

    fn sync(&self) -> Result<Head, Error> {
        self.working()?.sync_all()
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "reading frames")?;
        let from = usize::try_from(from.leaf_index()).unwrap_or(usize::MAX);
        Ok(as_many_as_fit(disk.process.frames.get(from..).unwrap_or_default(), bytes_max))
    }

    fn tree_hash(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "reading a tree_hash")?;
        let tree_hash =
            disk.process.tree_hashes.get(&index).or_else(|| disk.beside.tree_hashes.get(&index));
        Ok(tree_hash.map(|tree_hash| tree_hash.hash))
    }

    fn sealed(&self) -> Head {
        self.disk.disk().beside.sealed
    }

    fn resume(&self, tree_hashes: Vec<TreeHash>) -> Result<(), Error> {
        let mut disk = self.working()?;
        disk.process
            .tree_hashes
            .extend(tree_hashes.into_iter().map(|tree_hash| (tree_hash.index, tree_hash)));
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.working()?.flush()
    }

    fn erase(&self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.working()?.erase(upto, rewrite)
    }

    fn erased_upto(&self) -> Option<Seq> {
        self.disk.disk().beside.erased_upto
    }

    fn reserved(&self) -> u64 {
        self.disk.disk().beside.reserved
    }

    fn reserve(&self, number: u64) -> Result<(), Error> {
        let mut disk = self.working()?;
        match disk.answer(Call::Sync, "reserving numbers") {
            Ok(Answer::Obeys) => disk.beside.reserved = number,
            Ok(Answer::Lies) => {}
            Err(error) => {
                disk.process.halted = true;
                return Err(error);
            }
        }
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        let mut disk = self.working()?;
        let done = disk.sync_all().and_then(|_| disk.flush());
        disk.process.opening += 1;
        done
    }
}

impl SnapshotStore for FaultyStore {
    fn list(&self) -> Result<Vec<Seq>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "listing snapshots")?;
        Ok(disk.snapshots.keys().copied().collect())
    }

    fn bytes(&self, at: Seq) -> Result<u64, Error> {
        Ok(u64::try_from(self.load(at)?.len()).unwrap_or(u64::MAX))
    }

    fn load(&self, at: Seq) -> Result<Vec<u8>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "reading a snapshot")?;
        disk.snapshots.get(&at).cloned().ok_or_else(|| Error::Io {
            during: "reading a snapshot",
            path: None,
            source: io::ErrorKind::NotFound.into(),
        })
    }

    fn save(&self, at: Seq, bytes: &[u8]) -> Result<(), Error> {
        let mut disk = self.working()?;
        disk.answer(Call::Write, "writing a snapshot")?;
        disk.snapshots.insert(at, bytes.to_vec());
        Ok(())
    }

    fn remove(&self, at: Seq) -> Result<(), Error> {
        let mut disk = self.working()?;
        disk.answer(Call::Write, "removing a snapshot")?;
        disk.snapshots.remove(&at);
        Ok(())
    }
}

impl NodeStore for FaultyStore {
    /// Zeros until the first one is set.
    fn identity(&self) -> Identity {
        let nobody = || Identity::new(LedgerId([0; 16]), NodeId([0; 16]));
        self.disk.disk().process.identity.unwrap_or_else(nobody)
    }

    fn set_identity(&self, identity: Identity) -> Result<(), Error> {
        self.working()?.set_identity(identity)
    }
}
