//! A store on a device that fails, for tests of what stands on a store.
//!
//! [`FaultyDisk`] is the device: it keeps what is written apart from what is durable, and can lose
//! power, fill up, fail a call, lie about a sync and rot, each time as its seed decides.
//! [`FaultyStore`] is a simple [`FrameLog`] on it that keeps the contract as long as the device
//! keeps its word. Knows no real file; `file` is the model of one, `record` what is written to it.

#![allow(
    clippy::missing_panics_doc,
    reason = "panics only where a test has got this harness itself wrong"
)]

mod file;
mod record;
#[cfg(test)]
mod tests;

use super::{Error, FrameLog, Group, Mark, Rewrite, SnapshotStore, mem::as_many_as_fit};
use crate::ids::{Head, Seq};
use file::{File, Random};
use record::Found;
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A kind of call to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading frames, marks or snapshots.
    Read,
    /// Writing a group, a snapshot or an erasure.
    Write,
    /// Making something durable: syncs, reservations, checkpoints.
    Sync,
    /// Any of these.
    Any,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// One call fails.
    FailsOnce,
    /// It and every later one fails, until [`FaultyDisk::repair`].
    FailsForGood,
    /// A sync answers `Ok` and has done nothing, as do all later ones.
    Lies,
}

/// A plan for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which calls count, and fail.
    pub call: Call,
    /// How many of them still succeed.
    pub after: u64,
    /// What then happens.
    pub effect: Effect,
}

/// A device in memory that outlives the stores on it. A clone is the same device.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<Disk>>);

/// A log on a [`FaultyDisk`]. Only the one opened last may do anything.
#[derive(Debug)]
pub struct FaultyStore {
    disk: FaultyDisk,
    opening: u64,
}

#[derive(Debug)]
struct Disk {
    journal: File,
    /// Small files that are replaced whole, and durable when that is done.
    beside: Beside,
    snapshots: BTreeMap<Seq, Vec<u8>>,
    /// What the process that has the store open holds in memory.
    process: Process,
    fault: Option<Fault>,
    bytes_max: Option<usize>,
    random: Random,
}

#[derive(Debug, Clone)]
struct Beside {
    synced: Head,
    sealed: Head,
    marks: BTreeMap<u64, Mark>,
    erased_upto: Option<Seq>,
    reserved: u64,
}

#[derive(Debug)]
struct Process {
    opening: u64,
    halted: bool,
    frames: Vec<Vec<u8>>,
    written: Head,
    /// Marks that are not sealed.
    marks: BTreeMap<u64, Mark>,
}

impl FaultyDisk {
    /// A device without anything on it. The same seed fails in the same way.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let beside = Beside {
            synced: Head::EMPTY,
            sealed: Head::EMPTY,
            marks: BTreeMap::new(),
            erased_upto: None,
            reserved: 0,
        };
        Self(Arc::new(Mutex::new(Disk {
            journal: File::default(),
            beside,
            snapshots: BTreeMap::new(),
            process: Process::new(0),
            fault: None,
            bytes_max: None,
            random: Random::new(seed),
        })))
    }

    /// Opens the store on it, as a new process would. Earlier handles are halted.
    ///
    /// # Errors
    ///
    /// - [`Error::LostTail`] if the log is shorter than it was known to be durable.
    /// - [`Error::Damaged`] if something in it is not what was written.
    /// - [`Error::Io`] if the device fails.
    pub fn open(&self) -> Result<FaultyStore, Error> {
        let opening = self.disk().open()?;
        Ok(FaultyStore { disk: self.clone(), opening })
    }

    /// Cuts the power: of what was not synced, each sector is there, gone or torn. Handles are
    /// halted.
    pub fn cut_power(&self) {
        let disk = &mut *self.disk();
        disk.journal.cut_power(&mut disk.random);
        disk.process = Process::new(disk.process.opening + 1);
    }

    /// Plans a failure, in place of any planned before.
    pub fn fail(&self, fault: Fault) {
        self.disk().fault = Some(fault);
    }

    /// The device works from now on. A halted store stays halted.
    pub fn repair(&self) {
        self.disk().fault = None;
    }

    /// Sets how many bytes the log may take; `None` for as many as it likes.
    pub fn set_bytes_max(&self, bytes_max: Option<usize>) {
        self.disk().bytes_max = bytes_max;
    }

    /// The bytes that the log takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.disk().journal.bytes().len()
    }

    /// Flips the bits of `mask` in one byte of the log, durably, as rot does.
    pub fn flip(&self, at: usize, mask: u8) {
        self.disk().journal.flip(at, mask);
    }

    /// Cuts the log to `len` bytes, durably, as a careless copy does.
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

impl Process {
    fn new(opening: u64) -> Self {
        Self {
            opening,
            halted: false,
            frames: Vec::new(),
            written: Head::EMPTY,
            marks: BTreeMap::new(),
        }
    }
}

/// What the device does about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Obeys,
    Lies,
}

impl Disk {
    /// Recovers: groups up to the first that is not whole, all of it made durable.
    fn open(&mut self) -> Result<u64, Error> {
        self.process = Process::new(self.process.opening + 1);
        self.answer(Call::Read, "reading the log")?;
        let found = record::recover(self.journal.bytes());
        let durable = self.beside.synced.size;
        if found.head.size < durable {
            return Err(self.missing(&found, durable));
        }
        // Also what was read from a whole group may be in memory only, and taken for written by
        // the system if an earlier sync failed. So the tail is written again, then synced.
        let answer = self.answer(Call::Sync, "syncing the recovered log")?;
        self.journal.truncate_live(found.bytes);
        self.journal.touch();
        self.sync(answer, found.head);
        self.process.written = found.head;
        self.process.frames = found.frames;
        Ok(self.process.opening)
    }

    fn missing(&self, found: &Found, expected: u64) -> Error {
        if found.bytes == self.journal.bytes().len() {
            return Error::LostTail { expected, found: found.head.size };
        }
        Error::Damaged {
            seq: Seq::new(found.head.size + 1),
            file: PathBuf::from("faulty journal"),
            detail: "a group that was durable is not as it was written".into(),
        }
    }

    /// Counts a call; an error if it is one that is planned to fail.
    fn answer(&mut self, call: Call, during: &'static str) -> Result<Answer, Error> {
        let Some(fault) = self.fault.as_mut().filter(|f| f.call == call || f.call == Call::Any)
        else {
            return Ok(Answer::Obeys);
        };
        if let Some(after) = fault.after.checked_sub(1) {
            fault.after = after;
            return Ok(Answer::Obeys);
        }
        match fault.effect {
            Effect::Lies if call == Call::Sync => return Ok(Answer::Lies),
            Effect::Lies => return Ok(Answer::Obeys),
            Effect::FailsOnce => self.fault = None,
            Effect::FailsForGood => {}
        }
        Err(Error::Io { during, path: None, source: io::Error::other("injected fault") })
    }

    /// Makes everything up to `head` durable, or only says so.
    fn sync(&mut self, answer: Answer, head: Head) {
        match answer {
            Answer::Obeys => {
                self.journal.sync();
                self.beside.synced = head;
            }
            Answer::Lies => {}
        }
    }

    fn append(&mut self, group: Group<'_>) -> Result<(), Error> {
        assert!(!group.frames.is_empty(), "a group holds at least one frame");
        let full = |source| Error::Full { what: "a group", source };
        let next = Seq::new(self.process.written.size + 1).ok_or_else(|| full(None))?;
        if group.first != next {
            return Err(Error::NotNext { at: group.first, next });
        }
        let record = record::encode(group);
        let at = self.journal.bytes().len();
        if self.bytes_max.is_some_and(|max| at + record.len() > max) {
            return Err(full(Some(io::ErrorKind::StorageFull.into())));
        }
        if let Err(error) = self.answer(Call::Write, "writing a group") {
            let reached = self.random.below(record.len() + 1);
            self.journal.write(record.get(..reached).unwrap_or_default());
            self.process.halted = true;
            return Err(error);
        }
        self.journal.write(&record);
        self.process.frames.extend_from_slice(group.frames);
        self.process.marks.extend(group.marks.iter().map(|mark| (mark.index, *mark)));
        self.process.written.size += u64::try_from(group.frames.len()).unwrap_or(u64::MAX);
        self.process.written.root = group.root;
        Ok(())
    }

    fn sync_all(&mut self) -> Result<Head, Error> {
        let written = self.process.written;
        match self.answer(Call::Sync, "syncing the log") {
            Ok(answer) => self.sync(answer, written),
            Err(error) => {
                self.journal.fail_sync(&mut self.random);
                self.process.halted = true;
                return Err(error);
            }
        }
        Ok(written)
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let sealed = self.beside.synced;
        match self.answer(Call::Sync, "syncing the sealed store")? {
            Answer::Obeys => {
                let seal = |_: &u64, mark: &mut Mark| mark.seq.get() <= sealed.size;
                self.beside.marks.extend(self.process.marks.extract_if(.., seal));
                self.beside.sealed = sealed;
            }
            Answer::Lies => {}
        }
        Ok(())
    }

    /// Writes the log anew as one group, synced, and puts it in place of the old one.
    fn erase(&mut self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.answer(Call::Write, "writing the erased log")?;
        let mut frames = self.process.frames.clone();
        for (seq, frame) in (1..=upto.get()).filter_map(Seq::new).zip(&mut frames) {
            if let Some(instead) = rewrite(seq, frame) {
                *frame = instead;
            }
        }
        if !frames.is_empty() {
            let root = self.process.written.root;
            let group = Group { first: Seq::FIRST, frames: &frames, root, marks: &[] };
            self.journal.replace(record::encode(group));
        }
        self.process.frames = frames;
        self.beside.synced = self.process.written;
        self.beside.erased_upto = self.beside.erased_upto.max(Some(upto));
        Ok(())
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

    fn sync(&self) -> Result<Head, Error> {
        self.working()?.sync_all()
    }

    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "reading frames")?;
        let from = usize::try_from(from.leaf_index()).unwrap_or(usize::MAX);
        Ok(as_many_as_fit(disk.process.frames.get(from..).unwrap_or_default(), bytes_max))
    }

    fn mark(&self, index: u64) -> Result<Option<[u8; 32]>, Error> {
        let mut disk = self.ours()?;
        disk.answer(Call::Read, "reading a mark")?;
        let mark = disk.process.marks.get(&index).or_else(|| disk.beside.marks.get(&index));
        Ok(mark.map(|mark| mark.hash))
    }

    fn sealed(&self) -> Head {
        self.disk.disk().beside.sealed
    }

    fn resume(&self, marks: Vec<Mark>) -> Result<(), Error> {
        let mut disk = self.working()?;
        disk.process.marks.extend(marks.into_iter().map(|mark| (mark.index, mark)));
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.working()?.checkpoint()
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
            Ok(Answer::Obeys) => disk.beside.reserved = disk.beside.reserved.max(number),
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
        let done = disk.sync_all().and_then(|_| disk.checkpoint());
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
