//! The spool of a ledger in a directory: commands that wait for a writer, and the output of commands
//! that run. Written and read without the lock of the ledger.
//!
//! Joins the files of the store to commands as JSON; knows nothing of an open ledger. `care::intake` is
//! how a writer takes the batches in. Start reading at [`Spool`].

use crate::{
    code::Code,
    command::{Batch, Command, Finish, Proposal},
    ids::{Key, LedgerId, TaskId},
    store::{self, SpoolFiles, Spooled},
    time::Millis,
    wire::{self, WireError},
};
use std::path::Path;

/// The most bytes of an output that the spool keeps: the last ones.
pub const OUTPUT_BYTES_MAX: usize = store::OUTPUT_BYTES_MAX;

/// The spool of a ledger in a directory, for processes that do not have the ledger open.
///
/// A batch that cannot be recorded now, since another process has the ledger or the disk is full, is
/// [put](Self::put) there. The next opening of the ledger to append takes it in, through the same append
/// and with its keys, so that nothing is recorded twice.
///
/// Cheap to make and to clone. Touches nothing before a call asks for it, takes no lock, and waits for
/// nobody. Every call may block on the device.
///
/// ```
/// use taskledger::{Ledger, Options, command::{Finish, Proposal, Spawn}, ids::{Key, ThreadId}};
/// use taskledger::{ledger::Spool, time::Millis};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("ledger");
/// let ledger = Ledger::create(&path, Options::default())?;
/// let spawned = ledger.append_blocking(Spawn::new(ThreadId::new("t")?, "tool"))?.remove(0);
/// let (id, task) = (ledger.reader().ledger_id(), spawned.task.ok_or("a spawn has a task")?);
/// // Another process cannot open the ledger now. What it has to record waits.
/// let end = Proposal::new(Finish::completed(&task)).key(Key::of("run 7, end"));
/// Spool::of(&path).put(id, end, Millis(1_700_000_000_000))?;
/// ledger.close_blocking()?;
///
/// let ledger = Ledger::open(&path, Options::default())?;
/// assert!(ledger.reader().task(&task)?.is_some_and(|task| task.status.is_terminal()));
/// assert_eq!(Spool::of(&path).waiting()?, 0);
/// # ledger.close_blocking()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Spool {
    files: SpoolFiles,
}

/// The end of an output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskOutput {
    /// The number of bytes that were ever written.
    pub total: u64,
    /// The last of them; at most [`OUTPUT_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// The reason that the spool did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A command of the batch has no idempotency key, so that it could be recorded twice.
    #[error("command {index} of the batch has no key")]
    NoKey {
        /// The place of the command, from 0.
        index: usize,
    },
    /// The batch has no commands.
    #[error("the batch is empty")]
    Empty,
    /// The batch cannot be written as JSON.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A file could not be written or read. Nothing waits that did not before.
    #[error("the spool could not be used")]
    Store(#[from] store::Error),
    /// The batch was written, and its name could not be synced: it waits, unless power is lost. With its
    /// keys, it may be put again, or recorded.
    #[error("the batch may be in the spool, or not")]
    Unknown(#[source] store::Error),
}

impl SpoolError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoKey { .. } | Self::Empty => Code::Invalid,
            Self::Wire(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Unknown(_) => Code::OutcomeUnknown,
        }
    }
}

impl Spool {
    /// The spool of the ledger in `path`.
    pub fn of(path: impl AsRef<Path>) -> Self {
        Self { files: SpoolFiles::new(path.as_ref()) }
    }

    /// Leaves a batch for the next writer of ledger `ledger`. Each command must have a key, and keeps it;
    /// one without a time of occurrence gets `now`. The same batch may be put again; another with the same
    /// first key is refused while one waits.
    ///
    /// Batches are taken in by the time at which they were put, those of one millisecond in any order:
    /// commands that need one another belong to one batch.
    ///
    /// # Durability
    /// When it returns, the batch survives loss of power, and is whole.
    ///
    /// # Errors
    /// - [`SpoolError::NoKey`], [`SpoolError::Empty`], [`SpoolError::Wire`]: it can never wait there.
    /// - [`SpoolError::Unknown`]: it may wait.
    /// - [`SpoolError::Store`] with [`store::Error::Replaced`] if another ledger is at the path,
    ///   [`store::Error::Exists`] if another batch with the same first key waits,
    ///   [`store::Error::TooLarge`] above 16 MiB of JSON, [`store::Error::Full`] if 4,096 batches or
    ///   256 MiB of them wait, or the disk is full; else as the directory refuses it.
    ///
    /// # Cost
    /// O(bytes), three syncs, and a look at the names of all that waits.
    pub fn put(
        &self,
        ledger: LedgerId,
        batch: impl Into<Batch>,
        now: Millis,
    ) -> Result<(), SpoolError> {
        let mut proposals: Vec<Proposal> = batch.into().into();
        for (index, proposal) in proposals.iter_mut().enumerate() {
            proposal.key.ok_or(SpoolError::NoKey { index })?;
            proposal.occurred.get_or_insert(now);
        }
        let first = proposals.first().and_then(|first| first.key).ok_or(SpoolError::Empty)?;
        let body = wire::to_json(&proposals)?.into_bytes();
        self.files.put(first, &Spooled { ledger, at: now.0, body })?;
        self.files.settle().map_err(SpoolError::Unknown)
    }

    /// The number of batches that wait. A look at the names.
    ///
    /// # Errors
    /// [`SpoolError::Store`]
    pub fn waiting(&self) -> Result<u64, SpoolError> {
        Ok(u64::try_from(self.files.batches()?.len()).unwrap_or(u64::MAX))
    }

    /// The number of outputs. A look at the names.
    ///
    /// # Errors
    /// [`SpoolError::Store`]
    pub fn outputs(&self) -> Result<u64, SpoolError> {
        Ok(u64::try_from(self.files.outputs()?).unwrap_or(u64::MAX))
    }

    /// The end of a task that waits in a batch, if one does. Batches that do not hold are passed over.
    ///
    /// # Errors
    /// [`SpoolError::Store`] if the directory could not be read.
    ///
    /// # Cost
    /// O(bytes of all batches).
    pub fn end_of(&self, ledger: LedgerId, task: &TaskId) -> Result<Option<Finish>, SpoolError> {
        for name in self.files.batches()? {
            let read = self.files.read(&name).ok().filter(|batch| batch.ledger == ledger);
            let batch = read.and_then(|batch| wire::from_json(&batch.body).ok());
            let ends = |proposal: &Proposal| {
                let Command::Finish(finish) = &proposal.command else { return None };
                (finish.task == *task).then(|| finish.clone())
            };
            if let Some(finish) = batch.as_deref().and_then(|batch| batch.iter().find_map(ends)) {
                return Ok(Some(finish));
            }
        }
        Ok(None)
    }

    /// A place for the output of a task that runs.
    pub fn writer(&self, ledger: LedgerId, task: TaskId) -> OutputWriter {
        OutputWriter { files: self.files.clone(), ledger, task, generation: 0 }
    }

    /// The end of the output of a task, as its writer last wrote it; `None` if there is none. It may be
    /// a moment old, and loss of power may have taken its end.
    ///
    /// # Errors
    /// [`SpoolError::Store`] if there is a file that cannot be read, is no regular one, or is one that
    /// others may write.
    pub fn output(
        &self,
        ledger: LedgerId,
        task: &TaskId,
    ) -> Result<Option<TaskOutput>, SpoolError> {
        let output = self.files.output(ledger, task)?;
        Ok(output.map(|store::Output { total, bytes }| TaskOutput { total, bytes }))
    }

    pub(super) fn files(&self) -> &SpoolFiles {
        &self.files
    }

    /// Removes what is not needed any more: every output but those of tasks that run, and files that a
    /// process has left half written.
    pub(super) fn purge(&self, ledger: LedgerId, runs: &[TaskId]) -> Result<(), store::Error> {
        let mut keys: Vec<Key> = runs.iter().map(|task| store::output_key(ledger, task)).collect();
        keys.sort_unstable();
        self.files.purge(|key| keys.binary_search(key).is_ok())
    }
}

/// The output of a task in the spool, while the task runs. One process at a time writes it.
#[derive(Debug, Clone)]
pub struct OutputWriter {
    files: SpoolFiles,
    ledger: LedgerId,
    task: TaskId,
    generation: u64,
}

impl OutputWriter {
    /// Writes the end of the output, in the place of what was written before. Of more than
    /// [`OUTPUT_BYTES_MAX`] bytes the last are kept. Not synced: it survives the process, and loss of
    /// power may cost it.
    ///
    /// # Errors
    /// [`SpoolError::Store`]: what was written before can still be read.
    pub fn write(&mut self, output: TaskOutput) -> Result<(), SpoolError> {
        let TaskOutput { total, bytes } = output;
        let output = store::Output { total, bytes };
        self.files.write_output(self.ledger, &self.task, self.generation, &output)?;
        self.generation += 1;
        Ok(())
    }

    /// Removes it, once the task's end is recorded, or waits in the spool.
    ///
    /// # Errors
    /// [`SpoolError::Store`]
    pub fn remove(self) -> Result<(), SpoolError> {
        Ok(self.files.remove_output(self.ledger, &self.task)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, Options};

    /// The file is there, and loss of power may take its name.
    #[test]
    fn a_batch_whose_name_is_not_durable_may_wait_and_is_not_said_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let ledger = Ledger::create(&path, Options::default()).unwrap();
        let (id, spool) = (ledger.reader().ledger_id(), Spool::of(&path));
        let end = || Proposal::new(Finish::completed(TaskId::new("a").unwrap())).key(Key([1; 16]));
        store::UNSETTLED.set(true);
        let error = spool.put(id, end(), Millis(1)).unwrap_err();
        assert!(matches!(error, SpoolError::Unknown(_)), "{error:?}");
        assert_eq!(error.code(), Code::OutcomeUnknown);
        assert_eq!(spool.waiting().unwrap(), 1);
        store::UNSETTLED.set(false);
        spool.put(id, end(), Millis(1)).unwrap();
        assert_eq!(spool.waiting().unwrap(), 1, "the same one");
    }
}
