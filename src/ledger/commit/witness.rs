//! Witnesses: code of this crate that learns of its appends while the order of the log is still
//! certain.
//!
//! A future that waits for an answer is polled some time after others have seen the event, and in
//! any order. Work that must be done before others see the event, or in the order of the log, is
//! done by a [`Witness`] on the thread that writes.

use super::{
    desk::Desk,
    request::{Append, NotWritten, Reply},
};
use crate::{
    command::Proposal,
    ids::Epoch,
    ledger::{AppendError, Receipt},
};
use std::{
    fmt,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Learns of one append from the thread that writes it, with no lock held.
///
/// Each method takes a microsecond, and waits for nothing. `recorded` and `shown` call no foreign
/// code, and come in the order of the log.
pub(crate) trait Witness: fmt::Debug + Send + Sync {
    /// The append is acknowledged, and not yet published.
    fn recorded(&self, _receipts: &[Receipt]) {}

    /// The append is published.
    fn shown(&self, _receipts: &[Receipt]) {}

    /// The append is about to be answered.
    fn answered(&self, _outcome: Result<&[Receipt], &AppendError>) {}
}

/// Learns that the ledger was fenced, from the thread that did it, with no lock held. Every append is
/// refused by then.
pub(crate) trait FenceWitness: fmt::Debug + Send + Sync {
    /// Another node takes over in this epoch, or may.
    fn fenced(&self, by: Epoch);
}

/// The place for the answer to an append.
#[derive(Debug)]
pub(crate) struct Answer {
    reply: Reply<Vec<Receipt>>,
    witness: Option<Arc<dyn Witness>>,
}

impl Answer {
    pub(crate) fn new(reply: Reply<Vec<Receipt>>, witness: Option<Arc<dyn Witness>>) -> Self {
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

    /// A caller that no longer waits for the answer misses nothing.
    pub(crate) fn send(self, outcome: Result<Vec<Receipt>, NotWritten>) {
        if let Some(witness) = &self.witness {
            let told = outcome.as_deref().map_err(|error| error.clone().of_append(None));
            witness.answered(told.as_ref().map(|receipts| *receipts));
        }
        drop(self.witness);
        let _ = self.reply.send(outcome);
    }
}

/// Takes appends that follow from a witnessed one. Keeps no ledger open: an append that comes in
/// while the last handle goes is still written.
#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Desk>);

impl Door {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self(desk)
    }

    /// Puts one proposal into the queue, without waiting.
    ///
    /// # Errors
    /// The reason that it was not queued. A queued proposal may still be refused; then the witness learns
    /// of it.
    pub(crate) fn hand_in(
        &self,
        proposal: Proposal,
        witness: Arc<dyn Witness>,
    ) -> Result<(), AppendError> {
        let (append, _) = Append::new(proposal.into(), Some(witness));
        let append = self.0.append_later(append);
        // The first poll queues it; dropped after that, a thread of the ledger writes it.
        match pin!(append).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}
