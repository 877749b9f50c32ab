//! Cancelling tasks: a request is recorded and signalled, and a task that does not stop is dropped.
//!
//! The request is in the queue of the ledger before the signal is given, so it is in the log before
//! the end that it causes. The signal does not depend on the record: a request that cannot be
//! recorded at once is tried again in the background, and names each task that has ended meanwhile.
//! A cancelled tree or run stays cancelled, which is a rule of the ledger. A task that was recorded
//! before the request has its handle before the request can be seen, and a second look finds it.

use super::{
    BackgroundTaskManager, Bound,
    live::Live,
    record,
    request::{Request, is_refused_for_now, record_late},
    tree::subtree,
};
use crate::{
    command::{Cancel, CancelTarget},
    ids::{RunId, Seq, TaskId, ThreadId},
    state::LedgerState,
    sync::{Instant, Runtime, sleep_until},
};
use std::{borrow::Borrow, collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// Options of a cancel request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelOptions {
    /// The reason; recorded. A reason that is too long for the ledger is cut, and says so.
    pub reason: Option<String>,
    /// The time that the task has to stop. After that it is dropped at its next wait, and recorded
    /// as Cancelled with `did not stop within {d}`. Code that never waits cannot be dropped:
    /// [`health`](BackgroundTaskManager::health) names it.
    pub deadline: Option<Duration>,
}

impl BackgroundTaskManager {
    /// Asks a task to stop. `false` if no live task of this process has the id.
    ///
    /// Does not wait for it to stop; [`wait`](Self::wait) does. A task that still returns a success
    /// is Completed.
    ///
    /// # Durability
    /// When it returns, the request is recorded. If it could not be recorded, the task was
    /// signalled nevertheless, a warning is logged, and a request that was refused for a passing
    /// cause (a full disk) is tried again.
    ///
    /// # Cancel safety
    /// The task is signalled at the first poll. If it is dropped after that, the request may be
    /// recorded.
    ///
    /// # Cost
    /// One append.
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
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", parent, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// assert!(manager.cancel(&task).await);
    /// assert_eq!(manager.wait(&task).await?.status, taskledger::manager::TaskStatus::Cancelled);
    /// assert!(!manager.cancel(&task).await, "it does not run any more");
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel(&self, id: &(impl Borrow<str> + ?Sized)) -> bool {
        self.cancel_with(id, CancelOptions::default()).await
    }

    /// Like [`cancel`](Self::cancel), with a reason, and a deadline after which the task is
    /// stopped.
    ///
    /// # Durability
    /// As [`cancel`](Self::cancel).
    ///
    /// # Cancel safety
    /// As [`cancel`](Self::cancel). The deadline holds from the first poll on.
    ///
    /// # Cost
    /// One append, and a timer until the task has ended.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use taskledger::manager::CancelOptions;
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
    /// let options = CancelOptions {
    ///     reason: Some("no longer needed".into()),
    ///     deadline: Some(Duration::from_secs(2)), // then it is stopped
    /// };
    /// assert!(manager.cancel_with(&task, options).await);
    /// manager.wait(&task).await?;
    /// let request = manager.view(&task)?.and_then(|view| view.cancel).ok_or("it is on the record")?;
    /// assert_eq!(request.reason.as_deref(), Some("no longer needed"));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel_with(
        &self,
        id: &(impl Borrow<str> + ?Sized),
        options: CancelOptions,
    ) -> bool {
        let Some(bound) = self.bound.get() else { return false };
        let Some(live) = self.running(&bound.state(), id.borrow()) else { return false };
        let request = bound.request(CancelTarget::Task((&live.id).into()), &options);
        self.ask(bound, &request, &[live]).await;
        true
    }

    /// Asks a task and all its descendants to stop, in any thread, also those below a task that has
    /// ended. Returns the number of live tasks that were signalled; 0 if the root is unknown. From
    /// then on nothing can be spawned in the tree.
    ///
    /// # Durability
    /// As [`cancel`](Self::cancel). A request that could not be recorded does not prevent later
    /// spawns.
    ///
    /// Tasks that another manager of this ledger runs are not signalled: each manager signals its
    /// own. The ban on spawns holds for all.
    ///
    /// # Cancel safety
    /// Once polled, it goes on even if it is dropped.
    ///
    /// # Cost
    /// O(subtree), and one append.
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
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", parent, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// assert_eq!(manager.cancel_tree(&task).await, 1);
    /// let below = TaskParentContext { task_id: Some(task.to_string()), ..Default::default() };
    /// let late = manager.spawn("session-1", "late", None, "", below, async |_| TaskResult::Cancelled);
    /// assert!(late.await.is_err(), "nothing starts below a tree that was cancelled");
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel_tree(self: &Arc<Self>, id: &(impl Borrow<str> + ?Sized)) -> usize {
        self.cancel_tree_with(id, CancelOptions::default()).await
    }

    /// Like [`cancel_tree`](Self::cancel_tree), with a reason, and a deadline after which each task
    /// is stopped.
    ///
    /// # Durability
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cancel safety
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cost
    /// As [`cancel_tree`](Self::cancel_tree), and a timer for each task until it has ended.
    pub async fn cancel_tree_with(
        self: &Arc<Self>,
        id: &(impl Borrow<str> + ?Sized),
        options: CancelOptions,
    ) -> usize {
        let Some(bound) = self.bound.get() else { return 0 };
        let Ok(root) = TaskId::new(id.borrow()) else { return 0 };
        if bound.state().task(&root).is_none() {
            return 0;
        }
        let request = bound.request(CancelTarget::Tree((&root).into()), &options);
        self.sweep(request, move |state| subtree(state, std::slice::from_ref(&root))).await
    }

    /// Asks the live tasks of a thread to stop. Returns the number of tasks that were signalled.
    ///
    /// # Durability
    /// As [`cancel`](Self::cancel).
    ///
    /// # Cancel safety
    /// They are signalled at the first poll. If it is dropped after that, the request may be
    /// recorded. Tasks that are spawned meanwhile are not signalled.
    ///
    /// # Cost
    /// O(live tasks), and one append if there are any in the thread.
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
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", parent, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// assert_eq!(manager.cancel_all("session-1").await, 1);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel_all(&self, thread: &str) -> usize {
        self.cancel_all_with(thread, CancelOptions::default()).await
    }

    /// Like [`cancel_all`](Self::cancel_all), with a reason, and a deadline after which each task
    /// is stopped.
    ///
    /// # Durability
    /// As [`cancel_all`](Self::cancel_all).
    ///
    /// # Cancel safety
    /// As [`cancel_all`](Self::cancel_all).
    ///
    /// # Cost
    /// As [`cancel_all`](Self::cancel_all), and a timer for each task until it has ended.
    pub async fn cancel_all_with(&self, thread: &str, options: CancelOptions) -> usize {
        let Some(bound) = self.bound.get() else { return 0 };
        let Ok(thread) = ThreadId::new(thread) else { return 0 };
        let live: Vec<_> = {
            let state = bound.state();
            let all = self.table.all().into_iter();
            all.filter(|live| live.thread == thread && !has_ended(&state, &live.id)).collect()
        };
        if !live.is_empty() {
            let request = bound.request(CancelTarget::Thread(thread), &options);
            self.ask(bound, &request, &live).await;
        }
        live.len()
    }

    /// Asks every tree to stop whose root this run spawned, and not a task of this ledger. Returns
    /// the number of live tasks that were signalled. From then on the run can spawn nothing.
    ///
    /// # Durability
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cancel safety
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cost
    /// O(tasks of the run and below), and one append.
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
    /// let of_run = TaskParentContext { run_id: Some("run-7".into()), ..Default::default() };
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", of_run, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// assert_eq!(manager.cancel_descendants_for_run("run-7").await, 1);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel_descendants_for_run(self: &Arc<Self>, run: &str) -> usize {
        self.cancel_descendants_for_run_with(run, CancelOptions::default()).await
    }

    /// Like [`cancel_descendants_for_run`](Self::cancel_descendants_for_run), with a reason, and a
    /// deadline after which each task is stopped.
    ///
    /// # Durability
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cancel safety
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cost
    /// As [`cancel_descendants_for_run`](Self::cancel_descendants_for_run), and a timer for each
    /// task until it has ended.
    pub async fn cancel_descendants_for_run_with(
        self: &Arc<Self>,
        run: &str,
        options: CancelOptions,
    ) -> usize {
        // Spaces around a run do not count, unless it consists of spaces.
        let text = if run.trim().is_empty() { run } else { run.trim() };
        let (Ok(run), Some(bound)) = (RunId::new(text), self.bound.get()) else { return 0 };
        let request = bound.request(CancelTarget::Run(run.clone()), &options);
        self.sweep(request, move |state| below_run(state, &run)).await
    }

    /// Signals the tasks that a request names which is on the record already, as the event `seq`: one
    /// that did not come by this manager, but through a server. Returns the number of live tasks that
    /// were signalled. Records nothing.
    ///
    /// Tasks that began after the request are not signalled. The request's deadline holds as that of
    /// [`cancel_with`](Self::cancel_with) does. A task that is named by its place in a batch is none
    /// of this manager.
    ///
    /// # Cost
    /// O(tasks that the request reaches).
    ///
    /// # Example
    /// ```
    /// use taskledger::command::Cancel;
    /// # use serde_json::json;
    /// # use taskledger::{BackgroundTaskManager, Ledger, Options};
    /// # use taskledger::manager::{TaskParentContext, TaskResult};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ledger = Ledger::in_memory(Options::default())?;
    /// # let manager = BackgroundTaskManager::with_ledger(ledger.clone()).await?;
    /// # let parent = TaskParentContext::default();
    /// let task = manager
    ///     .spawn("session-1", "watch", None, "", parent, async |context| {
    ///         context.cancelled().await;
    ///         TaskResult::Cancelled
    ///     })
    ///     .await?;
    /// let request = Cancel::task(&task).reason("asked for from elsewhere");
    /// let receipts = ledger.append(request.clone()).await?;
    /// assert_eq!(manager.signal_recorded(&request, receipts[0].seq), 1);
    /// assert_eq!(manager.wait(&task).await?.status, taskledger::manager::TaskStatus::Cancelled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn signal_recorded(&self, request: &Cancel, seq: Seq) -> usize {
        let Some(bound) = self.bound.get() else { return 0 };
        let state = bound.state();
        let ids: Vec<TaskId> = match &request.target {
            CancelTarget::Task(task) => task.id().cloned().into_iter().collect(),
            CancelTarget::Tree(root) => root
                .id()
                .map(|root| subtree(&state, std::slice::from_ref(root)))
                .unwrap_or_default(),
            CancelTarget::Thread(thread) => {
                let all = self.table.all().into_iter().filter(|live| live.thread == *thread);
                all.map(|live| live.id.clone()).collect()
            }
            CancelTarget::Run(run) => below_run(&state, run),
        };
        let now = bound.ledger.options().clock.now();
        let patience = request.deadline.map(|at| Duration::from_millis(at.0.saturating_sub(now.0)));
        let named = ids.iter().filter(|id| state.task(id).is_some_and(|task| task.first_seq < seq));
        let live: Vec<_> = named.filter_map(|id| self.running(&state, id.as_str())).collect();
        for live in &live {
            self.signal(live, patience);
        }
        live.len()
    }

    /// Records a request and signals these tasks, in this order.
    async fn ask(&self, bound: &Bound, request: &Request, live: &[Arc<Live>]) {
        let begun = record::begin(&bound.ledger, vec![request.proposal()]).await;
        for live in live {
            self.signal(live, request.patience);
        }
        if is_refused_for_now(begun).await {
            let ids = live.iter().map(|live| live.id.clone()).collect();
            self.try_again(bound, request.clone(), ids, live.first(), || {});
        }
    }

    /// Records, signals, and signals again the tasks that came between.
    async fn sweep(
        self: &Arc<Self>,
        request: Request,
        subtree: impl Fn(&LedgerState) -> Vec<TaskId> + Send + Sync + 'static,
    ) -> usize {
        let manager = Arc::clone(self);
        let work = async move {
            let Some(bound) = manager.bound.get() else { return 0 };
            let begun = record::begin(&bound.ledger, vec![request.proposal()]).await;
            let mut signalled = BTreeMap::new();
            manager.signal_each(&subtree, request.patience, &mut signalled);
            let late = is_refused_for_now(begun).await;
            manager.signal_each(&subtree, request.patience, &mut signalled);
            if late {
                // A spawn before the mark is recorded will not be refused.
                let (again, patience) = (Arc::clone(&manager), request.patience);
                let any = signalled.values().next().cloned();
                let ids = signalled.keys().cloned().collect();
                manager.try_again(bound, request, ids, any.as_ref(), move || {
                    again.signal_each(&subtree, patience, &mut BTreeMap::new());
                });
            }
            signalled.len()
        };
        self.to_the_end(work).await.unwrap_or(0)
    }

    fn signal_each(
        &self,
        subtree: impl Fn(&LedgerState) -> Vec<TaskId>,
        patience: Option<Duration>,
        signalled: &mut BTreeMap<TaskId, Arc<Live>>,
    ) {
        let Some(bound) = self.bound.get() else { return };
        let state = bound.state();
        for id in subtree(&state) {
            if let Some(live) = self.running(&state, id.as_str()) {
                if !signalled.contains_key(&id) {
                    self.signal(&live, patience);
                }
                signalled.insert(id, live);
            }
        }
    }

    fn signal(&self, live: &Arc<Live>, patience: Option<Duration>) {
        live.signal();
        if let Some(patience) = patience {
            stop_after(&self.tracker, live, patience);
        }
    }

    /// The handle of a task that has not ended.
    fn running(&self, state: &LedgerState, id: &str) -> Option<Arc<Live>> {
        self.table.get(id).filter(|live| !has_ended(state, &live.id))
    }

    /// Records a request that was refused for now, in the background.
    fn try_again(
        &self,
        bound: &Bound,
        request: Request,
        signalled: Vec<TaskId>,
        any: Option<&Arc<Live>>,
        then: impl FnOnce() + Send + 'static,
    ) {
        let runtime = Runtime::current().or_else(|| any.map(|live| live.runtime.clone()));
        let Some(runtime) = runtime else { return };
        let (ledger, giving_up) = (bound.ledger.clone(), self.giving_up.clone());
        let again = async move {
            if record_late(&ledger, &[request], signalled, &giving_up).await {
                then();
            }
        };
        drop(runtime.spawn(&self.tracker, again));
    }
}

/// Stops a task if it has not ended when `deadline` is over.
pub(super) fn stop_after(tracker: &TaskTracker, live: &Arc<Live>, deadline: Duration) {
    // The deadline counts from the call, however late the timer is polled first. A time beyond
    // the range is no deadline.
    let Some(until) = Instant::now().checked_add(deadline) else { return };
    // Not the handle itself: that would keep the inbox of an agent open.
    let (handle, mut end) = (Arc::downgrade(live), live.end.subscribe());
    let patience = async move {
        tokio::select! {
            biased;
            () = sleep_until(until) => {
                if let Some(live) = handle.upgrade() {
                    live.abort_after(deadline);
                }
            }
            _ = end.wait_for(Option::is_some) => {}
        }
    };
    drop(live.runtime.spawn(tracker, patience));
}

/// The trees whose roots a run spawned, and no task of this ledger.
fn below_run(state: &LedgerState, run: &RunId) -> Vec<TaskId> {
    let roots = state.tasks_of_run(run).filter(|task| task.record.is_root());
    subtree(state, &roots.map(|task| task.id.clone()).collect::<Vec<_>>())
}

/// Says whether a task is known to have ended. A task whose spawn is not published yet has not.
pub(super) fn has_ended(state: &LedgerState, id: &TaskId) -> bool {
    state.task(id).is_some_and(|task| task.status.is_terminal())
}
