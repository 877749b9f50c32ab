//! The reasons that a command may not become an event.

use super::number::NUMBER_END;
use crate::{
    code::Code,
    event::TaskStatus,
    ids::{IdError, RunId, Seq, TaskId, ThreadId},
};
use std::sync::Arc;

/// The rule that a command would break. An answer, not a fault: nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is a task with this id, running or not.
    #[error("task '{task}' already exists")]
    TaskExists {
        /// The id.
        task: TaskId,
    },
    /// The id looks like one that the ledger assigns, but is not spelled like one.
    #[error("task id '{task}' is not a canonical number below {NUMBER_END}")]
    BadNumber {
        /// The id.
        task: TaskId,
    },
    /// Every number has been assigned.
    #[error("no task number below {NUMBER_END} is left")]
    NumbersExhausted,
    /// The name has a fixed meaning wherever tasks are named.
    #[error("'{name}' is a reserved name")]
    ReservedName {
        /// The name.
        name: Arc<str>,
    },
    /// The name could be taken for the id of a task.
    #[error("the name '{name}' looks like a task id")]
    NameLooksLikeId {
        /// The name.
        name: Arc<str>,
    },
    /// The name is empty, too long, or holds control characters.
    #[error("invalid task name")]
    InvalidName {
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// A running Managed task of the same thread has the name.
    #[error("a running task named '{name}' already exists")]
    NameTaken {
        /// The name.
        name: Arc<str>,
        /// The task that has it.
        task: TaskId,
    },
    /// The tree that the task would be in was cancelled.
    #[error("parent task '{task}' has already been cancelled")]
    ParentCancelled {
        /// The root of that tree.
        task: TaskId,
    },
    /// The run that spawns it was cancelled.
    #[error("parent run '{run}' has already been cancelled")]
    ParentRunCancelled {
        /// The run.
        run: RunId,
    },
    /// The task would have too many ancestors.
    #[error("task at depth {depth}; the limit is {max} levels")]
    TooDeep {
        /// The depth that it, or a task below it, would have.
        depth: usize,
        /// The limit.
        max: usize,
    },
    /// The task would be its own ancestor.
    #[error("task '{task}' cannot be below itself, under '{parent}'")]
    Cycle {
        /// The task.
        task: TaskId,
        /// The parent that it cannot have.
        parent: TaskId,
    },
    /// There is no task with this id.
    #[error("no task '{task}'")]
    UnknownTask {
        /// The id.
        task: TaskId,
    },
    /// There is no thread with this id.
    #[error("no thread '{thread}'")]
    UnknownThread {
        /// The id.
        thread: ThreadId,
    },
    /// The task has ended, which is final.
    #[error("task '{task}' already {}", .status.as_str())]
    AlreadyEnded {
        /// The task.
        task: TaskId,
        /// The status with which it ended.
        status: TaskStatus,
    },
    /// An update that changes nothing.
    #[error("nothing to change of task '{task}'")]
    NothingToUpdate {
        /// The task.
        task: TaskId,
    },
    /// A task cannot be restored without its id.
    #[error("a restored task needs its id")]
    RestoreWithoutId,
    /// A task cannot be restored without the time at which it was created.
    #[error("restored task '{task}' needs its creation time")]
    RestoreWithoutCreated {
        /// The task.
        task: TaskId,
    },
    /// A task cannot be restored as running and have an outcome.
    #[error("restored task '{task}' is running, but has an error, a result or a completion time")]
    RestoreRunningWithOutcome {
        /// The task.
        task: TaskId,
    },
    /// The task is not Managed. Only a Managed task can lose its manager: others may still run.
    #[error("task '{task}' has no manager here, so it cannot be an orphan")]
    NotManaged {
        /// The task.
        task: TaskId,
    },
    /// The command names its task by a proposal that spawns none, or none before it.
    #[error("proposal {index} of the batch spawns no task before this one")]
    NotSpawned {
        /// The place of that proposal in the batch, from 0.
        index: usize,
    },
    /// The event whose texts are to be erased is not in the log.
    #[error("cannot redact event {seq}: the log ends at {size}")]
    RedactUnknown {
        /// The event.
        seq: Seq,
        /// The number of events in the log.
        size: u64,
    },
    /// No texts were named.
    #[error("nothing to redact of event {seq}")]
    RedactNothing {
        /// The event.
        seq: Seq,
    },
    /// The event never had such a text.
    #[error("event {seq} has no such text")]
    RedactNoSuchText {
        /// The event.
        seq: Seq,
    },
    /// The texts have been redacted before.
    #[error("event {seq} is already redacted")]
    AlreadyRedacted {
        /// The event.
        seq: Seq,
    },
    /// A short text that is not a name is too long or holds control characters.
    #[error("invalid {what}")]
    InvalidLabel {
        /// `task type`, `sender` or `event type`.
        what: &'static str,
        /// The rule that it breaks.
        #[source]
        source: IdError,
    },
    /// A text is too long.
    #[error("{what} of {len} bytes; the limit is {max} bytes")]
    TooLarge {
        /// The text.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The task or thread has events that the caller had not seen.
    #[error("expected the last event to be {}, but it is {}", or_none(*.expected), or_none(*.actual))]
    Conflict {
        /// The last event that the caller has seen.
        expected: Option<Seq>,
        /// The last event in the log.
        actual: Option<Seq>,
    },
}

impl Rejection {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TaskExists { .. } => Code::TaskExists,
            Self::BadNumber { .. }
            | Self::InvalidName { .. }
            | Self::InvalidLabel { .. }
            | Self::RedactNoSuchText { .. } => Code::Invalid,
            Self::NumbersExhausted => Code::NumbersExhausted,
            Self::ReservedName { .. } | Self::NameLooksLikeId { .. } => Code::ReservedName,
            Self::NameTaken { .. } => Code::NameTaken,
            Self::ParentCancelled { .. } | Self::ParentRunCancelled { .. } => Code::ParentCancelled,
            Self::TooDeep { .. } => Code::TooDeep,
            Self::Cycle { .. } => Code::Cycle,
            Self::UnknownTask { .. } => Code::UnknownTask,
            Self::UnknownThread { .. } => Code::UnknownThread,
            Self::AlreadyEnded { .. } => Code::AlreadyEnded,
            Self::NothingToUpdate { .. } | Self::RedactNothing { .. } => Code::NothingToChange,
            Self::RestoreWithoutId
            | Self::RestoreWithoutCreated { .. }
            | Self::RestoreRunningWithOutcome { .. }
            | Self::NotSpawned { .. } => Code::Inconsistent,
            Self::NotManaged { .. } => Code::NotManaged,
            Self::RedactUnknown { .. } => Code::NoSuchEvent,
            Self::AlreadyRedacted { .. } => Code::AlreadyRedacted,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Conflict { .. } => Code::Conflict,
        }
    }
}

fn or_none(seq: Option<Seq>) -> String {
    seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string())
}
