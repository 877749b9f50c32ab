//! Requests to the one writer, and the place for each answer.

use super::witness::Answer;
use crate::{
    command::{Command, Proposal},
    ids::Head,
    ledger::AppendError,
    store,
};
use tokio::sync::oneshot;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// A request to the writer.
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
    /// The number of events that it may become; `None` if it is no append.
    pub(crate) fn events(&self) -> Option<usize> {
        match self {
            Self::Append { batch, .. } => Some(batch.len()),
            Self::Ingest { .. } | Self::Sync { .. } | Self::Erase { .. } | Self::Close { .. } => {
                None
            }
        }
    }

    /// Says whether it asks for the next task number.
    pub(crate) fn asks_for_number(&self) -> bool {
        let Self::Append { batch, .. } = self else { return false };
        let asks =
            |command: &Command| matches!(command, Command::Spawn(spawn) if spawn.task.is_none());
        batch.iter().any(|proposal| asks(&proposal.command))
    }

    /// Refuses a request that came too late: none of it was done. `closed` says that the ledger was
    /// closed and all of it is durable; then closing it again succeeds.
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
