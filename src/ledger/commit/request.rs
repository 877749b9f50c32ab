//! Requests to the one writer, and the place for each answer.

use super::witness::{Answer, Witness};
use crate::{
    command::{Batch, Command},
    ids::{Epoch, Head, Key},
    ledger::{AppendError, NodeStatus, PromiseError, PurgeError, Receipt, Role, TakeOverError},
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
    /// Acknowledge nothing in an epoch below this one.
    Promise(Epoch, oneshot::Sender<Result<NodeStatus, PromiseError>>),
    TakeOver(TakeOver),
    /// Give no task a number below this one.
    Reserve(u64, Reply<()>),
    /// Sync, flush and end.
    Close(oneshot::Sender<Result<(), store::Error>>),
}

/// A take-over in an epoch; tasks get numbers from `numbers_from` on.
#[derive(Debug)]
pub(crate) struct TakeOver {
    pub(crate) epoch: Epoch,
    pub(crate) numbers_from: u64,
    pub(crate) reply: oneshot::Sender<Result<Head, TakeOverError>>,
}

/// Frames of another ledger to write as one group; `expect` is the head that they must lead to, `by` the
/// epoch of the primary that is followed.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) expect: Option<Head>,
    pub(crate) by: Option<Epoch>,
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
    pub(crate) fn new(
        frames: Vec<Vec<u8>>,
        expect: Option<Head>,
        by: Option<Epoch>,
    ) -> (Self, Pending<Head>) {
        let (reply, pending) = Pending::new(None);
        (Self { frames, expect, by, reply }, pending)
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

    pub(crate) fn reserve(upto: u64) -> (Self, Pending<()>) {
        let (reply, pending) = Pending::new(None);
        (Self::Alone(Alone::Reserve(upto, reply)), pending)
    }

    /// Says whether a ledger of this role takes it. Those that change the role, or do not depend on it, are
    /// taken here, and look for themselves.
    pub(crate) fn check(&self, role: Role) -> Result<(), AppendError> {
        match self {
            Self::Append(_) => role.check_append(),
            Self::Alone(Alone::Ingest(_) | Alone::Reserve(..)) => role.check_ingest(),
            Self::Sync(_)
            | Self::Alone(
                Alone::Purge(_) | Alone::Promise(..) | Alone::TakeOver(_) | Alone::Close(_),
            ) => Ok(()),
        }
    }

    /// Refuses a request that came too late: none of it was done. `closed` says that the ledger was closed
    /// and all of it is durable; then closing it again succeeds.
    pub(crate) fn refuse(self, closed: bool) {
        self.refuse_with(AppendError::Halted, closed);
    }

    /// Like [`refuse`](Self::refuse), with the reason for those that are answered with one of an append.
    pub(crate) fn refuse_with(self, error: AppendError, closed: bool) {
        let refused = NotWritten::Refused(error);
        match self {
            Self::Append(Append { reply, .. }) => reply.send(Err(refused)),
            Self::Sync(reply) | Self::Alone(Alone::Ingest(Ingest { reply, .. })) => {
                drop(reply.send(Err(refused)));
            }
            Self::Alone(Alone::Reserve(_, reply)) => drop(reply.send(Err(refused))),
            Self::Alone(Alone::Purge(reply)) => drop(reply.send(Err(PurgeError::Halted))),
            Self::Alone(Alone::Promise(_, reply)) => drop(reply.send(Err(PromiseError::Halted))),
            Self::Alone(Alone::TakeOver(TakeOver { reply, .. })) => {
                drop(reply.send(Err(TakeOverError::Halted)));
            }
            Self::Alone(Alone::Close(reply)) => {
                drop(reply.send(if closed { Ok(()) } else { Err(store::Error::Halted) }));
            }
        }
    }
}
