//! The names of tasks in commands, also of tasks that have no id yet.

use super::{CancelTarget, Command};
use crate::ids::{LedgerId, TaskId};

/// A task that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRef {
    /// The task with this id.
    Id(TaskId),
    /// The task that an earlier proposal of the same batch spawns.
    Spawned(Spawned),
}

impl TaskRef {
    /// The id, if it is known by now.
    #[must_use]
    pub fn id(&self) -> Option<&TaskId> {
        match self {
            Self::Id(id) => Some(id),
            Self::Spawned(_) => None,
        }
    }
}

/// True if it is the task with this id.
impl PartialEq<TaskId> for TaskRef {
    fn eq(&self, id: &TaskId) -> bool {
        self.id() == Some(id)
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self::Id(id)
    }
}

impl From<&TaskId> for TaskRef {
    fn from(id: &TaskId) -> Self {
        Self::Id(id.clone())
    }
}

impl From<Spawned> for TaskRef {
    fn from(spawned: Spawned) -> Self {
        Self::Spawned(spawned)
    }
}

/// The task that a proposal of a batch spawns or restores, before its id is known. It means
/// something to the later proposals of that batch alone. The ledger puts the id in its place when
/// it records the batch, so no event holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spawned(usize);

impl Spawned {
    /// The task of the proposal at `index` in its batch, from 0. [`Batch::spawn`] returns it.
    ///
    /// [`Batch::spawn`]: super::Batch::spawn
    #[must_use]
    pub const fn at(index: usize) -> Self {
        Self(index)
    }

    /// The place of the proposal in its batch, and of its receipt among the receipts, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A parent as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentRef {
    /// A task of this ledger; of an unknown ledger, if this one does not hold it.
    Task(TaskRef),
    /// A task of the ledger that has this id, which may be this one.
    InLedger {
        /// The ledger.
        ledger: LedgerId,
        /// The task's id there.
        id: TaskId,
    },
}

impl ParentRef {
    /// The parent's id, if it is known by now.
    #[must_use]
    pub fn id(&self) -> Option<&TaskId> {
        match self {
            Self::Task(task) => task.id(),
            Self::InLedger { id, .. } => Some(id),
        }
    }

    /// The ledger that holds it, if the caller says so.
    #[must_use]
    pub fn ledger(&self) -> Option<LedgerId> {
        match self {
            Self::Task(_) => None,
            Self::InLedger { ledger, .. } => Some(*ledger),
        }
    }
}

impl<T: Into<TaskRef>> From<T> for ParentRef {
    fn from(task: T) -> Self {
        Self::Task(task.into())
    }
}

impl Command {
    /// The task that it is about; `None` if it has no id yet, and where there is no task.
    #[must_use]
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Spawn(spawn) => spawn.task.as_ref(),
            Self::Restore(restore) => restore.spawn.task.as_ref(),
            Self::Update(update) => update.task.id(),
            Self::Finish(finish) => finish.task.id(),
            Self::Orphan(orphan) => orphan.task.id(),
            Self::Message(message) => message.task.id(),
            Self::Emit(emit) => emit.task.id(),
            Self::Cancel(cancel) => cancel.target.task()?.id(),
            Self::Redact(_) => None,
        }
    }

    /// True if it names a task by the proposal that spawns it.
    pub(crate) fn names_spawned(&self) -> bool {
        let spawned = |task: Option<&TaskRef>| matches!(task, Some(TaskRef::Spawned(_)));
        match self {
            Self::Spawn(spawn) => spawned(of_parent(spawn.parent.as_ref())),
            Self::Restore(restore) => spawned(of_parent(restore.spawn.parent.as_ref())),
            Self::Update(update) => {
                let parent = update.parent.as_ref().and_then(Option::as_ref);
                spawned(Some(&update.task)) || spawned(of_parent(parent))
            }
            Self::Finish(finish) => spawned(Some(&finish.task)),
            Self::Orphan(orphan) => spawned(Some(&orphan.task)),
            Self::Message(message) => spawned(Some(&message.task)),
            Self::Emit(emit) => spawned(Some(&emit.task)),
            Self::Cancel(cancel) => spawned(cancel.target.task()),
            Self::Redact(_) => false,
        }
    }

    /// Gives each name of a task to `change`.
    pub(crate) fn rename<E>(
        &mut self,
        mut change: impl FnMut(&mut TaskRef) -> Result<(), E>,
    ) -> Result<(), E> {
        let (task, parent) = match self {
            Self::Spawn(spawn) => (None, spawn.parent.as_mut()),
            Self::Restore(restore) => (None, restore.spawn.parent.as_mut()),
            Self::Update(update) => {
                (Some(&mut update.task), update.parent.as_mut().and_then(Option::as_mut))
            }
            Self::Finish(finish) => (Some(&mut finish.task), None),
            Self::Orphan(orphan) => (Some(&mut orphan.task), None),
            Self::Message(message) => (Some(&mut message.task), None),
            Self::Emit(emit) => (Some(&mut emit.task), None),
            Self::Cancel(cancel) => match &mut cancel.target {
                CancelTarget::Task(task) | CancelTarget::Tree(task) => (Some(task), None),
                CancelTarget::Thread(_) | CancelTarget::Run(_) => (None, None),
            },
            Self::Redact(_) => (None, None),
        };
        task.map_or(Ok(()), &mut change)?;
        match parent {
            Some(ParentRef::Task(parent)) => change(parent),
            Some(ParentRef::InLedger { .. }) | None => Ok(()),
        }
    }
}

fn of_parent(parent: Option<&ParentRef>) -> Option<&TaskRef> {
    match parent? {
        ParentRef::Task(task) => Some(task),
        ParentRef::InLedger { .. } => None,
    }
}
