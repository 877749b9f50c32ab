//! Commands about recorded tasks: ask one to stop, send it a message, record its progress, erase texts.

use super::TaskRef;
use crate::{
    event::{CancelScope, Delivery, PartSet},
    ids::{RunId, Seq, ThreadId},
    time::Millis,
};
use std::sync::Arc;

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancel {
    /// The target.
    pub target: CancelTarget,
    /// The time at which waiting for it ends.
    pub deadline: Option<Millis>,
    /// The reason.
    pub reason: Option<Arc<str>>,
}

/// The target of a [`Cancel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelTarget {
    /// One task.
    Task(TaskRef),
    /// A task and all below it, now and later.
    Tree(TaskRef),
    /// Every live task of a thread.
    Thread(ThreadId),
    /// Every tree that this run started, now and later.
    Run(RunId),
}

impl CancelTarget {
    /// The scope, as the event says it.
    #[must_use]
    pub fn scope(&self) -> CancelScope {
        match self {
            Self::Task(_) => CancelScope::Task,
            Self::Tree(_) => CancelScope::Tree,
            Self::Thread(_) => CancelScope::Thread,
            Self::Run(run) => CancelScope::Run(run.clone()),
        }
    }

    /// The task, for the targets that have one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        match self {
            Self::Task(task) | Self::Tree(task) => Some(task),
            Self::Thread(_) | Self::Run(_) => None,
        }
    }
}

impl Cancel {
    /// Asks to stop this, at once and without a reason.
    #[must_use]
    pub fn new(target: CancelTarget) -> Self {
        Self { target, deadline: None, reason: None }
    }

    /// Asks one task to stop.
    #[must_use]
    pub fn task(task: impl Into<TaskRef>) -> Self {
        Self::new(CancelTarget::Task(task.into()))
    }

    /// Asks a task and all below it to stop, now and later.
    #[must_use]
    pub fn tree(root: impl Into<TaskRef>) -> Self {
        Self::new(CancelTarget::Tree(root.into()))
    }

    /// Asks every live task of a thread to stop.
    #[must_use]
    pub fn thread(thread: impl Into<ThreadId>) -> Self {
        Self::new(CancelTarget::Thread(thread.into()))
    }

    /// Asks every tree that this run started to stop, now and later.
    #[must_use]
    pub fn run(run: impl Into<RunId>) -> Self {
        Self::new(CancelTarget::Run(run.into()))
    }

    /// Sets the time at which waiting for it ends.
    #[must_use]
    pub fn deadline(self, at: Millis) -> Self {
        Self { deadline: Some(at), ..self }
    }

    /// Gives a reason.
    #[must_use]
    pub fn reason(self, reason: impl Into<Arc<str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// A message to a task's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The recipient.
    pub task: TaskRef,
    /// The sender. At most 256 bytes.
    pub from: Arc<str>,
    /// The message.
    pub content: Arc<str>,
    /// The fate of the message in the inbox.
    pub delivery: Delivery,
}

impl Message {
    /// A message that was delivered.
    #[must_use]
    pub fn new(
        task: impl Into<TaskRef>,
        from: impl Into<Arc<str>>,
        content: impl Into<Arc<str>>,
    ) -> Self {
        let (task, from, content) = (task.into(), from.into(), content.into());
        Self { task, from, content, delivery: Delivery::Delivered }
    }

    /// Sets the fate of the message in the inbox.
    #[must_use]
    pub fn delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }
}

/// Progress of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emit {
    /// The task.
    pub task: TaskRef,
    /// The kind of progress. At most 256 bytes.
    pub event_type: Arc<str>,
    /// The progress: JSON text.
    pub content: Arc<str>,
}

impl Emit {
    /// Progress of this kind; `json` is kept as it is.
    #[must_use]
    pub fn new(
        task: impl Into<TaskRef>,
        event_type: impl Into<Arc<str>>,
        json: impl Into<Arc<str>>,
    ) -> Self {
        Self { task: task.into(), event_type: event_type.into(), content: json.into() }
    }
}

/// A request to erase texts of an earlier event from every view. The ledger records it with the
/// thread and the task of that event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redact {
    /// The event.
    pub seq: Seq,
    /// The texts to erase.
    pub parts: PartSet,
    /// The reason.
    pub reason: Arc<str>,
}

impl Redact {
    /// Asks to erase these texts of event `seq`.
    #[must_use]
    pub fn new(seq: Seq, parts: PartSet, reason: impl Into<Arc<str>>) -> Self {
        Self { seq, parts, reason: reason.into() }
    }
}
