//! Appends that must not be lost: repeated until the ledger takes them or refuses for good.
//!
//! Knows no task. Nothing was written when an append is answered with `Busy` or `DiskFull`, so
//! repeating it cannot record anything twice.

use crate::{
    command::{Batch, Proposal},
    ledger::{AppendError, Ledger, Receipt, Witness},
    sync::sleep,
};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The first and the longest wait between two tries.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// An append that is in the queue of the ledger, or was refused there.
pub(super) struct Begun {
    append: Pin<Box<dyn Future<Output = Result<Vec<Receipt>, AppendError>> + Send>>,
    answer: Option<Result<Vec<Receipt>, AppendError>>,
}

impl Begun {
    /// Waits for the answer.
    pub(super) async fn finish(self) -> Result<Vec<Receipt>, AppendError> {
        match self.answer {
            Some(answer) => answer,
            None => self.append.await,
        }
    }
}

/// Puts an append into the queue of the ledger, without an await: a later append comes later in the
/// log. If it is dropped, the queued append is still written.
pub(super) async fn begin(ledger: &Ledger, proposals: Vec<Proposal>) -> Begun {
    let ledger = ledger.clone();
    let mut append: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(async move { ledger.append(proposals).await });
    let polled = poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
    let answer = match polled {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    };
    Begun { append, answer }
}

/// Appends one proposal, with a witness if there is one.
pub(super) async fn once(
    ledger: &Ledger,
    proposal: Proposal,
    witness: Option<Arc<dyn Witness>>,
) -> Result<Receipt, AppendError> {
    let receipts = ledger.append_before([proposal], witness).await?;
    Ok(Receipt::only(receipts))
}

/// Appends proposals, and tries again as long as that can help and `giving_up` is not cancelled.
/// Calls `refused` for each refusal. A try costs no copy of the batch.
pub(super) async fn persistently(
    ledger: &Ledger,
    batch: &Batch,
    witness: Option<&Arc<dyn Witness>>,
    giving_up: &CancellationToken,
    mut refused: impl FnMut(&AppendError),
) -> Result<Vec<Receipt>, AppendError> {
    let mut wait = WAIT_MIN;
    loop {
        let error = match ledger.append_before(batch.clone(), witness.cloned()).await {
            Ok(receipts) => return Ok(receipts),
            Err(error) => error,
        };
        if !error.is_retryable() || giving_up.is_cancelled() {
            return Err(error);
        }
        refused(&error);
        tokio::select! {
            biased;
            () = giving_up.cancelled() => return Err(error),
            () = sleep(wait) => wait = (wait * 2).min(WAIT_MAX),
        }
    }
}

/// Puts one proposal into the queue of the ledger, without waiting.
///
/// # Errors
/// The reason that it was not queued. A queued proposal may still be refused, without a report.
pub(super) fn without_waiting(ledger: &Ledger, proposal: Proposal) -> Result<(), AppendError> {
    let append = pin!(ledger.append([proposal]));
    // The first poll queues it; if it is dropped after that, it is still written.
    match append.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
    }
}
