//! Requests to the one writer, and the place for each answer.

use super::witness::{Answer, Witness};
use crate::{
    command::{Batch, Command},
    ids::{Head, Key},
    ledger::{AppendError, PurgeError, Receipt},
    store,
    sync::wait_for,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A request that waits at the desk.
#[derive(Debug)]
pub(crate) enum Request {
    /// Needs the writer. Several of them become one commit.
    Append(Append),
    /// Needs the right to sync: make everything written so far durable.
    Sync(Reply<Head>),
    /// Needs both.
    Alone(Alone),
}

/// A batch to decide and write.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) batch: Batch,
    pub(crate) reply: Answer,
}

/// A request that is done while no other thread is at work.
#[derive(Debug)]
pub(crate) enum Alone {
    Ingest(Ingest),
    /// Rewrite every file without the texts that are redacted.
    Purge(oneshot::Sender<Result<(), PurgeError>>),
    /// Sync, flush and end.
    Close(oneshot::Sender<Result<(), store::Error>>),
}

/// Frames of another ledger to write as one group; `expect` is the head that they must lead to.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) expect: Option<Head>,
    pub(crate) reply: Reply<Head>,
}

/// The place for an answer.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, NotWritten>>;

/// The reason that nothing was acknowledged.
#[derive(Debug, Clone)]
pub(crate) enum NotWritten {
    /// Storage failed while it was in flight: it may be there when the ledger is opened again.
    Unknown,
    /// Nothing was written.
    Refused(AppendError),
}

impl NotWritten {
    /// The same as an error of an append whose first proposal has this key.
    pub(crate) fn of_append(self, key: Option<Key>) -> AppendError {
        match self {
            Self::Unknown => AppendError::OutcomeUnknown { key },
            Self::Refused(error) => error,
        }
    }
}

impl From<AppendError> for NotWritten {
    fn from(error: AppendError) -> Self {
        Self::Refused(error)
    }
}

/// The caller's end of a request: the answer, once there is one.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    /// The key that names the request if its outcome is unknown.
    key: Option<Key>,
    from: oneshot::Receiver<Result<T, NotWritten>>,
}

impl<T> Pending<T> {
    fn new(key: Option<Key>) -> (Reply<T>, Self) {
        let (reply, from) = oneshot::channel();
        (reply, Self { key, from })
    }

    /// Waits for the answer.
    pub(crate) async fn wait(self) -> Result<T, AppendError> {
        let Self { key, from } = self;
        Self::told(from.await.ok(), key)
    }

    /// Waits for the answer on this thread, which must not be one of an async runtime.
    pub(crate) fn wait_blocking(self) -> Result<T, AppendError> {
        let Self { key, from } = self;
        Self::told(wait_for(from), key)
    }

    /// The answer. A missing one means that the writer thread died while it had the request.
    fn told(answer: Option<Result<T, NotWritten>>, key: Option<Key>) -> Result<T, AppendError> {
        answer.unwrap_or(Err(NotWritten::Unknown)).map_err(|error| error.of_append(key))
    }
}

impl Append {
    pub(crate) fn new(
        batch: Batch,
        witness: Option<Arc<dyn Witness>>,
    ) -> (Self, Pending<Vec<Receipt>>) {
        let (reply, pending) = Pending::new(batch.first().and_then(|proposal| proposal.key));
        (Self { batch, reply: Answer::new(reply, witness) }, pending)
    }

    /// The number of events that it may become.
    pub(crate) fn events(&self) -> usize {
        self.batch.len()
    }

    /// Says whether it asks for the next task number.
    pub(crate) fn asks_for_number(&self) -> bool {
        let asks =
            |command: &Command| matches!(command, Command::Spawn(spawn) if spawn.task.is_none());
        self.batch.iter().any(|proposal| asks(&proposal.command))
    }
}

impl Ingest {
    pub(crate) fn new(frames: Vec<Vec<u8>>, expect: Option<Head>) -> (Self, Pending<Head>) {
        let (reply, pending) = Pending::new(None);
        (Self { frames, expect, reply }, pending)
    }
}

impl Request {
    pub(crate) fn sync() -> (Self, Pending<Head>) {
        let (reply, pending) = Pending::new(None);
        (Self::Sync(reply), pending)
    }

    pub(crate) fn ingest(ingest: Ingest) -> Self {
        Self::Alone(Alone::Ingest(ingest))
    }

    /// Refuses a request that came too late: none of it was done. `closed` says that the ledger was closed
    /// and all of it is durable; then closing it again succeeds.
    pub(crate) fn refuse(self, closed: bool) {
        let halted = NotWritten::Refused(AppendError::Halted);
        match self {
            Self::Append(Append { reply, .. }) => reply.send(Err(halted)),
            Self::Sync(reply) | Self::Alone(Alone::Ingest(Ingest { reply, .. })) => {
                drop(reply.send(Err(halted)));
            }
            Self::Alone(Alone::Purge(reply)) => drop(reply.send(Err(PurgeError::Halted))),
            Self::Alone(Alone::Close(reply)) => {
                drop(reply.send(if closed { Ok(()) } else { Err(store::Error::Halted) }));
            }
        }
    }
}
