//! A status, as an argument.

use clap::ValueEnum;
use taskledger::event::TaskStatus;

/// A status as an option takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// It has no terminal event
    Running,
    /// It did what it was asked to do
    Completed,
    /// It could not
    Failed,
    /// It was stopped
    Cancelled,
}

impl From<StatusArg> for TaskStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Running => Self::Running,
            StatusArg::Completed => Self::Completed,
            StatusArg::Failed => Self::Failed,
            StatusArg::Cancelled => Self::Cancelled,
        }
    }
}
