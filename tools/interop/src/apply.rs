//! Brings a recording into a ledger: what the ledger already has is left out.
//!
//! Importing twice adds nothing; importing a longer recording of the same session adds what is
//! new; an import that was interrupted is completed by the next. All of that follows from looking
//! at what the ledger holds, never from remembering what an import did.
//!
//! Knows a ledger only as a [`Sink`].

mod held;

use crate::{
    error::ImportError,
    options::{Phase, Progress},
    recording::Recording,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};
use taskledger::{
    command::{CancelTarget, Command, Finish, ParentRef, Proposal, Restore, Update},
    event::TaskStatus,
    ids::{Key, TaskId, ThreadId},
    time::Millis,
};

/// Proposals that are appended together, at most.
pub const BATCH_MAX: usize = 512;
/// Bytes of text after which a batch is appended, however few proposals it has.
const BATCH_BYTES: usize = 2 << 20;
/// The most refusals of which the reason is kept. All are counted.
pub const REFUSED_KEPT_MAX: usize = 1_000;

/// Says what an import must know of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The thread that owns it.
    pub thread: ThreadId,
    /// The task that spawned it, wherever that is.
    pub parent: Option<TaskId>,
    /// Says where it stands.
    pub status: TaskStatus,
    /// Says when it ended, if it has and that is known.
    pub completed: Option<Millis>,
}

/// Whose events are asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A task.
    Task(TaskId),
    /// A thread.
    Thread(ThreadId),
}

/// Why a batch was not appended.
#[derive(Debug)]
pub enum SinkError {
    /// One of its proposals breaks a rule. Nothing of the batch was written.
    Refused(Box<dyn Error + Send + Sync>),
    /// The ledger cannot go on.
    Failed(Box<dyn Error + Send + Sync>),
}

/// A ledger as an import sees it.
pub trait Sink {
    /// The task, if the ledger holds it.
    fn task(&self, id: &TaskId) -> Option<Known>;

    /// Says whether the ledger remembers an event with this key. It may have forgotten an old one.
    fn remembers(&self, key: &Key) -> bool;

    /// The keys of all events of a task or thread. O(its events).
    ///
    /// # Errors
    /// What the ledger said when its past could not be read.
    fn keys(&self, owner: &Owner) -> Result<BTreeSet<Key>, Box<dyn Error + Send + Sync>>;

    /// Appends all of `batch`, in order, or nothing. At most [`BATCH_MAX`].
    ///
    /// # Errors
    /// [`SinkError`].
    fn append(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError>;

    /// Does the same to what this sink answers, and leaves the ledger as it is. Once rehearsed, a
    /// sink is good for nothing else.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn rehearse(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError>;
}

/// A proposal that the ledger did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// Why.
    pub why: String,
}

/// Says what an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Proposals of the recording.
    pub proposals: u64,
    /// Events that were appended, or would be by an import that is not dry.
    pub appended: u64,
    /// Tasks among them.
    pub tasks: u64,
    /// Proposals that the ledger already had.
    pub present: u64,
    /// Proposals that were not taken.
    pub refused: u64,
    /// The first [`REFUSED_KEPT_MAX`] of them.
    pub refusals: Vec<Refused>,
    /// Threads in which the ledger holds tasks that this recording has too.
    pub copies: BTreeSet<ThreadId>,
}

/// Appends to `sink` what it does not have of `recording`, in batches of at most [`BATCH_MAX`].
///
/// With `dry_run` nothing is appended, and the report says what would be. A proposal that the
/// ledger refuses is reported, and the others go on. An end that the ledger holds stays: where the
/// recording tells another one, or none, the task gets a note.
///
/// # Errors
/// - [`ImportError::Read`] if the recording cannot be read on.
/// - [`ImportError::Ledger`] if the ledger fails. Either way, what was appended stays.
pub fn import(
    sink: &mut impl Sink,
    recording: &Recording,
    dry_run: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, ImportError> {
    let total = u64::try_from(recording.len()).unwrap_or(u64::MAX);
    let mut import = Import {
        sink,
        dry_run,
        recording,
        batch: Vec::new(),
        bytes: 0,
        pending: BTreeMap::new(),
        elsewhere: BTreeSet::new(),
        renamed: BTreeMap::new(),
        unended: BTreeMap::new(),
        keys: BTreeMap::new(),
        report: Report::default(),
    };
    for proposal in recording.proposals() {
        import.take(proposal?)?;
        if import.batch.len() >= BATCH_MAX || import.bytes >= BATCH_BYTES {
            import.append()?;
            let done = import.report.proposals;
            progress(Progress { phase: Phase::Appending, done, total });
        }
    }
    import.note_untold_ends()?;
    import.append()?;
    progress(Progress { phase: Phase::Appending, done: total, total });
    Ok(import.report)
}

struct Import<'a, S> {
    sink: &'a mut S,
    dry_run: bool,
    recording: &'a Recording,
    batch: Vec<Proposal>,
    /// Of its texts.
    bytes: usize,
    /// Tasks as they will stand once the batch is appended.
    pending: BTreeMap<TaskId, Known>,
    /// Tasks that the ledger holds in another thread: nothing of them is taken.
    elsewhere: BTreeSet<TaskId>,
    /// Says what the ledger calls tasks that the recording calls otherwise.
    renamed: BTreeMap<TaskId, TaskId>,
    /// Tasks that the ledger holds as ended, and the recording has not told to be, by the ledger's
    /// id; and their id in the recording.
    unended: BTreeMap<TaskId, (TaskId, Known)>,
    keys: BTreeMap<Owner, BTreeSet<Key>>,
    report: Report,
}

/// Says what to do with a proposal.
enum Verdict {
    Append,
    Present,
    /// As above, and there is something to say of it.
    Note(Box<Proposal>),
    /// Nothing is known of its task, and nothing was to be.
    Unknown,
    Refuse(String),
}

impl<S: Sink> Import<'_, S> {
    fn take(&mut self, mut proposal: Proposal) -> Result<(), ImportError> {
        self.report.proposals += 1;
        self.rename(&mut proposal);
        match self.judge(&mut proposal)? {
            Verdict::Append => self.add(proposal),
            Verdict::Present => self.report.present += 1,
            Verdict::Note(note) => {
                self.report.present += 1;
                self.note(*note)?;
            }
            Verdict::Unknown => self.report.proposals -= 1,
            Verdict::Refuse(why) => self.refuse(task_of(&proposal.command), why),
        }
        Ok(())
    }

    fn add(&mut self, proposal: Proposal) {
        let spawns = matches!(proposal.command, Command::Spawn(_) | Command::Restore(_));
        self.report.tasks += u64::from(spawns);
        self.report.appended += 1;
        self.bytes += text_bytes(&proposal.command);
        self.batch.push(proposal);
    }

    fn judge(&mut self, proposal: &mut Proposal) -> Result<Verdict, ImportError> {
        if task_of(&proposal.command).is_some_and(|task| self.elsewhere.contains(&task)) {
            return Ok(Verdict::Refuse("the task belongs to another thread".to_owned()));
        }
        Ok(match &proposal.command {
            Command::Spawn(_) | Command::Restore(_) => self.judge_spawn(proposal)?,
            Command::Finish(finish) => self.judge_finish(&finish.clone(), proposal.occurred),
            Command::Orphan(orphan) => {
                let Some(task) = orphan.task.id() else { return Ok(Verdict::Append) };
                match self.known(task) {
                    None => Verdict::Refuse("the task was never spawned".to_owned()),
                    Some(known) if known.status.is_terminal() => Verdict::Present,
                    Some(known) => {
                        let status = TaskStatus::Failed;
                        self.pending.insert(task.clone(), Known { status, ..known });
                        Verdict::Append
                    }
                }
            }
            Command::Update(_) | Command::Message(_) | Command::Emit(_) => {
                let owner = task_of(&proposal.command).map(Owner::Task);
                self.by_key(owner, proposal.key)?
            }
            Command::Cancel(cancel) => {
                let owner = match &cancel.target {
                    CancelTarget::Task(task) | CancelTarget::Tree(task) => {
                        task.id().cloned().map(Owner::Task)
                    }
                    CancelTarget::Thread(thread) => Some(Owner::Thread(thread.clone())),
                    CancelTarget::Run(_) => None,
                };
                self.by_key(owner, proposal.key)?
            }
            Command::Redact(_) => Verdict::Refuse("redactions are not imported".to_owned()),
        })
    }

    fn judge_spawn(&mut self, proposal: &mut Proposal) -> Result<Verdict, ImportError> {
        let (Command::Spawn(spawn) | Command::Restore(Restore { spawn, .. })) = &proposal.command
        else {
            return Ok(Verdict::Append);
        };
        let Some(id) = spawn.task.clone() else { return Ok(Verdict::Append) };
        let parent = spawn.parent.as_ref().and_then(ParentRef::id).cloned();
        let thread = spawn.thread.clone();
        let restored = if let Command::Restore(restore) = &proposal.command {
            Some((restore.status, restore.completed))
        } else {
            None
        };
        let (status, completed) = restored.unwrap_or((TaskStatus::Running, None));
        Ok(match self.known(&id) {
            None => {
                self.pending.insert(id, Known { thread, parent, status, completed });
                Verdict::Append
            }
            // One id is one call: this recording has a copy of it.
            Some(known) if known.thread != thread && !self.is_call(&id) => {
                let why = format!("the ledger holds the task in thread {}", known.thread);
                self.elsewhere.insert(id);
                Verdict::Refuse(why)
            }
            Some(_) if !self.recording.spawns_grow => Verdict::Present,
            Some(known) => {
                if known.thread != thread {
                    self.report.copies.insert(known.thread.clone());
                }
                if known.status.is_terminal() {
                    let name = self.name_in_recording(&id);
                    self.unended.insert(id.clone(), (name, known.clone()));
                }
                self.late_parent(id, known, parent, proposal)?
            }
        })
    }

    fn judge_finish(&mut self, finish: &Finish, occurred: Option<Millis>) -> Verdict {
        let Some(task) = finish.task.id() else { return Verdict::Append };
        let (status, completed) = (TaskStatus::from(finish.outcome), finish.completed);
        match self.known(task) {
            // The end of a task of another session, which the ledger may hold or not.
            None if self.recording.strays.contains(task) => Verdict::Unknown,
            None => Verdict::Refuse("the task was never spawned".to_owned()),
            Some(known) if known.status.is_terminal() => {
                self.unended.remove(task);
                if known.status == status || !self.recording.spawns_grow {
                    Verdict::Present
                } else {
                    Verdict::Note(Box::new(self.other_end(task, &known, status, completed)))
                }
            }
            Some(known) => {
                let completed = completed.or(occurred);
                self.pending.insert(task.clone(), Known { status, completed, ..known });
                Verdict::Append
            }
        }
    }

    /// A recording that has grown may tell whose child a task is that was first read as a root.
    fn late_parent(
        &mut self,
        id: TaskId,
        known: Known,
        parent: Option<TaskId>,
        proposal: &mut Proposal,
    ) -> Result<Verdict, ImportError> {
        let (None, Some(parent)) = (&known.parent, parent) else { return Ok(Verdict::Present) };
        if known.status.is_terminal() || parent == id {
            return Ok(Verdict::Present);
        }
        let key = proposal.key.map(|Key(spawn)| Key(spawn.map(|byte| !byte)));
        let verdict = self.by_key(Some(Owner::Task(id.clone())), key)?;
        if matches!(verdict, Verdict::Append) {
            self.pending.insert(id.clone(), Known { parent: Some(parent.clone()), ..known });
            *proposal = Proposal::new(Update::new(id).parent(parent));
            proposal.key = key;
        }
        Ok(verdict)
    }

    fn by_key(&mut self, owner: Option<Owner>, key: Option<Key>) -> Result<Verdict, ImportError> {
        let Some(key) = key else { return Ok(Verdict::Append) };
        if self.sink.remembers(&key) {
            return Ok(Verdict::Present);
        }
        let Some(owner) = owner else { return Ok(Verdict::Append) };
        let keys = match self.keys.remove(&owner) {
            Some(keys) => keys,
            None => self.sink.keys(&owner).map_err(|source| self.failed(source))?,
        };
        let keys = self.keys.entry(owner).or_insert(keys);
        Ok(if keys.insert(key) { Verdict::Append } else { Verdict::Present })
    }

    fn known(&self, id: &TaskId) -> Option<Known> {
        self.pending.get(id).cloned().or_else(|| self.sink.task(id))
    }

    fn append(&mut self) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.send(batch.clone());
        match result {
            Ok(()) => {}
            // Whole or not at all: find those that the ledger refuses, and append the others.
            Err(SinkError::Refused(_)) => {
                for proposal in &batch {
                    self.append_one(proposal)?;
                }
            }
            Err(SinkError::Failed(source)) => {
                self.uncount(&batch);
                return Err(self.failed(source));
            }
        }
        self.pending.clear();
        Ok(())
    }

    fn send(&mut self, batch: Vec<Proposal>) -> Result<(), SinkError> {
        if self.dry_run { self.sink.rehearse(batch) } else { self.sink.append(batch) }
    }

    fn append_one(&mut self, proposal: &Proposal) -> Result<(), ImportError> {
        match self.send(vec![proposal.clone()]) {
            Ok(()) => Ok(()),
            Err(SinkError::Refused(why)) => {
                self.uncount(std::slice::from_ref(proposal));
                self.refuse(task_of(&proposal.command), chain(&*why));
                Ok(())
            }
            Err(SinkError::Failed(source)) => {
                self.uncount(std::slice::from_ref(proposal));
                Err(self.failed(source))
            }
        }
    }

    fn uncount(&mut self, batch: &[Proposal]) {
        for proposal in batch {
            let spawns = matches!(proposal.command, Command::Spawn(_) | Command::Restore(_));
            self.report.appended = self.report.appended.saturating_sub(1);
            self.report.tasks = self.report.tasks.saturating_sub(u64::from(spawns));
        }
    }

    fn refuse(&mut self, task: Option<TaskId>, why: String) {
        self.report.refused += 1;
        if self.report.refusals.len() < REFUSED_KEPT_MAX {
            self.report.refusals.push(Refused { task, why });
        }
    }

    fn failed(&self, source: Box<dyn Error + Send + Sync>) -> ImportError {
        let waiting = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        ImportError::Ledger { appended: self.report.appended.saturating_sub(waiting), source }
    }
}

fn task_of(command: &Command) -> Option<TaskId> {
    command.task_id().cloned()
}

fn text_bytes(command: &Command) -> usize {
    let len = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    match command {
        Command::Spawn(spawn) => spawn.description.len(),
        Command::Restore(Restore { spawn, error, result, .. }) => {
            spawn.description.len() + len(error) + len(result)
        }
        Command::Update(update) => len(&update.description),
        Command::Finish(Finish { error, result, .. }) => len(error) + len(result),
        Command::Message(message) => message.content.len(),
        Command::Emit(emit) => emit.content.len(),
        Command::Cancel(cancel) => len(&cancel.reason),
        Command::Orphan(orphan) => orphan.error.len(),
        Command::Redact(redact) => redact.reason.len(),
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
