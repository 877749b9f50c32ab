//! Errors of binding, spawning, sending, waiting and restoring.

use crate::{
    code::Code,
    event::TaskStatus,
    ids::{IdError, RunId, TaskId},
    ledger::{AppendError, ReadError},
    state::Rejection,
};
use std::sync::Arc;

/// The reason that a manager could not be bound to a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The manager is bound to one already, and stays bound to it.
    #[error("background task state store is already configured")]
    AlreadyBound,
    /// Orphans could not be recorded. Nothing was bound; try again.
    #[error(transparent)]
    State(#[from] AppendError),
}

impl BindError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::AlreadyBound => Code::AlreadyBound,
            Self::State(error) => error.code(),
        }
    }
}

/// The reason that no task was started. There is no record, no handle and no event, and the closure
/// was dropped without a run.
///
/// Two errors are equal if they have the same kind and the same text.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The name has a fixed meaning wherever tasks are named.
    #[error("'{0}' is a reserved name")]
    ReservedName(Arc<str>),
    /// A running task of the same owner thread has the name.
    #[error("a running task named '{0}' already exists")]
    DuplicateName(Arc<str>),
    /// The name is empty, too long, holds control characters or looks like a task id.
    #[error(transparent)]
    InvalidName(Rejection),
    /// An id of the owner or of the lineage is empty, too long or holds control characters.
    #[error("invalid {what}")]
    InvalidId {
        /// The id.
        what: &'static str,
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// The tree that the task would be in was cancelled; the id is that of its root.
    #[error("parent task '{0}' has already been cancelled")]
    ParentCancelled(TaskId),
    /// The run that spawns it was cancelled.
    #[error("parent run '{0}' has already been cancelled")]
    ParentRunCancelled(RunId),
    /// No ledger is bound.
    #[error("background task state store is not configured")]
    StoreNotConfigured,
    /// There is no tokio runtime to run it on. If the runtime was shut down while the spawn was on
    /// its way, there may be a record: of a task that is Failed.
    #[error("no tokio runtime to run the task on")]
    NoRuntime,
    /// Too many tasks run in this process.
    #[error("{max} tasks are running already")]
    TooManyTasks {
        /// The limit.
        max: usize,
    },
    /// The manager was shut down.
    #[error("the task manager is shut down")]
    ShutDown,
    /// The ledger refused to record it.
    #[error(transparent)]
    State(AppendError),
}

impl SpawnError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::ReservedName(_) => Code::ReservedName,
            Self::DuplicateName(_) => Code::NameTaken,
            Self::InvalidName(rejection) => rejection.code(),
            Self::InvalidId { source, .. } => source.code(),
            Self::ParentCancelled(_) | Self::ParentRunCancelled(_) => Code::ParentCancelled,
            Self::StoreNotConfigured => Code::NotBound,
            Self::NoRuntime => Code::NoRuntime,
            Self::TooManyTasks { .. } => Code::TooManyTasks,
            Self::ShutDown => Code::ShutDown,
            Self::State(error) => error.code(),
        }
    }

    /// A name for each kind, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ReservedName(_) => "reserved_name",
            Self::DuplicateName(_) => "duplicate_name",
            Self::InvalidName(_) => "invalid_name",
            Self::InvalidId { .. } => "invalid_id",
            Self::ParentCancelled(_) => "parent_cancelled",
            Self::ParentRunCancelled(_) => "parent_run_cancelled",
            Self::StoreNotConfigured => "store_not_configured",
            Self::NoRuntime => "no_runtime",
            Self::TooManyTasks { .. } => "too_many_tasks",
            Self::ShutDown => "shut_down",
            Self::State(_) => "state",
        }
    }
}

impl PartialEq for SpawnError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.code() == other.code()
            && self.to_string() == other.to_string()
    }
}

impl PartialEq for SendError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.code() == other.code()
            && self.to_string() == other.to_string()
    }
}

impl From<AppendError> for SpawnError {
    fn from(error: AppendError) -> Self {
        let AppendError::Rejected(rejection) = error else { return Self::State(error) };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "what has no meaning of its own for a spawn stays what it is"
        )]
        match rejection {
            Rejection::ReservedName { name } => Self::ReservedName(name),
            Rejection::NameTaken { name, .. } => Self::DuplicateName(name),
            Rejection::ParentCancelled { task } => Self::ParentCancelled(task),
            Rejection::ParentRunCancelled { run } => Self::ParentRunCancelled(run),
            rejection @ (Rejection::InvalidName { .. } | Rejection::NameLooksLikeId { .. }) => {
                Self::InvalidName(rejection)
            }
            rejection => Self::State(AppendError::Rejected(rejection)),
        }
    }
}

/// The reason that a message did not reach a task. Two errors are equal if they have the same kind
/// and the same text.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such task.
    #[error("task not found")]
    TaskNotFound,
    /// The task belongs to another thread.
    #[error("caller does not own this task")]
    NotOwner,
    /// The task has ended.
    #[error("task already {}", .0.as_str())]
    TaskTerminated(TaskStatus),
    /// The task is not an agent of this process.
    #[error("task has no inbox (not a sub-agent)")]
    NoInbox,
    /// The agent no longer reads its inbox.
    #[error("sub-agent inbox closed")]
    InboxClosed,
    /// The agent has not read its earlier messages.
    #[error("sub-agent inbox full")]
    InboxFull,
    /// The message could not be recorded, so it was not delivered.
    #[error(transparent)]
    State(AppendError),
}

impl SendError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TaskNotFound => Code::UnknownTask,
            Self::NotOwner => Code::NotOwner,
            Self::TaskTerminated(_) => Code::AlreadyEnded,
            Self::NoInbox => Code::NoInbox,
            Self::InboxClosed => Code::InboxClosed,
            Self::InboxFull => Code::InboxFull,
            Self::State(error) => error.code(),
        }
    }
}

/// The reason that the end of a task is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// There is no such task.
    #[error("task not found")]
    TaskNotFound,
    /// No ledger is bound.
    #[error("background task state store is not configured")]
    StoreNotConfigured,
    /// The task ended, or runs elsewhere, but its end could not be recorded.
    #[error("the end of the task is not recorded")]
    State(#[source] AppendError),
    /// The end could not be read.
    #[error("the end of the task could not be read")]
    Read(#[source] ReadError),
}

impl WaitError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TaskNotFound => Code::UnknownTask,
            Self::StoreNotConfigured => Code::NotBound,
            Self::State(error) => error.code(),
            Self::Read(error) => error.code(),
        }
    }
}

/// The reason that a snapshot was not restored. Unless the variant says otherwise, nothing was
/// written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// No ledger is bound.
    #[error("background task state store is not configured")]
    StoreNotConfigured,
    /// A record is stored under another id than its own.
    #[error("the record under '{key}' is that of task '{task}'")]
    KeyMismatch {
        /// The id that it is stored under.
        key: TaskId,
        /// The id in the record.
        task: TaskId,
    },
    /// A record belongs to a thread that was not named.
    #[error("task '{task}' belongs to thread '{owner}', not to '{thread}'")]
    OtherThread {
        /// The task.
        task: TaskId,
        /// Its owner.
        owner: String,
        /// The thread that is restored.
        thread: String,
    },
    /// An id is not valid.
    #[error("invalid {what} of task '{task}'")]
    InvalidId {
        /// The id.
        what: &'static str,
        /// The task.
        task: TaskId,
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// A record breaks a rule of the ledger.
    #[error(transparent)]
    Rejected(Rejection),
    /// The ledger refused. Records of earlier batches, of at most 4,096 each, are in the ledger:
    /// restoring again adds the others.
    #[error(transparent)]
    State(#[from] AppendError),
}

impl RestoreError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::StoreNotConfigured => Code::NotBound,
            Self::KeyMismatch { .. } | Self::OtherThread { .. } => Code::Inconsistent,
            Self::InvalidId { source, .. } => source.code(),
            Self::Rejected(rejection) => rejection.code(),
            Self::State(error) => error.code(),
        }
    }
}
