//! Commands that start, change, end and restore a task.

use super::{ParentRef, TaskRef};
use crate::{
    event::{Host, Outcome, TaskStatus},
    ids::{AgentId, CallId, RunId, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

/// A task that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spawn {
    /// Its id; assigned (`bg_0`, `bg_1`, ..) if not given.
    pub task: Option<TaskId>,
    /// The thread that owns it.
    pub thread: ThreadId,
    /// The kind of task. At most 256 bytes.
    pub task_type: Arc<str>,
    /// Its name. At most 256 bytes.
    pub name: Option<Arc<str>>,
    /// Its purpose. At most [`DESCRIPTION_BYTES_MAX`](crate::event::DESCRIPTION_BYTES_MAX).
    pub description: Arc<str>,
    /// The task that spawns it. Local if this ledger holds it, else external.
    pub parent: Option<ParentRef>,
    /// The agent run that spawns it.
    pub run: Option<RunId>,
    /// The tool call that spawns it.
    pub call: Option<CallId>,
    /// The agent that spawns it.
    pub agent: Option<AgentId>,
    /// The time when it was created; the time of the event if not given.
    pub created: Option<Millis>,
    /// The process that runs it.
    pub host: Host,
}

impl Spawn {
    /// A task of this kind on this thread, reported from elsewhere, with nothing else known.
    #[must_use]
    pub fn new(thread: impl Into<ThreadId>, task_type: impl Into<Arc<str>>) -> Self {
        Self {
            task: None,
            thread: thread.into(),
            task_type: task_type.into(),
            name: None,
            description: "".into(),
            parent: None,
            run: None,
            call: None,
            agent: None,
            created: None,
            host: Host::External,
        }
    }

    /// Gives it an id, which no task of the ledger may have yet.
    #[must_use]
    pub fn task(self, id: impl Into<TaskId>) -> Self {
        Self { task: Some(id.into()), ..self }
    }

    /// Gives it a name.
    #[must_use]
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Gives it a description.
    #[must_use]
    pub fn description(self, description: impl Into<Arc<str>>) -> Self {
        Self { description: description.into(), ..self }
    }

    /// Puts it below the task that spawns it.
    #[must_use]
    pub fn parent(self, parent: impl Into<ParentRef>) -> Self {
        Self { parent: Some(parent.into()), ..self }
    }

    /// Names the agent run that spawns it.
    #[must_use]
    pub fn run(self, run: impl Into<RunId>) -> Self {
        Self { run: Some(run.into()), ..self }
    }

    /// Names the tool call that spawns it.
    #[must_use]
    pub fn call(self, call: impl Into<CallId>) -> Self {
        Self { call: Some(call.into()), ..self }
    }

    /// Names the agent that spawns it.
    #[must_use]
    pub fn agent(self, agent: impl Into<AgentId>) -> Self {
        Self { agent: Some(agent.into()), ..self }
    }

    /// Says when it was created, if that is not when the event occurred.
    #[must_use]
    pub fn created_at(self, at: Millis) -> Self {
        Self { created: Some(at), ..self }
    }

    /// Names the process that runs it.
    #[must_use]
    pub fn host(self, host: Host) -> Self {
        Self { host, ..self }
    }
}

/// A change to a running task. A field that is `None` stays unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// The task.
    pub task: TaskRef,
    /// Its new name; `Some(None)` takes the name away.
    pub name: Option<Option<Arc<str>>>,
    /// Its new parent; `Some(None)` makes it a root.
    pub parent: Option<Option<ParentRef>>,
    /// Its new description.
    pub description: Option<Arc<str>>,
}

impl Update {
    /// An update that changes nothing yet, which is refused.
    #[must_use]
    pub fn new(task: impl Into<TaskRef>) -> Self {
        Self { task: task.into(), name: None, parent: None, description: None }
    }

    /// Gives it a new name.
    #[must_use]
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(Some(name.into())), ..self }
    }

    /// Takes its name away.
    #[must_use]
    pub fn without_name(self) -> Self {
        Self { name: Some(None), ..self }
    }

    /// Puts it, and all below it, below another task.
    #[must_use]
    pub fn parent(self, parent: impl Into<ParentRef>) -> Self {
        Self { parent: Some(Some(parent.into())), ..self }
    }

    /// Makes it a root.
    #[must_use]
    pub fn without_parent(self) -> Self {
        Self { parent: Some(None), ..self }
    }

    /// Gives it a new description.
    #[must_use]
    pub fn description(self, description: impl Into<Arc<str>>) -> Self {
        Self { description: Some(description.into()), ..self }
    }
}

/// The end of a running task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// The task.
    pub task: TaskRef,
    /// The way in which it ended.
    pub outcome: Outcome,
    /// The reason why it failed or was cancelled.
    pub error: Option<Arc<str>>,
    /// Its result: JSON text.
    pub result: Option<Arc<str>>,
    /// The time when it ended; the time of the event if not given.
    pub completed: Option<Millis>,
}

impl Finish {
    /// The task ended with this outcome.
    #[must_use]
    pub fn new(task: impl Into<TaskRef>, outcome: Outcome) -> Self {
        Self { task: task.into(), outcome, error: None, result: None, completed: None }
    }

    /// The task did its work.
    #[must_use]
    pub fn completed(task: impl Into<TaskRef>) -> Self {
        Self::new(task, Outcome::Completed)
    }

    /// The task could not do its work.
    #[must_use]
    pub fn failed(task: impl Into<TaskRef>, error: impl Into<Arc<str>>) -> Self {
        Self::new(task, Outcome::Failed).error(error)
    }

    /// The task was stopped.
    #[must_use]
    pub fn cancelled(task: impl Into<TaskRef>) -> Self {
        Self::new(task, Outcome::Cancelled)
    }

    /// Adds the reason why it failed or was cancelled.
    #[must_use]
    pub fn error(self, error: impl Into<Arc<str>>) -> Self {
        Self { error: Some(error.into()), ..self }
    }

    /// Adds its result: JSON text, which the ledger keeps as it is.
    #[must_use]
    pub fn result(self, json: impl Into<Arc<str>>) -> Self {
        Self { result: Some(json.into()), ..self }
    }

    /// Says when it ended, if that is not when the event occurred.
    #[must_use]
    pub fn completed_at(self, at: Millis) -> Self {
        Self { completed: Some(at), ..self }
    }
}

/// A task as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restore {
    /// The task as it was spawned; `task` and `created` must be given.
    pub spawn: Spawn,
    /// Its status.
    pub status: TaskStatus,
    /// The reason why it failed.
    pub error: Option<Arc<str>>,
    /// Its result: JSON text.
    pub result: Option<Arc<str>>,
    /// The time when it ended.
    pub completed: Option<Millis>,
}

impl Restore {
    /// A task of a snapshot; `spawn` must have its id and the time at which it was created.
    #[must_use]
    pub fn new(spawn: Spawn, status: TaskStatus) -> Self {
        Self { spawn, status, error: None, result: None, completed: None }
    }

    /// Adds the reason why it failed.
    #[must_use]
    pub fn error(self, error: impl Into<Arc<str>>) -> Self {
        Self { error: Some(error.into()), ..self }
    }

    /// Adds its result: JSON text.
    #[must_use]
    pub fn result(self, json: impl Into<Arc<str>>) -> Self {
        Self { result: Some(json.into()), ..self }
    }

    /// Says when it ended.
    #[must_use]
    pub fn completed_at(self, at: Millis) -> Self {
        Self { completed: Some(at), ..self }
    }
}

/// The end of a running task whose manager is gone: it is recorded as Failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// The task.
    pub task: TaskRef,
    /// The error to record.
    pub error: Arc<str>,
}

impl Orphan {
    /// The task has no manager any more.
    #[must_use]
    pub fn new(task: impl Into<TaskRef>, error: impl Into<Arc<str>>) -> Self {
        Self { task: task.into(), error: error.into() }
    }
}
