//! Appending what must not be lost: again and again, until the ledger takes it or says never.
//!
//! Knows no task. Nothing was written when an append is answered with `Busy` or `DiskFull`, so
//! trying again cannot record anything twice.

use crate::{
    command::Proposal,
    ledger::{AppendError, Ledger, Receipt},
    sync::sleep,
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The first and the longest wait between two tries.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Appends one proposal.
pub(super) async fn once(ledger: &Ledger, proposal: Proposal) -> Result<Receipt, AppendError> {
    let receipts = ledger.append([proposal]).await?;
    receipts.into_iter().next().ok_or(AppendError::Halted)
}

/// Appends one proposal, and tries again for as long as that can help and `giving_up` is not
/// cancelled. `refused` is told of each refusal.
pub(super) async fn persistently(
    ledger: &Ledger,
    proposal: &Proposal,
    giving_up: &CancellationToken,
    mut refused: impl FnMut(&AppendError),
) -> Result<Receipt, AppendError> {
    let mut wait = WAIT_MIN;
    loop {
        let error = match once(ledger, proposal.clone()).await {
            Ok(receipt) => return Ok(receipt),
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

/// Puts one proposal into the queue of the ledger and waits for nothing: for those who cannot.
///
/// # Errors
/// Why it was not even taken. Taken, it may still be refused, and nobody is told.
pub(super) fn without_waiting(ledger: &Ledger, proposal: Proposal) -> Result<(), AppendError> {
    let append = pin!(ledger.append([proposal]));
    // The first poll hands it over; the answer is of no use to somebody who is being dropped.
    match append.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
    }
}
