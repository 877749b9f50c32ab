//! The health of a manager, and its shutdown.

use super::{
    BackgroundTaskManager, Bound, CancelOptions, TaskLineage,
    cancel::has_ended,
    live::Live,
    past::worth_keeping,
    record::{self, Begun},
    request::{Request, is_refused_for_now, record_late},
};
use crate::{
    command::CancelTarget,
    ids::{TaskId, ThreadId},
    store,
    sync::{Runtime, blocking, timeout},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// The reason that a shutdown gives for its requests.
pub(super) const SHUTDOWN: &str = "shutdown";

/// The longest wait of a shutdown for aborted tasks. Only code that never waits needs it.
const ABORTED_WAIT: Duration = Duration::from_secs(1);

/// The health of a manager.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// True if a value below needs attention.
    pub degraded: bool,
    /// Tasks that run in this process.
    pub live: usize,
    /// Tasks that have ended, but whose end is not recorded: the ledger is busy, full or halted.
    pub unrecorded: Vec<TaskId>,
    /// Tasks that should have been dropped after their deadline, but whose code never waits.
    pub deaf: Vec<TaskId>,
    /// The number of recorded events that no owner was told of. They wait for room in the inbox of
    /// an owner, or for an inbox; or their inbox is no longer read and has no fallback.
    pub untold: usize,
}

/// The result of a shutdown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Tasks that stopped when they were asked to.
    pub stopped: usize,
    /// Tasks that were dropped, and are recorded as Cancelled.
    pub aborted: usize,
    /// Tasks that never waited, and so still run. The next opening finds them as orphans.
    pub deaf: Vec<TaskId>,
}

impl BackgroundTaskManager {
    /// The health of the manager. O(live tasks).
    ///
    /// # Example
    /// ```
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// assert!(!manager.health().degraded);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
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
    /// records their ends, and closes the ledger, also for other managers of it. Nothing can be
    /// spawned from its first poll on. News that waits for room stays in line for its reader.
    ///
    /// May be called more than once, at once or later, under any runtime or none. A task of this
    /// manager that calls it is not waited for: it is asked to stop like the others, and gets the
    /// answer when those have ended. The ledger is closed once that task has ended too, at the
    /// latest after `grace` more.
    ///
    /// # Durability
    /// `Ok` means that every recorded event survives loss of power, also with
    /// [`Durability::Interval`](crate::Durability).
    ///
    /// # Errors
    /// [`store::Error`] if the last sync of the ledger failed; it is closed even then.
    ///
    /// # Cancel safety
    /// If it is dropped, tasks have been asked to stop; call it again.
    ///
    /// # Cost
    /// One append for each thread that has live tasks. Takes at most `grace` and a second, the time
    /// to read the texts that are kept for later reads (64 MiB at most), and the closing of the
    /// ledger.
    ///
    /// # Example
    /// ```
    /// use taskledger::manager::TaskStatus;
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger).await?;
    /// # let parent = TaskParentContext::default();
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", parent, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// let report = manager.shutdown(std::time::Duration::from_secs(5)).await?;
    /// println!("{report:?}");
    /// assert_eq!(manager.get(&task).map(|task| task.status), Some(TaskStatus::Cancelled));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(
        self: &Arc<Self>,
        grace: Duration,
    ) -> Result<ShutdownReport, store::Error> {
        let me = self.task_of_caller();
        let is_other = |live: &&Arc<Live>| Some(&live.id) != me.as_ref();
        self.tracker.close();
        let live = self.table.close();
        let requests = self.begin_requests(&live).await;
        for live in &live {
            live.signal();
        }
        let asked: BTreeSet<TaskId> =
            live.iter().filter(is_other).map(|live| live.id.clone()).collect();
        drop(live);
        let stopped = async {
            self.finish_requests(requests).await;
            self.wait_for_ends(me.is_some()).await;
        };
        let mut report = ShutdownReport::default();
        let mut overdue = 0;
        if timeout(grace, stopped).await.is_none() {
            let mut left = self.table.all();
            left.retain(|live| is_other(&live) && !live.ended.load(Ordering::Acquire));
            report.aborted = left.len();
            overdue = left.iter().filter(|live| asked.contains(&live.id)).count();
            for live in &left {
                live.abort_after(grace);
            }
            drop(left);
            self.giving_up.cancel();
            let _ = timeout(ABORTED_WAIT, self.wait_for_ends(me.is_some())).await;
            report.deaf = deaf(&self.table.all());
            report.aborted = report.aborted.saturating_sub(report.deaf.len());
        }
        report.stopped = asked.len().saturating_sub(overdue);
        self.giving_up.cancel();
        match me {
            None => self.close_ledger().await?,
            Some(me) => self.close_ledger_after(me, grace).await?,
        }
        tracing::info!(
            stopped = report.stopped,
            aborted = report.aborted,
            deaf = report.deaf.len(),
            "task manager shut down"
        );
        Ok(report)
    }

    /// The task of this manager whose code is the caller, if it runs.
    fn task_of_caller(&self) -> Option<TaskId> {
        let cause = TaskLineage::current().cause(self.bound.get()?.ledger_id());
        cause.task.filter(|task| self.table.get(task.as_str()).is_some())
    }

    /// Waits until every task has ended, also those that are on their way, and the work beside them;
    /// or every task except the caller.
    async fn wait_for_ends(&self, one_asks: bool) {
        self.table.quiet(usize::from(one_asks)).await;
        if !one_asks {
            self.tracker.wait().await;
        }
    }

    /// Closes the ledger, and keeps the texts for later reads.
    async fn close_ledger(&self) -> Result<(), store::Error> {
        let Some(bound) = self.bound.get() else { return Ok(()) };
        let reader = bound.past.reader().clone();
        if let Some(kept) = blocking(move || worth_keeping(&reader)).await {
            bound.past.keep(kept);
        }
        bound.ledger.close().await
    }

    /// Makes all events durable, and closes the ledger when the calling task has ended.
    async fn close_ledger_after(
        self: &Arc<Self>,
        task: TaskId,
        grace: Duration,
    ) -> Result<(), store::Error> {
        let (Some(bound), Some(runtime)) = (self.bound.get(), Runtime::current()) else {
            return Ok(());
        };
        let ledger = bound.ledger.clone();
        let synced = blocking(move || ledger.sync_blocking()).await;
        let manager = Arc::clone(self);
        let closing = async move {
            if timeout(grace, manager.table.quiet(0)).await.is_none() {
                if let Some(live) = manager.table.get(task.as_str()) {
                    live.abort_after(grace);
                }
                let _ = timeout(ABORTED_WAIT, manager.table.quiet(0)).await;
            }
            if let Err(error) = manager.close_ledger().await {
                tracing::error!(%error, "a ledger was not closed as it should be");
            }
        };
        drop(runtime.spawn(&self.tracker, closing));
        match synced {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err(store::Error::Halted),
        }
    }

    /// Queues a request to stop these tasks. Each shutdown makes its own requests, since another one
    /// may not have come so far.
    async fn begin_requests(&self, live: &[Arc<Live>]) -> Vec<Asked> {
        let Some(bound) = self.bound.get() else { return Vec::new() };
        let mut threads: BTreeMap<ThreadId, Vec<TaskId>> = BTreeMap::new();
        for live in live {
            threads.entry(live.thread.clone()).or_default().push(live.id.clone());
        }
        let options = CancelOptions { reason: Some(SHUTDOWN.to_owned()), deadline: None };
        let request =
            |thread: &ThreadId| bound.request(CancelTarget::Thread(thread.clone()), &options);
        let threads: Vec<_> = threads.into_iter().collect();
        let mut begun = Vec::new();
        for batch in threads.chunks(bound.ledger.options().batch_events_max.max(1)) {
            let requests: Vec<Request> = batch.iter().map(|(thread, _)| request(thread)).collect();
            let proposals = requests.iter().map(Request::proposal).collect();
            let tasks = batch.iter().flat_map(|(_, tasks)| tasks.iter().cloned()).collect();
            begun.push(Asked {
                begun: record::begin(&bound.ledger, proposals).await,
                requests,
                tasks,
            });
        }
        begun
    }

    /// Waits until the requests are recorded, and tries those again that were refused for now.
    async fn finish_requests(&self, asked: Vec<Asked>) {
        let Some(bound) = self.bound.get() else { return };
        for Asked { begun, requests, tasks } in asked {
            if is_refused_for_now(begun).await {
                record_late(&bound.ledger, &requests, tasks, &self.giving_up).await;
            }
        }
    }
}

/// Requests of a shutdown on their way into the log, and the tasks that they are for.
struct Asked {
    begun: Begun,
    requests: Vec<Request>,
    tasks: Vec<TaskId>,
}

/// Tasks past their deadline whose code has not come to an end.
fn deaf(live: &[Arc<Live>]) -> Vec<TaskId> {
    live.iter().filter(|live| live.is_deaf()).map(|live| live.id.clone()).collect()
}
