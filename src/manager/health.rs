//! How a manager is doing, and how it ends.

use super::{
    BackgroundTaskManager, Bound, TaskLineage,
    cancel::{has_ended, of_thread, tell_unrecorded},
    live::Live,
};
use crate::{
    command::{Command, Proposal},
    ids::{TaskId, ThreadId},
    store,
    sync::{blocking, timeout},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// The reason that a shutdown gives for its requests.
const SHUTDOWN: &str = "shutdown";

/// How long a shutdown waits for tasks that were aborted, which only code that never waits needs.
const ABORTED_WAIT: Duration = Duration::from_secs(1);

/// How a manager is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Something below needs attention.
    pub degraded: bool,
    /// Tasks that run in this process.
    pub live: usize,
    /// Tasks that have ended, but whose end is not on the record: the ledger is busy, full or
    /// halted.
    pub unrecorded: Vec<TaskId>,
    /// Tasks that were to be dropped after their deadline, but whose code never waits.
    pub deaf: Vec<TaskId>,
    /// Tasks whose recorded end waits for room in the inbox of their owner.
    pub untold: usize,
}

/// How a shutdown went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Tasks that stopped when they were asked to.
    pub stopped: usize,
    /// Tasks that were dropped, and are recorded as Cancelled.
    pub aborted: usize,
    /// Tasks that never waited, and so are still there. The next opening finds them as orphans.
    pub deaf: Vec<TaskId>,
}

impl BackgroundTaskManager {
    /// How it is doing. O(live tasks).
    pub fn health(&self) -> Health {
        let live = self.table.all();
        let state = self.bound.get().map(Bound::state);
        let unrecorded = (self.table)
            .all_unrecorded(|id| state.as_ref().is_some_and(|state| has_ended(state, id)));
        let deaf: Vec<TaskId> = deaf(&live);
        Health {
            degraded: !unrecorded.is_empty() || !deaf.is_empty(),
            live: live.len(),
            untold: self.table.untold(),
            unrecorded,
            deaf,
        }
    }

    /// Ends the manager: asks every task to stop, gives them `grace`, drops those that are left,
    /// records their ends, and closes the ledger. Nothing can be spawned from its first poll on.
    ///
    /// Not to be called by a task of this manager, which it would wait for.
    ///
    /// # Durability
    /// `Ok` means that everything recorded survives loss of power, also with
    /// [`Durability::Interval`](crate::Durability).
    ///
    /// # Errors
    /// [`store::Error`] if the last sync of the ledger failed; it is closed all the same.
    ///
    /// # Cancel safety
    /// Dropped, tasks have been asked to stop; call it again.
    ///
    /// # Cost
    /// One append for each thread that has live tasks. It takes at most `grace` and a second, and
    /// the closing of the ledger.
    pub async fn shutdown(
        self: &Arc<Self>,
        grace: Duration,
    ) -> Result<ShutdownReport, store::Error> {
        self.tracker.close();
        let live = self.table.close();
        let asked: BTreeSet<TaskId> = live.iter().map(|live| live.id.clone()).collect();
        let threads: BTreeSet<ThreadId> = live.iter().map(|live| live.thread.clone()).collect();
        for live in live {
            live.token.cancel();
        }
        let stopped = async {
            self.record_requests(threads).await;
            self.tracker.wait().await;
        };
        let mut report = ShutdownReport::default();
        let mut overdue = 0;
        if timeout(grace, stopped).await.is_none() {
            let mut left = self.table.all();
            left.retain(|live| !live.ended.load(Ordering::Acquire));
            report.aborted = left.len();
            overdue = left.iter().filter(|live| asked.contains(&live.id)).count();
            for live in &left {
                live.abort_after(grace);
            }
            drop(left);
            self.giving_up.cancel();
            let _ = timeout(ABORTED_WAIT, self.tracker.wait()).await;
            report.deaf = deaf(&self.table.all());
            report.aborted = report.aborted.saturating_sub(report.deaf.len());
        }
        report.stopped = asked.len().saturating_sub(overdue);
        self.giving_up.cancel();
        let Some(ledger) = self.ledger().cloned() else { return Ok(report) };
        let closed = blocking(move || ledger.close_blocking()).await;
        tracing::info!(
            stopped = report.stopped,
            aborted = report.aborted,
            deaf = report.deaf.len(),
            "task manager shut down"
        );
        closed.unwrap_or(Err(store::Error::Halted)).map(|()| report)
    }

    /// Records why the tasks of these threads were asked to stop. What cannot be recorded now will
    /// not be recorded by this manager.
    async fn record_requests(&self, threads: BTreeSet<ThreadId>) {
        let Some(bound) = self.bound.get() else { return };
        let cause = TaskLineage::current().cause(bound.ledger_id());
        let request = |thread| Command::Cancel(of_thread(thread, Some(SHUTDOWN)));
        let proposals = threads
            .into_iter()
            .map(|thread| Proposal { cause: cause.clone(), ..Proposal::new(request(thread)) });
        let proposals: Vec<Proposal> = proposals.collect();
        for batch in proposals.chunks(bound.ledger.options().batch_events_max.max(1)) {
            if let Err(error) = bound.ledger.append(batch).await {
                tell_unrecorded(&error);
            }
        }
    }
}

/// Tasks past their deadline whose code has not come to an end.
fn deaf(live: &[Arc<Live>]) -> Vec<TaskId> {
    live.iter().filter(|live| live.is_deaf()).map(|live| live.id.clone()).collect()
}
