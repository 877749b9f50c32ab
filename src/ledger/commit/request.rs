//! What is asked of the one writer, and where the answer goes.

use super::witness::Answer;
use crate::{
    command::{Command, Proposal},
    ids::Head,
    ledger::AppendError,
    store,
};
use tokio::sync::oneshot;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the writer can be asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Decide and write a batch.
    Append { batch: Vec<Proposal>, reply: Answer },
    /// Write frames of another ledger; `expect` is the head that they must lead to.
    Ingest { frames: Vec<Vec<u8>>, expect: Option<Head>, reply: Reply<Head> },
    /// Make everything written so far durable.
    Sync { reply: Reply<Head> },
    /// Rewrite every file without the texts that are redacted.
    Erase { reply: oneshot::Sender<Result<(), store::Error>> },
    /// Sync, flush and end.
    Close { reply: oneshot::Sender<Result<(), store::Error>> },
}

impl Request {
    /// How many events it may become; `None` for what is no append.
    pub(crate) fn events(&self) -> Option<usize> {
        match self {
            Self::Append { batch, .. } => Some(batch.len()),
            Self::Ingest { .. } | Self::Sync { .. } | Self::Erase { .. } | Self::Close { .. } => {
                None
            }
        }
    }

    /// Whether it wants a task to be given the next number.
    pub(crate) fn asks_for_number(&self) -> bool {
        let Self::Append { batch, .. } = self else { return false };
        let asks =
            |command: &Command| matches!(command, Command::Spawn(spawn) if spawn.task.is_none());
        batch.iter().any(|proposal| asks(&proposal.command))
    }

    /// It came too late: nothing of it was done. `closed` says whether the ledger was closed, and
    /// everything in it is durable: then to close it once more is done, too.
    pub(crate) fn refuse(self, closed: bool) {
        match self {
            Self::Append { reply, .. } => reply.send(Err(AppendError::Halted)),
            Self::Ingest { reply, .. } | Self::Sync { reply } => {
                let _ = reply.send(Err(AppendError::Halted));
            }
            Self::Erase { reply } => {
                let _ = reply.send(Err(store::Error::Halted));
            }
            Self::Close { reply } => {
                let _ = reply.send(if closed { Ok(()) } else { Err(store::Error::Halted) });
            }
        }
    }
}
