//! Says what the ledger holds already: under which name, and with which end.

use super::{Import, Known, Owner, Sink, Verdict, task_of};
use crate::{
    error::ImportError,
    identity::{self, Form},
    notes::{NOTE, Note},
    plan::key_of,
};
use taskledger::{
    command::{Command, Emit, Finish, Message, ParentRef, Proposal, TaskRef},
    event::TaskStatus,
    ids::{TaskId, ThreadId},
    time::Millis,
};

impl<S: Sink> Import<'_, S> {
    /// Calls the tasks of a proposal what the ledger calls them.
    pub(super) fn rename(&mut self, proposal: &mut Proposal) {
        if !self.recording.calls {
            return;
        }
        if let Command::Spawn(spawn) = &proposal.command
            && let Some(id) = &spawn.task
            && let Some(name) = self.name_in_ledger(id, &spawn.thread)
        {
            self.renamed.insert(id.clone(), name);
        }
        if self.renamed.is_empty() {
            return;
        }
        let renamed = &self.renamed;
        let of = |id: &mut TaskId| {
            if let Some(name) = renamed.get(id) {
                *id = name.clone();
            }
        };
        let of_ref = |task: &mut TaskRef| match task {
            TaskRef::Id(id) => of(id),
            TaskRef::Spawned(_) => {}
        };
        proposal.cause.task.iter_mut().for_each(of);
        match &mut proposal.command {
            Command::Spawn(spawn) => {
                spawn.task.iter_mut().for_each(of);
                match &mut spawn.parent {
                    Some(ParentRef::Task(task)) => of_ref(task),
                    Some(ParentRef::InLedger { id, .. }) => of(id),
                    None => {}
                }
            }
            Command::Finish(Finish { task, .. })
            | Command::Message(Message { task, .. })
            | Command::Emit(Emit { task, .. }) => of_ref(task),
            Command::Update(_)
            | Command::Restore(_)
            | Command::Orphan(_)
            | Command::Cancel(_)
            | Command::Redact(_) => {}
        }
    }

    /// Another name of a task, if the ledger holds it by that, or holds another one by this.
    fn name_in_ledger(&self, id: &TaskId, thread: &ThreadId) -> Option<TaskId> {
        if identity::form(id.as_str()) == Form::Unique && !self.recording.aliases.contains_key(id) {
            return None;
        }
        let held = self.known(id);
        if held.as_ref().is_some_and(|held| held.thread == *thread) {
            return None;
        }
        let other = self.recording.aliases.get(id)?;
        match self.known(other) {
            Some(known) if known.thread == *thread => Some(other.clone()),
            None if held.is_some() => Some(other.clone()),
            Some(_) | None => None,
        }
    }

    /// Whether the task is a call of a tool, and its id that of no other.
    pub(super) fn is_call(&self, id: &TaskId) -> bool {
        self.recording.calls && identity::form(id.as_str()) == Form::Unique
    }

    pub(super) fn name_in_recording(&self, id: &TaskId) -> TaskId {
        let found = self.renamed.iter().find(|(_, name)| *name == id);
        found.map_or_else(|| id.clone(), |(own, _)| own.clone())
    }

    /// What to note of a task that ended otherwise than the ledger holds.
    pub(super) fn other_end(
        &self,
        task: &TaskId,
        known: &Known,
        status: TaskStatus,
        at: Option<Millis>,
    ) -> Proposal {
        self.note_of(task, known, &Note::other_end(known.status, status, (at, 0)))
    }

    fn note_of(&self, task: &TaskId, known: &Known, note: &Note) -> Proposal {
        let key = key_of(self.recording.format, &known.thread, task, &["note", note.kind]);
        let mut proposal = Proposal::new(Emit::new(task, NOTE, note.content())).key(key);
        proposal.occurred = note.at;
        proposal
    }

    /// Notes the ends that an import made, and that the recording does not tell: an older version
    /// took words of others for them. An end that came from elsewhere is not meant, nor one that
    /// is newer than the recording.
    pub(super) fn note_untold_ends(&mut self) -> Result<(), ImportError> {
        let unended = std::mem::take(&mut self.unended);
        if self.recording.tally.malformed > 0 {
            return Ok(());
        }
        for (task, (name, known)) in unended {
            let covered = known.completed.is_some_and(|at| at.0 <= self.recording.covers);
            if !covered || !self.ended_by_import(&task, &name, &known)? {
                continue;
            }
            let note = Note::untold_end(known.status, (known.completed, 0));
            let note = self.note_of(&task, &known, &note);
            self.note(note)?;
        }
        Ok(())
    }

    fn ended_by_import(
        &mut self,
        task: &TaskId,
        name: &TaskId,
        known: &Known,
    ) -> Result<bool, ImportError> {
        let format = self.recording.format;
        let of = |id: &TaskId| key_of(format, &known.thread, id, &["finish"]);
        let wanted = [of(task), of(name)];
        if wanted.iter().any(|key| self.sink.remembers(key)) {
            return Ok(true);
        }
        let keys =
            self.sink.keys(&Owner::Task(task.clone())).map_err(|source| self.failed(source))?;
        Ok(wanted.iter().any(|key| keys.contains(key)))
    }

    /// Adds a note that does not come from the recording, unless the ledger has it.
    pub(super) fn note(&mut self, note: Proposal) -> Result<(), ImportError> {
        self.report.proposals += 1;
        let owner = task_of(&note.command).map(Owner::Task);
        if matches!(self.by_key(owner, note.key)?, Verdict::Append) {
            self.add(note);
        } else {
            self.report.present += 1;
        }
        Ok(())
    }
}
