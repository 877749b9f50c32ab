//! The changes between two moments, in the words that a person would use.

use crate::{
    event::{Host, Parent, TaskStatus},
    ids::{Seq, TaskId, ThreadId},
    state::{LedgerState, Task, Text},
    time::Millis,
};
use std::{collections::BTreeMap, sync::Arc};

/// The changes from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Diff {
    /// The changes, in the order in which their tasks were created. For one task: spawned or
    /// vanished, ended, reparented, then fields in the order of [`Field`].
    pub changes: Vec<Change>,
}

/// One change of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The task is new.
    Spawned {
        /// The task as it is in the later state. If it has ended, a [`Change::Ended`] follows.
        task: Arc<Task>,
    },
    /// The task is gone. Happens between a state and an earlier one, between times of occurrence,
    /// and between two ledgers.
    Vanished {
        /// The task as it was.
        task: Arc<Task>,
    },
    /// The task has another status: it ended or, when the later state is an earlier moment, it runs
    /// again.
    Ended {
        /// The task.
        task: TaskId,
        /// Its status before.
        from: TaskStatus,
        /// Its status after.
        to: TaskStatus,
    },
    /// The task has another parent.
    Reparented {
        /// The task.
        task: TaskId,
        /// Its parent before.
        from: Option<Parent>,
        /// Its parent after.
        to: Option<Parent>,
    },
    /// Another field of the task differs.
    Changed {
        /// The task.
        task: TaskId,
        /// The field that differs.
        field: Field,
        /// Its value before.
        from: Option<Value>,
        /// Its value after.
        to: Option<Value>,
    },
}

/// A visible field of a task, apart from its status and its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Its name.
    Name,
    /// Its description.
    Description,
    /// The error with which it failed or was cancelled.
    Error,
    /// Its result.
    Result,
    /// The time at which it ended.
    Completed,
    /// The first request to stop it.
    CancelRequested,
    /// The thread that owns it. This field and those below never change within one ledger.
    Thread,
    /// Its type.
    Type,
    /// The run that spawned it.
    Run,
    /// The tool call that spawned it.
    Call,
    /// The agent that spawned it.
    Agent,
    /// The time at which it was created.
    Created,
    /// The manager that runs it, as incarnation and seat.
    Host,
}

impl Field {
    /// All fields, in the order in which changes are listed.
    pub const ALL: [Self; 13] = [
        Self::Name,
        Self::Description,
        Self::Error,
        Self::Result,
        Self::Completed,
        Self::CancelRequested,
        Self::Thread,
        Self::Type,
        Self::Run,
        Self::Call,
        Self::Agent,
        Self::Created,
        Self::Host,
    ];

    /// The field's name, spelled as in [`TaskRow`](super::TaskRow) where that has the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Error => "error",
            Self::Result => "result",
            Self::Completed => "completed_at_ms",
            Self::CancelRequested => "cancel_requested",
            Self::Thread => "thread_id",
            Self::Type => "task_type",
            Self::Run => "run_id",
            Self::Call => "call_id",
            Self::Agent => "agent_id",
            Self::Created => "created_at_ms",
            Self::Host => "host",
        }
    }

    /// The value of this field in `task`; `None` if it has none. O(1).
    #[must_use]
    pub fn of(self, task: &Task) -> Option<Value> {
        let record = &task.record;
        let id = |text: &str| Value::Word(text.into());
        match self {
            Self::Name => record.name.clone().map(Value::Word),
            Self::Description => Some(Value::Text(task.description.clone())),
            Self::Error => task.error.clone().map(Value::Text),
            Self::Result => task.result.clone().map(Value::Text),
            Self::Completed => task.completed.map(Value::Time),
            Self::CancelRequested => task.cancel_seq.map(Value::Seq),
            Self::Thread => Some(id(task.thread.as_str())),
            Self::Type => Some(Value::Word(Arc::clone(&record.task_type))),
            Self::Run => record.run.as_ref().map(|run| id(run.as_str())),
            Self::Call => record.call.as_ref().map(|call| id(call.as_str())),
            Self::Agent => record.agent.as_ref().map(|agent| id(agent.as_str())),
            Self::Created => Some(Value::Time(record.created)),
            Self::Host => Some(Value::Host(record.host)),
        }
    }
}

/// A value of a field.
#[derive(Debug, Clone)]
pub enum Value {
    /// A name, kind or identifier.
    Word(Arc<str>),
    /// A text. If the state does not hold it, `seq` names the event that does.
    Text(Text),
    /// A time.
    Time(Millis),
    /// An event.
    Seq(Seq),
    /// The manager that runs the task.
    Host(Host),
}

impl PartialEq for Value {
    /// Texts are equal if they read the same. If a state does not hold one of them, or it is
    /// erased, they are equal only if they came with the same event.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => match (a.held(), b.held()) {
                (Some(a), Some(b)) => a == b,
                (Some(_) | None, Some(_) | None) => (a.seq, a.len) == (b.seq, b.len),
            },
            (Self::Word(a), Self::Word(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Seq(a), Self::Seq(b)) => a == b,
            (Self::Host(a), Self::Host(b)) => a == b,
            (
                Self::Word(_) | Self::Text(_) | Self::Time(_) | Self::Seq(_) | Self::Host(_),
                Self::Word(_) | Self::Text(_) | Self::Time(_) | Self::Seq(_) | Self::Host(_),
            ) => false,
        }
    }
}

impl Eq for Value {}

/// Lists the changes that turn the tasks of `before` into those of `after`, in one thread or in
/// all.
///
/// Applied to the visible part of `before` (status, parent and every [`Field`]), the changes give
/// the visible part of `after`. Counts and numbers of events are not compared. Deterministic.
/// O(tasks in both); a task that both states share costs almost nothing.
///
/// # Example
/// ```
/// use taskledger::query::diff;
/// # use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::{TaskId, ThreadId}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = Ledger::in_memory(Options::default())?;
/// # let thread = ThreadId::new("t")?;
/// # let (build, test) = (TaskId::new("build")?, TaskId::new("test")?);
/// # ledger.append_blocking([
/// #     Spawn::new(&thread, "agent").task(&build),
/// #     Spawn::new(&thread, "tool").task(&test).parent(&build),
/// # ])?;
/// # ledger.append_blocking(Finish::failed(&test, "2 of 31"))?;
/// // `test`, below `build`, has failed.
/// let reader = ledger.reader();
/// let (now, head) = (reader.state()?, reader.head());
/// let diff = diff(&reader.state_at(head.size.less(1))?, &now, Some(&thread));
/// assert_eq!(diff.stat().ended, 1);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn diff(before: &LedgerState, after: &LedgerState, thread: Option<&ThreadId>) -> Diff {
    let mut pairs: BTreeMap<(Seq, &TaskId), Pair<'_>> = BTreeMap::new();
    for task in tasks_of(before, thread) {
        // In two ledgers the same task can have come with different events.
        let seq = after.task(&task.id).map_or(task.first_seq, |task| task.first_seq);
        pairs.entry((seq, &task.id)).or_default().before = Some(task);
    }
    for task in tasks_of(after, thread) {
        pairs.entry((task.first_seq, &task.id)).or_default().after = Some(task);
    }
    let mut diff = Diff::default();
    for pair in pairs.into_values() {
        diff.compare(&pair);
    }
    diff
}

#[derive(Default)]
struct Pair<'s> {
    before: Option<&'s Arc<Task>>,
    after: Option<&'s Arc<Task>>,
}

fn tasks_of<'s>(
    state: &'s LedgerState,
    thread: Option<&ThreadId>,
) -> Box<dyn Iterator<Item = &'s Arc<Task>> + 's> {
    match thread {
        None => Box::new(state.tasks()),
        Some(thread) => {
            let tasks: Vec<_> = state.tasks_in(thread).collect();
            Box::new(tasks.into_iter())
        }
    }
}

impl Diff {
    /// Counts the tasks that are new, that have ended, and the other differences, as `--stat` shows
    /// them. A task that is new and has ended counts for both. O(changes).
    #[must_use]
    pub fn stat(&self) -> DiffStat {
        let mut stat = DiffStat::default();
        for change in &self.changes {
            match change {
                Change::Spawned { .. } => stat.spawned += 1,
                Change::Vanished { .. } => stat.vanished += 1,
                Change::Ended { .. } => stat.ended += 1,
                Change::Reparented { .. } => stat.reparented += 1,
                Change::Changed { .. } => stat.changed += 1,
            }
        }
        stat
    }

    fn compare(&mut self, pair: &Pair<'_>) {
        match (pair.before, pair.after) {
            (Some(before), Some(after)) if Arc::ptr_eq(before, after) => {}
            (Some(before), Some(after)) => self.compare_task(before, after),
            (None, Some(after)) => {
                self.changes.push(Change::Spawned { task: Arc::clone(after) });
                self.ended(&after.id, TaskStatus::Running, after.status);
            }
            (Some(before), None) => {
                self.changes.push(Change::Vanished { task: Arc::clone(before) });
            }
            (None, None) => {}
        }
    }

    fn ended(&mut self, task: &TaskId, from: TaskStatus, to: TaskStatus) {
        if from != to {
            self.changes.push(Change::Ended { task: task.clone(), from, to });
        }
    }

    fn compare_task(&mut self, before: &Task, after: &Task) {
        let task = &after.id;
        self.ended(task, before.status, after.status);
        let (from, to) = (&before.record.parent, &after.record.parent);
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            self.changes.push(Change::Reparented { task: task.clone(), from, to });
        }
        for field in Field::ALL {
            let (from, to) = (field.of(before), field.of(after));
            if from != to {
                self.changes.push(Change::Changed { task: task.clone(), field, from, to });
            }
        }
    }
}

/// The number of changes of each kind in a [`Diff`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffStat {
    /// Tasks that are new.
    pub spawned: usize,
    /// Tasks that are gone.
    pub vanished: usize,
    /// Tasks that have another status.
    pub ended: usize,
    /// Tasks that have another parent.
    pub reparented: usize,
    /// Other fields that differ.
    pub changed: usize,
}

#[cfg(test)]
mod tests;
