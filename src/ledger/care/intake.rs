//! The intake of the spool: what waits beside the ledger is recorded by the writer that has it next.
//!
//! Every batch goes through the ordinary append, with its keys, and its file goes only once the batch is
//! durable: stopped anywhere, the next intake records nothing twice and loses nothing. A batch that a
//! rule refuses, or that does not hold, is moved to `quarantine/`; one that cannot be recorded now stays.
//! Neither keeps anybody from the ledger. Start reading at [`Ledger::take_in`].

use crate::{
    ledger::{AppendError, Ledger, Spool},
    store::{self, Damage},
    sync::thread,
    wire::{self, WireError},
};
use std::sync::PoisonError;

/// The most batches that an opening records. Each costs a sync while others wait for the lock; the next
/// opening records more.
const OPENING_MAX: usize = 128;

/// The fate of a batch.
enum Fate {
    /// It is recorded.
    Recorded,
    /// It will never be recorded, for this reason.
    Refused(String),
    /// It stays for another time, for this reason; those after it may be tried.
    Stays(String),
    /// It stays, and so do those after it.
    NotNow(String),
}

impl Ledger {
    /// Records the batches that wait in the [spool](Spool) of this ledger, those that were put first
    /// first. An opening and a purge do this by themselves; a host that has the ledger open for long
    /// may do it now and then. Does nothing on a ledger that takes no appends or has no directory.
    /// Blocks.
    ///
    /// Returns how many were recorded. Others are named in the log of the process: a batch that was
    /// refused, or does not hold, is in the ledger's `quarantine/` then; one that could not be recorded
    /// now, as on a full disk, goes on waiting.
    ///
    /// # Durability
    /// Recorded events survive loss of power, with any [`Durability`](crate::Durability).
    ///
    /// # Errors
    /// [`store::Error`] if the spool could not be read, or a file in it not be removed.
    ///
    /// # Cost
    /// A look at a directory; for each batch an append.
    pub fn take_in_blocking(&self) -> Result<usize, store::Error> {
        self.take_in_upto(usize::MAX)
    }

    /// The same for an opening, which waits for no more than [`OPENING_MAX`] of them.
    pub(in crate::ledger) fn take_in_some(&self) -> Result<usize, store::Error> {
        self.take_in_upto(OPENING_MAX)
    }

    fn take_in_upto(&self, max: usize) -> Result<usize, store::Error> {
        let Some(spool) = &self.inner.spool else { return Ok(0) };
        // One after the other: the file of a batch is read and removed.
        let _one = self.inner.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        if self.role().check_append().is_err() {
            return Ok(0);
        }
        let names = spool.files().batches()?;
        if names.is_empty() {
            return Ok(0);
        }
        // On a thread of its own, since the caller may be async code, in which an append cannot be
        // waited for. It holds no handle that would outlive this call.
        let (ledger, spool) = (self.clone(), spool.clone());
        let thread = thread::Builder::new()
            .name("taskledger-intake".to_owned())
            .spawn(move || ledger.take_in(&spool, names, max))
            .map_err(|source| store::Error::Io {
                during: "start of a thread",
                path: None,
                source,
            })?;
        thread.join().unwrap_or(Err(store::Error::Halted))
    }

    /// Removes from the spool what may hold texts of tasks that do not run.
    pub(in crate::ledger) fn purge_spool(&self) -> Result<(), store::Error> {
        // A standby leaves it to its primary.
        let spool = self.inner.spool.as_ref().filter(|_| self.role().check_append().is_ok());
        let Some(spool) = spool else { return Ok(()) };
        let state = &self.inner.reader.shared().published().state;
        let runs = state.tasks().filter(|task| !task.status.is_terminal());
        let runs: Vec<_> = runs.map(|task| task.id.clone()).collect();
        spool.purge(self.inner.reader.ledger_id(), &runs)
    }

    fn take_in(
        &self,
        spool: &Spool,
        names: Vec<String>,
        max: usize,
    ) -> Result<usize, store::Error> {
        let files = spool.files();
        let mut waiting: Vec<_> = names
            .into_iter()
            // One whose time cannot be read does not hold, and finds its fate among the first.
            .map(|name| (files.time_of(&name).unwrap_or(0), name))
            .collect();
        waiting.sort_unstable();
        let mut recorded = Vec::new();
        for (_, name) in waiting {
            if recorded.len() == max {
                break;
            }
            match self.take_in_one(spool, &name) {
                Fate::Recorded => recorded.push(name),
                Fate::Refused(why) => set_aside(spool, &name, &why),
                Fate::Stays(error) => told_stays(&name, &error),
                Fate::NotNow(error) => {
                    told_stays(&name, &error);
                    break;
                }
            }
        }
        if recorded.is_empty() {
            return Ok(0);
        }
        // An acknowledgement may have come before the sync.
        if let Err(error) = self.sync_blocking() {
            tracing::warn!(%error, "batches stay in the spool: they are recorded, and not synced");
            return Ok(0);
        }
        self.inner.options.store.steps.at("batches recorded");
        files.remove(&recorded)?;
        tracing::info!(batches = recorded.len(), "batches of the spool were recorded");
        Ok(recorded.len())
    }

    fn take_in_one(&self, spool: &Spool, name: &str) -> Fate {
        let spooled = match spool.files().read(name) {
            Ok(spooled) => spooled,
            // Such a thing can be moved, but nothing good is made of it in another place.
            Err(error @ store::Error::Damaged { detail: Damage::NotRegular, .. }) => {
                return Fate::Stays(told(&error));
            }
            Err(error @ store::Error::Damaged { .. }) => return Fate::Refused(told(&error)),
            Err(error) => return Fate::Stays(told(&error)),
        };
        if spooled.ledger != self.inner.reader.ledger_id() {
            return Fate::Refused(format!("it is of another ledger, {}", spooled.ledger));
        }
        let batch = match wire::from_json(&spooled.body) {
            Ok(batch) => batch,
            // The version that knows it will take it in.
            Err(error @ WireError::OtherSchema { .. }) => return Fate::Stays(told(&error)),
            Err(error) => return Fate::Refused(told(&error)),
        };
        if batch.is_empty() || batch.iter().any(|proposal| proposal.key.is_none()) {
            return Fate::Refused("a command has no key".to_owned());
        }
        match self.append_blocking(batch) {
            Ok(_) => Fate::Recorded,
            // The limit is this opener's; another takes it.
            Err(error @ AppendError::TooLarge { .. }) if self.inner.options.is_strict() => {
                Fate::Stays(told(&error))
            }
            Err(error) if is_final(&error) => Fate::Refused(told(&error)),
            Err(error @ AppendError::Unreadable { .. }) => Fate::Stays(told(&error)),
            Err(error) => Fate::NotNow(told(&error)),
        }
    }
}

/// An error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

fn told_stays(name: &str, why: &str) {
    tracing::warn!(batch = name, error = why, "a batch stays in the spool");
}

fn set_aside(spool: &Spool, name: &str, why: &str) {
    match spool.files().set_aside(name) {
        Ok(path) => {
            let path = path.display();
            tracing::warn!(batch = name, error = why, %path, "a batch of the spool is not recorded");
        }
        Err(error) => told_stays(name, &format!("{why}; it cannot be moved: {}", told(&error))),
    }
}

/// Says whether the same batch will never be recorded.
fn is_final(error: &AppendError) -> bool {
    match error {
        AppendError::Rejected(_)
        | AppendError::TooLarge { .. }
        | AppendError::Conflict { .. }
        | AppendError::KeyReused { .. } => true,
        AppendError::Unreadable { .. }
        | AppendError::Busy { .. }
        | AppendError::SealingBehind { .. }
        | AppendError::SealingStopped { .. }
        | AppendError::StorageUnavailable { .. }
        | AppendError::DiskFull
        | AppendError::NotPrimary
        | AppendError::NotStandby
        | AppendError::Fenced { .. }
        | AppendError::NotContinuation { .. }
        | AppendError::OutcomeUnknown { .. }
        | AppendError::Halted => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{Emit, Finish, Proposal, Spawn},
        ids::{Key, TaskId, ThreadId},
        ledger::{Durability, Options},
        store::DiskOptions,
        time::Millis,
    };
    use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc, time::Duration};

    /// Copies a ledger as a kill of its process would leave it.
    fn copy(from: &Path, to: &Path) {
        fs::DirBuilder::new().mode(0o700).create(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
            let target = to.join(entry.file_name().unwrap());
            if entry.is_dir() {
                copy(&entry, &target);
            } else {
                fs::copy(&entry, &target).unwrap();
            }
        }
    }

    #[test]
    fn killed_before_the_files_go_what_they_held_is_durable_and_is_recorded_once() {
        for durability in [Durability::Synced, Durability::Interval(Duration::from_hours(1))] {
            let dir = tempfile::tempdir().unwrap();
            let (path, image) = (dir.path().join("ledger"), dir.path().join("image"));
            let mut options = Options::default().durability(durability);
            let (from, to) = (path.clone(), image.clone());
            options.store.steps.hook = Some(Arc::new(move |step| {
                if step == "batches recorded" {
                    copy(&from, &to);
                }
            }));
            let ledger = Ledger::create(&path, options).unwrap();
            let (id, spool) = (ledger.reader().ledger_id(), Spool::of(&path));
            for at in 1..=3 {
                let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x");
                let key = Key([u8::try_from(at).unwrap(); 16]);
                spool.put(id, Proposal::new(spawn).key(key), Millis(at)).unwrap();
            }
            assert_eq!(ledger.take_in_blocking().unwrap(), 3);
            let spool = Spool::of(&image);
            assert_eq!(spool.waiting().unwrap(), 3, "the files had not gone");
            // A reader shows what the files call durable.
            let reader = Ledger::open_read_only(&image, Options::default()).unwrap();
            assert_eq!(reader.reader().head().size.get(), 4);
            let again = Ledger::open(&image, Options::default()).unwrap();
            assert_eq!(again.reader().state().unwrap().tasks_len(), 3, "each once");
            assert_eq!(spool.waiting().unwrap(), 0);
        }
    }

    #[test]
    fn what_finds_no_space_goes_on_waiting_and_so_does_what_came_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let small = DiskOptions::default().journal_bytes(64 << 10).flush_every(None);
        let options = Options::default().store(small);
        let ledger = Ledger::create(&path, options.clone()).unwrap();
        let task = TaskId::new("a").unwrap();
        let spawn = Spawn::new(ThreadId::new("t").unwrap(), "x").task(&task);
        ledger.append_blocking(spawn).unwrap();
        ledger.close_blocking().unwrap();
        let (id, spool) = (ledger.reader().ledger_id(), Spool::of(&path));
        let large = format!("\"{}\"", "x".repeat(200 << 10));
        let commands = [
            Proposal::new(Emit::new(&task, "first", "1")),
            Proposal::new(Emit::new(&task, "too large for the journal", large)),
            Proposal::new(Finish::completed(&task)),
        ];
        for (at, command) in (1..).zip(commands) {
            let key = Key([u8::try_from(at).unwrap(); 16]);
            spool.put(id, command.key(key), Millis(at)).unwrap();
        }
        let mut full = options.clone();
        let (no_space, some) =
            (Arc::clone(&full.store.steps.free), Arc::clone(&options.store.steps.free));
        full.store.steps.hook = Some(Arc::new(move |step| {
            if step == "torn end cut" {
                *no_space.lock().unwrap() = Some(0);
            }
        }));
        let ledger = Ledger::open(&path, full).unwrap();
        assert_eq!(spool.waiting().unwrap(), 2, "the first had room");
        assert!(!ledger.reader().task(&task).unwrap().unwrap().status.is_terminal());
        drop(ledger);
        *some.lock().unwrap() = None;
        let ledger = Ledger::open(&path, options).unwrap();
        assert_eq!(spool.waiting().unwrap(), 0);
        assert!(ledger.reader().task(&task).unwrap().unwrap().status.is_terminal());
        assert_eq!(ledger.reader().head().size.get(), 7, "three writers, a spawn, and each once");
    }
}
