//! Requests to stop, on their way into the log: at once, or later if the ledger refuses for now.
//!
//! Signals no task; `cancel.rs` does.

use super::{
    Bound, CancelOptions, TaskLineage,
    record::{self, Begun},
    supervise::{cut, text_bytes_max},
};
use crate::{
    command::{Batch, Cancel, CancelTarget, Proposal},
    event::Cause,
    ids::TaskId,
    ledger::{AppendError, Ledger},
    metrics,
    time::Millis,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl Bound {
    /// A request whose cause is the caller's surroundings.
    pub(super) fn request(&self, target: CancelTarget, options: &CancelOptions) -> Request {
        let cause = TaskLineage::current().cause(self.ledger_id());
        Request { cause, ..Request::new(&self.ledger, target, options) }
    }
}

/// A request to stop something.
#[derive(Debug, Clone)]
pub(super) struct Request {
    cause: Cause,
    cancel: Cancel,
    /// The time that signalled tasks have to stop.
    pub(super) patience: Option<Duration>,
    /// The time of the request.
    at: Millis,
}

impl Request {
    /// A request without a cause.
    pub(super) fn new(ledger: &Ledger, target: CancelTarget, options: &CancelOptions) -> Self {
        let CancelOptions { reason, deadline: patience } = options;
        let at = ledger.options().clock.now();
        let until = |wait: &Duration| {
            Millis(at.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
        };
        let mut cancel = Cancel::new(target);
        cancel.deadline = patience.as_ref().map(until);
        cancel.reason = reason.clone().map(|reason| cut(reason, text_bytes_max(ledger)).into());
        Self { cause: Cause::default(), cancel, patience: *patience, at }
    }

    pub(super) fn proposal(&self) -> Proposal {
        Proposal::new(self.cancel.clone()).cause(self.cause.clone())
    }

    /// The same request for one of its tasks.
    fn narrowed_to(&self, task: &TaskId) -> Self {
        let cancel = Cancel { target: CancelTarget::Task(task.into()), ..self.cancel.clone() };
        Self { cancel, ..self.clone() }
    }
}

/// Waits for the answer to a request. Its tasks have been signalled, so a refusal is not the
/// caller's problem: it is logged. Returns `true` if the request is to be tried again.
pub(super) async fn is_refused_for_now(begun: Begun) -> bool {
    let Err(error) = begun.finish().await else { return false };
    tell_unrecorded(&error);
    error.is_retryable()
}

/// Records requests that were refused for now, with the time at which they were made. A signalled
/// task that has ended before is covered by none of them, so it gets a request of its own. Returns
/// true if the requests are recorded.
pub(super) async fn record_late(
    ledger: &Ledger,
    requests: &[Request],
    signalled: Vec<TaskId>,
    giving_up: &CancellationToken,
) -> bool {
    let asked = |request: &Request| request.proposal().occurred_at(request.at);
    let append = async |batch: Batch| {
        let recorded = record::persistently(ledger, &batch, None, giving_up, |_| {}).await;
        if let Err(error) = &recorded {
            tracing::warn!(%error, "a cancel request stays unrecorded");
        }
        recorded.is_ok()
    };
    if !append(requests.iter().map(asked).collect()).await {
        return false;
    }
    let Some(request) = requests.first() else { return true };
    let uncovered: Vec<Proposal> = {
        let reader = ledger.reader();
        let state = reader.current();
        let covered = |id: &&TaskId| state.request_to_stop(id).is_none();
        signalled.iter().filter(covered).map(|id| asked(&request.narrowed_to(id))).collect()
    };
    for batch in uncovered.chunks(ledger.options().batch_events_max.max(1)) {
        append(batch.into()).await;
    }
    true
}

pub(super) fn tell_unrecorded(error: &AppendError) {
    metrics::count(metrics::CANCELS_UNRECORDED);
    tracing::warn!(%error, "a cancel request was signalled, but could not be recorded");
}
