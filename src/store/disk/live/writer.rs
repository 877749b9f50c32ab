//! The commit path: append, sync, and the change to the next journal.
//!
//! One thread at a time appends, and one syncs; they wait for each other only during the change to
//! the next journal. An append waits for the sealing thread when too much waits to be sealed, and
//! for nothing else.

use super::{
    shared::{Progress, Retired, Shared, lock},
    sizes,
};
use crate::{
    ids::{Head, Size},
    store::{
        Error, FRAME_BYTES_MAX, GROUP_BYTES_MAX, Group,
        disk::files::{
            dir,
            journal::{self, Header, Journal, JournalFile, Spare},
            sector::{narrow, next_after, wide},
        },
    },
};
use std::{
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

/// A journal that is not there yet, in words.
pub(crate) const NEXT: &str = "the next journal";

/// The interval at which a waiting append checks that sealing has not stopped.
const WAIT_SLICE: Duration = Duration::from_millis(100);

impl Shared {
    /// See [`crate::store::FrameLog::append`].
    ///
    /// # Panics
    ///
    /// If the group is empty: there is nothing to commit.
    pub(crate) fn append(&self, group: Group<'_>) -> Result<(), Error> {
        self.check_running()?;
        let written = self.progress().record.written;
        if Some(group.first) != written.size.next_seq() {
            return Err(Error::NotNext { at: group.first, next: next_after(written.size.get()) });
        }
        let bytes: usize = group.frames.iter().map(Vec::len).sum();
        assert!(!group.frames.is_empty(), "a group has at least one frame");
        let largest = group.frames.iter().map(Vec::len).max().unwrap_or(0);
        check_size("a frame", largest, FRAME_BYTES_MAX)?;
        let record = journal::record_bytes(group.frames);
        check_size("a group", record, GROUP_BYTES_MAX)?;
        self.wait_for_room(bytes)?;

        let mut journal = lock(&self.journal);
        if !journal.fits(record) {
            drop(journal);
            journal = self.next_journal(record)?;
        }
        let synced = self.progress().record.synced.size;
        let answer = journal.write(&group, synced.get()).map_err(dir::at("append", &journal.path));
        self.halting(answer)?;
        if journal.is_half_full() && lock(&self.journals).spare.is_none() {
            self.wake();
        }
        drop(journal);

        lock(&self.tail).push_group(&group);
        let mut progress = lock(&self.progress);
        let size = written.size.get() + wide(group.frames.len());
        progress.record.written = Head { size: Size::new(size), root: group.root };
        progress.written_bytes += wide(bytes);
        Ok(())
    }

    /// Waits until there is room for `bytes` more to be sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if sealing pauses for want of space, [`Error::SealingBehind`] if it takes too
    /// long, [`Error::SealingStopped`] if it has ended.
    fn wait_for_room(&self, bytes: usize) -> Result<(), Error> {
        if self.over_limit(bytes).is_none() {
            return Ok(());
        }
        // Only synced frames are sealed: without this sync, an append could wait for itself.
        self.sync()?;
        let began = Instant::now();
        loop {
            self.wake_for_room();
            let tail = lock(&self.tail);
            let tail = self.room.wait_timeout(tail, WAIT_SLICE);
            drop(tail.unwrap_or_else(PoisonError::into_inner));
            let Some((waiting, max)) = self.over_limit(bytes) else { return Ok(()) };
            self.check_sealing_space()?;
            if !self.seals.load(Ordering::SeqCst) {
                return Err(Error::SealingStopped { waiting, max });
            }
            if began.elapsed() >= self.options.busy_wait {
                return Err(Error::SealingBehind { waiting, max });
            }
        }
    }

    /// The bytes that wait to be sealed, and the limit that `bytes` more would be over: that of
    /// the tail in memory, or that of the journals on disk. `None` if there is room.
    fn over_limit(&self, bytes: usize) -> Option<(usize, usize)> {
        let progress = self.progress();
        let tail = lock(&self.tail);
        let (in_memory, memory_max) = (tail.bytes(), self.options.tail_bytes_max);
        if !tail.is_short() && in_memory + bytes > memory_max {
            return Some((in_memory, memory_max));
        }
        let (on_disk, disk_max) = (progress.unsealed_bytes(), self.options.unsealed_bytes_max);
        let fits = on_disk == 0 || on_disk + wide(bytes) <= disk_max;
        (!fits).then(|| (narrow(on_disk), narrow(disk_max)))
    }

    /// See [`crate::store::FrameLog::append_may_wait`].
    pub(crate) fn append_may_wait(&self) -> bool {
        // Another thread is changing it if it is locked.
        let Ok(journal) = self.journal.try_lock() else { return true };
        let bytes = sizes::at_ease_bytes(journal.header.bytes);
        let fits = journal.fits(bytes);
        drop(journal);
        !fits || self.over_limit(bytes).is_some()
    }

    /// See [`crate::store::FrameLog::sync`].
    pub(crate) fn sync(&self) -> Result<Head, Error> {
        let syncing = lock(&self.syncing);
        self.check_running()?;
        let (progress, file) = {
            let journal = lock(&self.journal);
            (self.progress(), journal.file())
        };
        self.sync_file(&syncing, &file, progress)
    }

    /// Syncs the file that holds all frames of `progress` that are not synced.
    ///
    /// One thread at a time does this: of two that sync one file at once, only one gets the error.
    fn sync_file(
        &self,
        _syncing: &MutexGuard<'_, ()>,
        file: &JournalFile,
        progress: Progress,
    ) -> Result<Head, Error> {
        let written = progress.record.written;
        if written == progress.record.synced {
            return Ok(written);
        }
        self.halting(file.sync())?;
        {
            let mut now = lock(&self.progress);
            now.record.synced = written;
            now.synced_bytes = progress.written_bytes;
        }
        self.halting(self.write_head())?;
        if self.tail_is_long() {
            self.wake();
        }
        Ok(written)
    }

    /// See [`crate::store::FrameLog::reserve`].
    pub(crate) fn reserve(&self, number: u64) -> Result<(), Error> {
        self.check_running()?;
        lock(&self.progress).record.reserved = number;
        self.halting(self.write_head().and_then(|()| self.sync_head()))
    }

    /// The journal, with room for a group of `record` bytes. Changes to the next one if needed.
    fn next_journal(&self, record: usize) -> Result<MutexGuard<'_, Journal>, Error> {
        let syncing = lock(&self.syncing);
        let mut journal = lock(&self.journal);
        if !journal.fits(record) {
            self.rotate(&syncing, &mut journal, record)?;
        }
        Ok(journal)
    }

    /// Changes to the next journal, which has room for a group of `record` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is no space for it: nothing has changed, and the caller may try
    /// again. Any other error halts.
    pub(crate) fn rotate(
        &self,
        syncing: &MutexGuard<'_, ()>,
        journal: &mut Journal,
        record: usize,
    ) -> Result<(), Error> {
        self.check_running()?;
        let spare = lock(&self.journals).spare.take();
        let spare = match spare {
            Some(spare) if spare.bytes >= sizes::least_journal_bytes(&self.options, record) => {
                spare
            }
            unfit => {
                unfit.into_iter().for_each(Spare::discard);
                self.halting(self.prepare_journal_at_need(journal.bytes(record), record))?
            }
        };
        // A later group vouches for every earlier one, also across files.
        let before = self.sync_file(syncing, &journal.file(), self.progress())?;
        let next = self.halting(self.activate(spare, before).map_err(not_retryable))?;
        let old = std::mem::replace(journal, next);
        // An empty journal had the name that its successor has now.
        if !old.is_empty() {
            let Header { before: first, bytes, .. } = old.header;
            let retired = Retired { path: old.path, before: first, after: before, bytes };
            lock(&self.journals).retired.push_back(retired);
        }
        self.wake();
        Ok(())
    }

    /// Makes a file of zeros that can become the journal after one of `before` bytes, with room for a
    /// group of `record` bytes. Where it would take space that sealing needs, it is a smaller one; the
    /// smallest takes all that there is.
    pub(crate) fn prepare_journal(&self, before: u64, record: usize) -> Result<Spare, Error> {
        let log = lock(&self.journals).log_bytes().saturating_add(before);
        let least = sizes::least_journal_bytes(&self.options, record);
        let mut bytes = sizes::journal_bytes(&self.options, log).max(least);
        while bytes > least && self.check_space(NEXT, bytes + self.to_seal_bytes()).is_err() {
            bytes = (bytes / 2).max(least);
        }
        self.check_space(NEXT, bytes)?;
        Spare::prepare(&self.root.join(dir::JOURNAL), self.spare_number(), bytes)
    }

    /// Checks that the file system has room for `bytes` more; in tests, as the test says.
    pub(crate) fn check_space(&self, what: &'static str, bytes: u64) -> Result<(), Error> {
        self.steps_at("free space asked for");
        self.options.steps.check(what, bytes)?;
        dir::check_space(what, &self.root, bytes)
    }

    fn activate(&self, spare: Spare, before: Head) -> Result<Journal, Error> {
        self.steps_at("spare journal ready");
        let ledger = lock(&self.identity).ledger;
        let header = Header { ledger, nonce: self.nonce(before.size.get()), before, bytes: 0 };
        let named = spare.write_header(header)?;
        self.steps_at("journal header written");
        let journal = named.publish()?;
        self.steps_at("journal published");
        Ok(journal)
    }

    pub(crate) fn steps_at(&self, step: &'static str) {
        self.options.steps.at(step);
    }
}

fn check_size(what: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len <= max { Ok(()) } else { Err(Error::TooLarge { what, len, max }) }
}

/// Replaces an error that says that nothing was written. That may be untrue here: it is unknown
/// whether the file has its name.
fn not_retryable(error: Error) -> Error {
    if let Error::Full { source: Some(source), .. } = error {
        return Error::Io { during: "start a journal", path: None, source };
    }
    error
}
