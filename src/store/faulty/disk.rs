//! The bytes on the device, the memory of the process that uses it, and each call with its planned
//! failure.

use super::{
    Call, Effect, Fault,
    file::{File, Random},
    record::{self, Found},
};
use crate::{
    ids::{Head, Seq, TreeHash},
    store::{Damage, Error, Group, Identity, Rewrite, mem::rewritten},
};
use std::{collections::BTreeMap, io};

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) journal: File,
    /// Small files that are replaced whole, and are durable after that.
    pub(super) beside: Beside,
    pub(super) snapshots: BTreeMap<Seq, Vec<u8>>,
    /// The memory of the process that has the store open.
    pub(super) process: Process,
    pub(super) fault: Option<Fault>,
    pub(super) bytes_max: Option<usize>,
    pub(super) random: Random,
}

#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) synced: Head,
    pub(super) sealed: Head,
    pub(super) tree_hashes: BTreeMap<u64, TreeHash>,
    pub(super) erased_upto: Option<Seq>,
    pub(super) reserved: u64,
    pub(super) identity: Option<Identity>,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) opening: u64,
    pub(super) halted: bool,
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) written: Head,
    pub(super) identity: Option<Identity>,
    /// Tree hashes that are not sealed.
    pub(super) tree_hashes: BTreeMap<u64, TreeHash>,
}

impl Process {
    pub(super) fn new(opening: u64) -> Self {
        Self {
            opening,
            halted: false,
            frames: Vec::new(),
            written: Head::EMPTY,
            identity: None,
            tree_hashes: BTreeMap::new(),
        }
    }
}

/// The answer of the device to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Obeys,
    Lies,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        let beside = Beside {
            synced: Head::EMPTY,
            sealed: Head::EMPTY,
            tree_hashes: BTreeMap::new(),
            erased_upto: None,
            reserved: 0,
            identity: None,
        };
        Self {
            journal: File::default(),
            beside,
            snapshots: BTreeMap::new(),
            process: Process::new(0),
            fault: None,
            bytes_max: None,
            random: Random::new(seed),
        }
    }

    /// Recovers the groups up to the first that is not whole, and makes all of it durable.
    pub(super) fn open(&mut self) -> Result<u64, Error> {
        self.process = Process::new(self.process.opening + 1);
        self.answer(Call::Read, "reading the log")?;
        let found = record::recover(self.journal.bytes());
        let durable = self.beside.synced.size;
        if found.head.size < durable {
            return Err(self.missing(&found, durable.get()));
        }
        // A whole group that was just read may still be in memory only, and the system may take it
        // for written if an earlier sync failed. So the tail is written again, then synced.
        let answer = self.answer(Call::Sync, "syncing the recovered log")?;
        self.journal.truncate_live(found.bytes);
        self.journal.touch();
        self.sync(answer, found.head);
        self.process.written = found.head;
        self.process.frames = found.frames;
        self.process.identity = self.beside.identity;
        Ok(self.process.opening)
    }

    fn missing(&self, found: &Found, expected: u64) -> Error {
        if found.bytes == self.journal.bytes().len() {
            return Error::LostTail { expected, found: found.head.size.get() };
        }
        let detail = Damage::DurableGroup { at: found.bytes };
        Error::damaged(found.head.size.next_seq(), "faulty journal", detail)
    }

    /// Counts a call. Returns an error if its failure is planned.
    pub(super) fn answer(&mut self, call: Call, during: &'static str) -> Result<Answer, Error> {
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

    /// Makes everything up to `head` durable, or only claims to.
    fn sync(&mut self, answer: Answer, head: Head) {
        match answer {
            Answer::Obeys => {
                self.journal.sync();
                self.beside.synced = head;
            }
            Answer::Lies => {}
        }
    }

    pub(super) fn append(&mut self, group: Group<'_>) -> Result<(), Error> {
        assert!(!group.frames.is_empty(), "a group holds at least one frame");
        let full = |source| Error::Full { what: "a group", room: None, source };
        let next = self.process.written.size.next_seq().ok_or_else(|| full(None))?;
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
        self.process
            .tree_hashes
            .extend(group.tree_hashes.iter().map(|tree_hash| (tree_hash.index, *tree_hash)));
        let events = u64::try_from(group.frames.len()).unwrap_or(u64::MAX);
        self.process.written.size = self.process.written.size.more(events);
        self.process.written.root = group.root;
        Ok(())
    }

    pub(super) fn sync_all(&mut self) -> Result<Head, Error> {
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

    /// Stores an identity. If that fails, the new one may be there all the same after the next opening.
    pub(super) fn set_identity(&mut self, identity: Identity) -> Result<(), Error> {
        match self.answer(Call::Sync, "storing the identity") {
            Ok(Answer::Obeys) => self.beside.identity = Some(identity),
            Ok(Answer::Lies) => {}
            Err(error) => {
                if self.random.below(2) == 1 {
                    self.beside.identity = Some(identity);
                }
                return Err(error);
            }
        }
        self.process.identity = Some(identity);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        let sealed = self.beside.synced;
        match self.answer(Call::Sync, "syncing the sealed store")? {
            Answer::Obeys => {
                let seal = |_: &u64, tree_hash: &mut TreeHash| tree_hash.seq.get() <= sealed.size;
                self.beside.tree_hashes.extend(self.process.tree_hashes.extract_if(.., seal));
                self.beside.sealed = sealed;
            }
            Answer::Lies => {}
        }
        Ok(())
    }

    /// Writes the log again as one group, syncs it, and puts it in place of the old one.
    pub(super) fn erase(&mut self, upto: Seq, rewrite: Rewrite<'_>) -> Result<(), Error> {
        self.answer(Call::Write, "writing the erased log")?;
        let frames = rewritten(&self.process.frames, upto, rewrite)?;
        if !frames.is_empty() {
            let root = self.process.written.root;
            let group = Group { first: Seq::FIRST, frames: &frames, root, tree_hashes: &[] };
            self.journal.replace(record::encode(group));
        }
        self.process.frames = frames;
        self.beside.synced = self.process.written;
        self.beside.erased_upto = self.beside.erased_upto.max(Some(upto));
        Ok(())
    }
}
