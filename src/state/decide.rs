//! Every rule: may a command become the next event, and with what content?
//!
//! Runs under the one writer, against the state that the event would follow, so nothing can change
//! between the check and the append. Pure: the clock is an argument. `apply` folds every event that
//! `decide` accepts; an event that it refuses is never written.
//! `apply` folds; what it refuses is never written.

use super::{
    LedgerState, Rejection, Task,
    number::{NUMBER_END, number_of},
};
use crate::{
    command::{
        Cancel, CancelTarget, Command, Emit, Expect, Finish, Message, Orphan, Proposal, Redact,
        Restore, Spawn, TaskRef, Update,
    },
    event::{Action, Cause, Parent, PartKind, PartSet, Restored, TaskRecord, TaskStatus},
    ids::{Key, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

mod same;
mod tree;
mod words;

pub use same::same_command;
pub use tree::DEPTH_MAX;
pub use words::RESERVED_NAMES;

use tree::{check_move, check_not_cancelled, placed, resolved};
use words::{check_label, check_managed_name, check_name, check_text};

/// The values that the writer adds to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the clock; not earlier than that of the event before.
    pub now: Millis,
    /// The smallest number for an assigned id.
    pub number_floor: u64,
}

/// An event before the writer adds its number, links and commitments, and to a redaction the thread
/// and the task of the event that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The thread that it belongs to.
    pub thread: Option<ThreadId>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The time at which it happened.
    pub occurred: Millis,
    /// The action that it records.
    pub action: Action,
    /// The texts beside it, at most one of a kind.
    pub texts: Vec<(PartKind, Arc<str>)>,
    /// The cause of the event.
    pub cause: Cause,
    /// Its idempotency key.
    pub key: Option<Key>,
}

/// Decides whether `proposal` may follow `state`, and returns the event that it becomes.
///
/// Costs O(depth) for a command with a parent, O(subtree) for a change of parent, O(1) otherwise.
///
/// # Errors
/// The first rule that it breaks. Does not look for a key that was used before: see
/// [`same_command`].
pub fn decide(state: &LedgerState, proposal: &Proposal, stamp: Stamp) -> Result<Draft, Rejection> {
    check_expectation(state, proposal.expect.as_ref())?;
    let occurred = proposal.occurred.unwrap_or(stamp.now);
    let Said { thread, task, action, texts } = match &proposal.command {
        Command::Spawn(spawn) => decide_spawn(state, spawn, occurred, stamp.number_floor),
        Command::Update(update) => decide_update(state, update),
        Command::Finish(finish) => decide_finish(state, finish, occurred),
        Command::Restore(restore) => decide_restore(state, restore),
        Command::Orphan(Orphan { task, error }) => decide_orphan(state, task, error, occurred),
        Command::Cancel(cancel) => decide_cancel(state, cancel),
        Command::Message(Message { task, from, content, delivery }) => {
            check_label("sender", from)?;
            let action = Action::Messaged { from: Arc::clone(from), delivery: *delivery };
            Ok(Said::of(named(state, task)?, action).with(PartKind::Content, content))
        }
        Command::Emit(Emit { task, event_type, content }) => {
            check_label("event type", event_type)?;
            let action = Action::Emitted { event_type: Arc::clone(event_type) };
            Ok(Said::of(named(state, task)?, action).with(PartKind::Content, content))
        }
        Command::Redact(Redact { seq, parts, reason }) => {
            check_redaction(state, *seq, *parts)?;
            let action = Action::Redacted { seq: *seq, parts: *parts };
            let said = Said { thread: None, task: None, action, texts: vec![] };
            Ok(said.with(PartKind::Reason, reason))
        }
    }?;
    texts.iter().try_for_each(|(kind, text)| check_text(*kind, text))?;
    let (cause, key) = (proposal.cause.clone(), proposal.key);
    Ok(Draft { thread, task, occurred, action, texts, cause, key })
}

/// The content of a command: a [`Draft`] without the fields that every command has.
struct Said {
    thread: Option<ThreadId>,
    task: Option<TaskId>,
    action: Action,
    texts: Vec<(PartKind, Arc<str>)>,
}

impl Said {
    fn of(task: &Task, action: Action) -> Self {
        Self::about(task.thread.clone(), task.id.clone(), action)
    }

    fn about(thread: ThreadId, task: TaskId, action: Action) -> Self {
        Self { thread: Some(thread), task: Some(task), action, texts: Vec::new() }
    }

    fn with<'t>(mut self, kind: PartKind, text: impl Into<Option<&'t Arc<str>>>) -> Self {
        self.texts.extend(text.into().map(|text| (kind, Arc::clone(text))));
        self
    }

    /// Adds the description, unless it is empty: a task starts with an empty one.
    fn described(self, description: &Arc<str>) -> Self {
        self.with(PartKind::Description, Some(description).filter(|text| !text.is_empty()))
    }
}

fn decide_spawn(
    state: &LedgerState,
    spawn: &Spawn,
    occurred: Millis,
    floor: u64,
) -> Result<Said, Rejection> {
    check_label("task type", &spawn.task_type)?;
    check_name(spawn.name.as_ref())?;
    let parent = placed(state, spawn)?;
    if spawn.host.is_managed() {
        check_managed_name(state, &spawn.thread, spawn.name.as_ref())?;
        check_not_cancelled(state, spawn.run.as_ref(), parent.as_ref())?;
    }
    let id = match &spawn.task {
        Some(id) => new_id(state, id)?,
        None => assigned_id(state, floor)?,
    };
    let record = record(spawn, parent, spawn.created.unwrap_or(occurred));
    let said = Said::about(spawn.thread.clone(), id, Action::Upserted { record });
    Ok(said.described(&spawn.description))
}

fn decide_update(state: &LedgerState, update: &Update) -> Result<Said, Rejection> {
    let Update { task, name, parent, description } = update;
    let held = running(state, task)?;
    if name.is_none() && parent.is_none() && description.is_none() {
        return Err(Rejection::NothingToUpdate { task: held.id.clone() });
    }
    let managed = held.record.host.is_managed();
    let mut record = held.record.clone();
    if let Some(name) = name
        && *name != record.name
    {
        check_name(name.as_ref())?;
        if managed {
            check_managed_name(state, &held.thread, name.as_ref())?;
        }
        record.name.clone_from(name);
    }
    if let Some(parent) = parent {
        record.parent = parent.as_ref().map(|parent| resolved(state, parent)).transpose()?;
        check_move(state, held, record.parent.as_ref())?;
        if managed && record.parent != held.record.parent {
            check_not_cancelled(state, None, record.parent.as_ref())?;
        }
    }
    Ok(Said::of(held, Action::Upserted { record }).with(PartKind::Description, description))
}

fn decide_finish(
    state: &LedgerState,
    finish: &Finish,
    occurred: Millis,
) -> Result<Said, Rejection> {
    let Finish { task, outcome, error, result, completed } = finish;
    let held = running(state, task)?;
    let completed = completed.unwrap_or(occurred);
    let said = Said::of(held, Action::Terminated { outcome: *outcome, completed });
    Ok(said.with(PartKind::Error, error).with(PartKind::Result, result))
}

fn decide_restore(state: &LedgerState, restore: &Restore) -> Result<Said, Rejection> {
    let Restore { spawn, status, error, result, completed } = restore;
    let Some(id) = &spawn.task else { return Err(Rejection::RestoreWithoutId) };
    let id = new_id(state, id)?;
    let Some(created) = spawn.created else {
        return Err(Rejection::RestoreWithoutCreated { task: id });
    };
    check_label("task type", &spawn.task_type)?;
    check_name(spawn.name.as_ref())?;
    let parent = placed(state, spawn)?;
    if *status == TaskStatus::Running {
        if error.is_some() || result.is_some() || completed.is_some() {
            return Err(Rejection::RestoreRunningWithOutcome { task: id });
        }
        if spawn.host.is_managed() {
            check_managed_name(state, &spawn.thread, spawn.name.as_ref())?;
        }
    }
    let record = record(spawn, parent, created);
    let why = Restored::Snapshot { record, status: *status, completed: *completed };
    let said = Said::about(spawn.thread.clone(), id, Action::Restored { why });
    let said = said.described(&spawn.description);
    Ok(said.with(PartKind::Error, error).with(PartKind::Result, result))
}

fn decide_orphan(
    state: &LedgerState,
    task: &TaskRef,
    error: &Arc<str>,
    occurred: Millis,
) -> Result<Said, Rejection> {
    let held = running(state, task)?;
    if !held.record.host.is_managed() {
        return Err(Rejection::NotManaged { task: held.id.clone() });
    }
    let why = Restored::Orphaned { completed: occurred };
    Ok(Said::of(held, Action::Restored { why }).with(PartKind::Error, error))
}

fn decide_cancel(state: &LedgerState, cancel: &Cancel) -> Result<Said, Rejection> {
    let Cancel { target, deadline, reason } = cancel;
    let action = Action::CancelRequested { scope: target.scope(), deadline: *deadline };
    let said = match target {
        // A request may lose the race against the end, and is on the record all the same. The tree
        // below a task that has ended can be alive.
        CancelTarget::Task(task) | CancelTarget::Tree(task) => {
            Said::of(named(state, task)?, action)
        }
        CancelTarget::Thread(thread) => {
            if state.thread(thread).is_none() {
                return Err(Rejection::UnknownThread { thread: thread.clone() });
            }
            Said { thread: Some(thread.clone()), task: None, action, texts: Vec::new() }
        }
        CancelTarget::Run(_) => Said { thread: None, task: None, action, texts: Vec::new() },
    };
    Ok(said.with(PartKind::Reason, reason))
}

/// The task, which must exist.
fn known<'s>(state: &'s LedgerState, task: &TaskId) -> Result<&'s Arc<Task>, Rejection> {
    state.task(task).ok_or_else(|| Rejection::UnknownTask { task: task.clone() })
}

/// The id of a task that a command names; the writer has put ids in the place of tasks that the
/// batch spawns.
fn id_of(task: &TaskRef) -> Result<&TaskId, Rejection> {
    match task {
        TaskRef::Id(id) => Ok(id),
        TaskRef::Spawned(spawned) => Err(Rejection::NotSpawned { index: spawned.index() }),
    }
}

/// The task that a command names, which must exist.
fn named<'s>(state: &'s LedgerState, task: &TaskRef) -> Result<&'s Arc<Task>, Rejection> {
    known(state, id_of(task)?)
}

/// The task that a command names, which must exist and run.
fn running<'s>(state: &'s LedgerState, task: &TaskRef) -> Result<&'s Arc<Task>, Rejection> {
    let held = named(state, task)?;
    if held.status.is_terminal() {
        return Err(Rejection::AlreadyEnded { task: held.id.clone(), status: held.status });
    }
    Ok(held)
}

fn new_id(state: &LedgerState, id: &TaskId) -> Result<TaskId, Rejection> {
    if number_of(id.as_str()) == Some(None) {
        return Err(Rejection::BadNumber { task: id.clone() });
    }
    if state.task(id).is_some() {
        return Err(Rejection::TaskExists { task: id.clone() });
    }
    Ok(id.clone())
}

fn assigned_id(state: &LedgerState, floor: u64) -> Result<TaskId, Rejection> {
    let number = state.next_number().max(floor);
    if number >= NUMBER_END {
        return Err(Rejection::NumbersExhausted);
    }
    TaskId::new(format!("bg_{number}")).map_err(|_| Rejection::NumbersExhausted)
}

fn record(spawn: &Spawn, parent: Option<Parent>, created: Millis) -> TaskRecord {
    TaskRecord {
        task_type: Arc::clone(&spawn.task_type),
        name: spawn.name.clone(),
        parent,
        run: spawn.run.clone(),
        call: spawn.call.clone(),
        agent: spawn.agent.clone(),
        created,
        host: spawn.host,
    }
}

fn check_redaction(state: &LedgerState, seq: Seq, parts: PartSet) -> Result<(), Rejection> {
    if seq.get() > state.size() {
        return Err(Rejection::RedactUnknown { seq, size: state.size().get() });
    }
    if parts.is_empty() {
        return Err(Rejection::RedactNothing { seq });
    }
    if parts.bits() & !state.redacted(seq).bits() == 0 {
        return Err(Rejection::AlreadyRedacted { seq });
    }
    Ok(())
}

fn check_expectation(state: &LedgerState, expect: Option<&Expect>) -> Result<(), Rejection> {
    let (expected, actual) = match expect {
        None => return Ok(()),
        Some(Expect::Task(id, seen)) => (*seen, state.task(id).map(|task| task.last_seq)),
        Some(Expect::Thread(id, seen)) => (*seen, state.thread(id).map(|thread| thread.last_seq)),
    };
    if expected == actual { Ok(()) } else { Err(Rejection::Conflict { expected, actual }) }
}
