//! What changed between two moments, told as a person would tell it.

use crate::{
    event::{Host, Parent, TaskStatus},
    ids::{Seq, TaskId, ThreadId},
    state::{LedgerState, Task, Text},
    time::Millis,
};
use std::{collections::BTreeMap, sync::Arc};

/// What happened from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The changes, by the creation of the tasks; of one task: spawned or vanished, ended,
    /// reparented, then fields in the order of [`Field`].
    pub changes: Vec<Change>,
}

/// One change of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Spawned {
        /// The task as it is in the later state; if it ended, a [`Change::Ended`] follows.
        task: Arc<Task>,
    },
    /// It is gone. Happens between a state and an earlier one, between times of occurrence, and
    /// between two ledgers.
    Vanished {
        /// The task as it was.
        task: Arc<Task>,
    },
    /// It came to another status: it ended, or, going back in time, it runs again.
    Ended {
        /// The task.
        task: TaskId,
        /// Its status before.
        from: TaskStatus,
        /// Its status after.
        to: TaskStatus,
    },
    /// It has another parent.
    Reparented {
        /// The task.
        task: TaskId,
        /// Its parent before.
        from: Option<Parent>,
        /// Its parent after.
        to: Option<Parent>,
    },
    /// Something else about it is different.
    Changed {
        /// The task.
        task: TaskId,
        /// What.
        field: Field,
        /// What it was before.
        from: Option<Value>,
        /// What it is after.
        to: Option<Value>,
    },
}

/// What can be seen of a task, apart from its status and its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Its name.
    Name,
    /// What it is for.
    Description,
    /// Why it failed or was cancelled.
    Error,
    /// What it returned.
    Result,
    /// When it ended.
    Completed,
    /// The first request to stop it.
    CancelRequested,
    /// The thread that owns it. This and what follows never changes within one ledger.
    Thread,
    /// What kind of task it is.
    Type,
    /// The run that spawned it.
    Run,
    /// The tool call that spawned it.
    Call,
    /// The agent that spawned it.
    Agent,
    /// When it was created.
    Created,
    /// Who runs it.
    Host,
}

impl Field {
    /// Every field, in the order in which changes are told.
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

    /// What `task` has there; `None` if nothing. O(1).
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

/// What a field can hold.
#[derive(Debug, Clone)]
pub enum Value {
    /// A name, kind or identifier.
    Word(Arc<str>),
    /// A text; if the state does not hold it, its `seq` says where it stands.
    Text(Text),
    /// A time.
    Time(Millis),
    /// An event.
    Seq(Seq),
    /// Who runs the task.
    Host(Host),
}

impl PartialEq for Value {
    /// Texts are the same if they read the same; if one is not held by its state, or is erased,
    /// they are the same only if they came with the same event.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => match (a.kept(), b.kept()) {
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

/// What has to happen to the tasks of `before` to make them those of `after`; of one thread, or of
/// all.
///
/// Done to what can be seen of `before` (status, parent and every [`Field`]), the changes give
/// what can be seen of `after`. Counts and numbers of events are not compared. Deterministic.
/// O(tasks in both); tasks that both states share cost next to nothing.
#[must_use]
pub fn diff(before: &LedgerState, after: &LedgerState, thread: Option<&ThreadId>) -> Diff {
    let mut pairs: BTreeMap<(Seq, &TaskId), Pair<'_>> = BTreeMap::new();
    for task in tasks_of(before, thread) {
        // Of two ledgers, the same task can have come with different events.
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
    /// How many tasks are new, have ended, and differ otherwise: what `--stat` shows. A task that
    /// is new and has ended counts for both. O(changes).
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

/// How many changes of each kind a [`Diff`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffStat {
    /// Tasks that are new.
    pub spawned: usize,
    /// Tasks that are gone.
    pub vanished: usize,
    /// Tasks that came to another status.
    pub ended: usize,
    /// Tasks that have another parent.
    pub reparented: usize,
    /// Other fields that differ.
    pub changed: usize,
}

#[cfg(test)]
mod tests;
