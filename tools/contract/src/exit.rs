//! How a program of this project ends, as the shell is told.

use std::process::ExitCode;

/// How a program ends. `docs/cli.md` has the same table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok,
    /// It could not.
    Failure,
    /// It was asked in a way that makes no sense.
    Usage,
    /// What was asked for is not there.
    NotFound,
    /// An audit found something; a difference was found and `--exit-code` was given.
    Finding,
    /// The ledger cannot be had now: in use, disk full, halted.
    Unavailable,
    /// Finished, but something was refused: rejected lines, not the primary.
    Refused,
    /// The directory is not safe.
    Unsafe,
    /// Written by a newer version.
    Format,
    /// Ended in order because this signal asked for it: 2 is Ctrl-C.
    Signal(u8),
    /// It waited as long as it was told to.
    TimedOut,
    /// As the command did that was run.
    Command(u8),
}

impl Exit {
    /// The number that the shell is given.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Finding => 4,
            Self::Unavailable => 5,
            Self::Refused => 6,
            Self::Unsafe => 8,
            Self::Format => 9,
            Self::TimedOut => 124,
            Self::Signal(number) => 128_u8.saturating_add(number),
            Self::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
