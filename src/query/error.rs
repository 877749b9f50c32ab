//! Errors of questions about the past.

use super::point::{Position, format_time};
use crate::{
    code::Code,
    ids::{Seq, TaskId, ThreadId},
    ledger::ReadError,
    time::Millis,
};

/// The reason that a question about the past has no answer. One variant for each thing that a
/// caller can do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The ledger has never held this task.
    #[error("no task {task:?}")]
    UnknownTask {
        /// The task.
        task: TaskId,
    },
    /// The ledger has never held a task of this thread.
    #[error("no thread {thread:?}")]
    UnknownThread {
        /// The thread.
        thread: ThreadId,
    },
    /// The ledger holds the task, but not yet at that position.
    #[error("task {task:?} did not exist at {at}")]
    NotYet {
        /// The task.
        task: TaskId,
        /// The position.
        at: Position,
    },
    /// The task still runs, so there is no point at which it ended yet.
    #[error("task {task:?} has not ended")]
    NotEnded {
        /// The task.
        task: TaskId,
    },
    /// The log is shorter than the position asks for.
    #[error("no event #{size}: the log ends at #{head}")]
    PastHead {
        /// The number of events that the position asks for.
        size: u64,
        /// The number of events in the log.
        head: u64,
    },
    /// A place in the log is needed, but the position is a time of occurrence.
    #[error(
        "{} is a time of occurrence, which is no place in the log: use `#1204` or `rec:TIME`",
        format_time(*.at)
    )]
    NotLogPosition {
        /// The time.
        at: Millis,
    },
    /// The links of an event do not hold together. An audit says more.
    #[error("event {seq} is damaged: {detail}")]
    Damaged {
        /// The event.
        seq: Seq,
        /// The rule that does not hold.
        detail: &'static str,
    },
    /// An event could not be read.
    #[error("the past could not be read")]
    Read(#[from] ReadError),
}

impl QueryError {
    /// The kind of the error, as a word for exit codes, HTTP and metrics.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownTask { .. } => Code::UnknownTask,
            Self::UnknownThread { .. } => Code::UnknownThread,
            Self::NotYet { .. } => Code::NotYet,
            Self::NotEnded { .. } => Code::NotEnded,
            Self::PastHead { .. } => Code::NoSuchEvent,
            Self::NotLogPosition { .. } => Code::NotLogPosition,
            Self::Damaged { .. } => Code::Damaged,
            Self::Read(error) => error.code(),
        }
    }
}
