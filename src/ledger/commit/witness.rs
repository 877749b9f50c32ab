//! How code of this crate learns of its appends where the order of the log is still certain.
//!
//! A future that waits for an answer is polled some time after others have seen the event, and in
//! any order. What must be true before anybody sees it, or must keep the order of the log, is done
//! by a [`Witness`] on the thread that writes.

use super::{desk::Desk, request::Request};
use crate::{
    command::Proposal,
    ledger::{AppendError, Receipt},
};
use std::{
    fmt,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::sync::oneshot;

/// Is told of one append by the thread that writes it, with no lock held.
///
/// Each method takes a microsecond, and waits for nothing. `recorded` and `shown` call nothing that
/// others wrote, and come in the order of the log.
pub(crate) trait Witness: fmt::Debug + Send + Sync {
    /// It is acknowledged, and nobody has seen it yet.
    fn recorded(&self, _receipts: &[Receipt]) {}

    /// Everybody sees it.
    fn shown(&self, _receipts: &[Receipt]) {}

    /// It is about to be answered.
    fn answered(&self, _outcome: Result<&[Receipt], &AppendError>) {}
}

/// Where the answer to an append goes.
#[derive(Debug)]
pub(crate) struct Answer {
    reply: oneshot::Sender<Result<Vec<Receipt>, AppendError>>,
    witness: Option<Arc<dyn Witness>>,
}

impl Answer {
    pub(crate) fn new(
        reply: oneshot::Sender<Result<Vec<Receipt>, AppendError>>,
        witness: Option<Arc<dyn Witness>>,
    ) -> Self {
        Self { reply, witness }
    }

    pub(crate) fn recorded(&self, receipts: &[Receipt]) {
        if let Some(witness) = &self.witness {
            witness.recorded(receipts);
        }
    }

    pub(crate) fn shown(&self, receipts: &[Receipt]) {
        if let Some(witness) = &self.witness {
            witness.shown(receipts);
        }
    }

    /// Whoever no longer waits for the answer is not missed.
    pub(crate) fn send(self, outcome: Result<Vec<Receipt>, AppendError>) {
        if let Some(witness) = &self.witness {
            witness.answered(outcome.as_deref());
        }
        drop(self.witness);
        let _ = self.reply.send(outcome);
    }
}

/// Where a [`Witness`] hands in what follows from its append. Keeps no ledger open: what is handed
/// in while the last handle goes is still written.
#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Desk>);

impl Door {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self(desk)
    }

    /// Puts one proposal into the queue and waits for nothing.
    ///
    /// # Errors
    /// Why it was not even taken. Taken, it may still be refused, of which the witness is told.
    pub(crate) fn hand_in(
        &self,
        proposal: Proposal,
        witness: Arc<dyn Witness>,
    ) -> Result<(), AppendError> {
        let (reply, _) = oneshot::channel();
        let reply = Answer::new(reply, Some(witness));
        let append = self.0.append_later(Request::Append { batch: vec![proposal], reply });
        // The first poll queues it; dropped after that, a thread of the ledger writes it.
        match pin!(append).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}
