//! What a caller can ask for. [`decide`](crate::state::decide) turns it into an event, or refuses.

use crate::{
    event::{CancelScope, Cause, Delivery, Host, Outcome, PartSet, TaskStatus},
    ids::{AgentId, CallId, Key, LedgerId, RunId, Seq, TaskId, ThreadId},
    time::Millis,
};
use std::sync::Arc;

mod batch;

pub use batch::Batch;

/// One command and all that goes with it: becomes exactly one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is asked for.
    pub command: Command,
    /// Who asks.
    pub cause: Cause,
    /// Makes asking twice the same as asking once.
    pub key: Option<Key>,
    /// When it happened; the clock at append if not given.
    pub occurred: Option<Millis>,
    /// What the caller has seen; refused with a conflict if there is more.
    pub expect: Option<Expect>,
}

impl Proposal {
    /// A command by nobody in particular, now.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self { command, cause: Cause::default(), key: None, occurred: None, expect: None }
    }
}

impl From<Command> for Proposal {
    fn from(command: Command) -> Self {
        Self::new(command)
    }
}

/// The last event that a caller has taken into account; `None` for nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The last event of a task.
    Task(TaskId, Option<Seq>),
    /// The last event of a thread.
    Thread(ThreadId, Option<Seq>),
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Record a task that starts.
    Spawn(Spawn),
    /// Change a running task's name, parent or description.
    Update(Update),
    /// Record that a running task ended.
    Finish(Finish),
    /// Bring a task back from a snapshot.
    Restore(Restore),
    /// End a running task whose manager is gone, as Failed.
    Orphan {
        /// The task.
        task: TaskId,
        /// The error to record.
        error: Arc<str>,
    },
    /// Ask for a stop.
    Cancel(Cancel),
    /// Record a message to a task's inbox.
    Message {
        /// The recipient.
        task: TaskId,
        /// Who sends it.
        from: Arc<str>,
        /// The message.
        content: Arc<str>,
        /// What became of it.
        delivery: Delivery,
    },
    /// Record progress of a task.
    Emit {
        /// The task.
        task: TaskId,
        /// What kind of progress.
        event_type: Arc<str>,
        /// The progress: JSON text.
        content: Arc<str>,
    },
    /// Erase texts of an earlier event from every view.
    Redact {
        /// The event.
        seq: Seq,
        /// The thread and task of that event, looked up by the ledger.
        about: (Option<ThreadId>, Option<TaskId>),
        /// Which texts.
        parts: PartSet,
        /// Why.
        reason: Arc<str>,
    },
}

/// A task that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawn {
    /// Its id; assigned (`bg_0`, `bg_1`, ..) if not given.
    pub task: Option<TaskId>,
    /// The thread that owns it.
    pub thread: ThreadId,
    /// What kind of task.
    pub task_type: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// What it is for.
    pub description: Arc<str>,
    /// The task that spawns it. Local if this ledger holds it, else external.
    pub parent: Option<ParentRef>,
    /// The agent run that spawns it.
    pub run: Option<RunId>,
    /// The tool call that spawns it.
    pub call: Option<CallId>,
    /// The agent that spawns it.
    pub agent: Option<AgentId>,
    /// When it was created; the time of the event if not given.
    pub created: Option<Millis>,
    /// Who runs it.
    pub host: Host,
}

impl Spawn {
    /// A task of this kind on this thread, reported from elsewhere, with nothing else known.
    #[must_use]
    pub fn new(thread: ThreadId, task_type: impl Into<Arc<str>>) -> Self {
        Self {
            task: None,
            thread,
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
}

/// A parent as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentRef {
    /// The ledger that holds it, if it is not this one.
    pub ledger: Option<LedgerId>,
    /// Its id.
    pub id: TaskId,
}

/// A change to a running task. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The task.
    pub task: TaskId,
    /// Its new name; `Some(None)` takes the name away.
    pub name: Option<Option<Arc<str>>>,
    /// Its new parent; `Some(None)` makes it a root.
    pub parent: Option<Option<ParentRef>>,
    /// Its new description.
    pub description: Option<Arc<str>>,
}

/// The end of a running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed or was cancelled.
    pub error: Option<Arc<str>>,
    /// What it returned: JSON text.
    pub result: Option<Arc<str>>,
    /// When it ended; the time of the event if not given.
    pub completed: Option<Millis>,
}

/// A task as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// What it was spawned with; `task` and `created` must be given.
    pub spawn: Spawn,
    /// Where it stood.
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<Arc<str>>,
    /// What it returned: JSON text.
    pub result: Option<Arc<str>>,
    /// When it ended.
    pub completed: Option<Millis>,
}

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// What is to stop.
    pub scope: CancelScope,
    /// The task, for the scopes `Task` and `Tree`.
    pub task: Option<TaskId>,
    /// The thread, for the scope `Thread`.
    pub thread: Option<ThreadId>,
    /// When to stop waiting.
    pub deadline: Option<Millis>,
    /// Why.
    pub reason: Option<Arc<str>>,
}
