//! Errors of questions.

use std::io;
use taskledger::{
    Code,
    codec::DecodeError,
    ids::{TaskId, ThreadId},
    ledger::ReadError,
    proof::CheckError,
    query::{Point, QueryError},
};

/// The reason that a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The ledger has no such moment.
    #[error("cannot go to {point}")]
    Moment {
        /// The moment.
        point: Point,
        /// The reason.
        source: Box<QueryError>,
    },
    /// The task came after the moment.
    #[error("task {:?} did not exist yet", .task.as_str())]
    NotYet {
        /// The task.
        task: TaskId,
    },
    /// The condition is about a task of another thread.
    #[error("task {task:?} is not in thread {thread:?}")]
    ElsewhereInLedger {
        /// The task.
        task: TaskId,
        /// The thread that was asked about.
        thread: ThreadId,
        /// The thread that the task is in.
        found: ThreadId,
    },
    /// A time is needed, and the point is a place in the log.
    #[error("{point} is not a time")]
    NoTime {
        /// The point.
        point: Point,
    },
    /// The log is shorter than the question supposes.
    #[error("{0}")]
    Size(String),
    /// The query has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A proof that the ledger made does not hold.
    #[error(transparent)]
    Proof(#[from] CheckError),
    /// The frame of an event is not what it must be.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// The answer is no JSON.
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The answer would hold more than [`Asked::holding`](super::Asked::holding) allows.
    #[error("the answer would hold more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The answer could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl AskError {
    /// The kind of the error; `None` if it is not of the ledger: the answer could not be written, or was
    /// too large.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Moment { source, .. } => Some(source.code()),
            Self::Query(error) => Some(error.code()),
            Self::NotYet { .. } => Some(Code::NotYet),
            Self::ElsewhereInLedger { .. } => Some(Code::UnknownTask),
            Self::NoTime { .. } => Some(Code::InvalidPoint),
            Self::Size(_) => Some(Code::Invalid),
            Self::Read(error) => Some(error.code()),
            Self::Proof(error) => Some(error.code()),
            Self::Frame(error) => Some(error.code()),
            Self::Json(_) | Self::TooLarge { .. } | Self::Write(_) => None,
        }
    }
}
