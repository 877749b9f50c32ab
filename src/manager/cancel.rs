//! Asking tasks to stop: signalled first, recorded next, looked for again, and after a deadline
//! stopped.
//!
//! The signal does not depend on the record. A tree or a run that was cancelled stays cancelled,
//! which is a rule of the ledger; a spawn that was recorded before the request is signalled either
//! by the second look here or by its own look at the marks, since it registers before it looks and
//! the request is published before the second look. A request that cannot be recorded at once is
//! tried again in the background, and then there is one more look.

use super::{BackgroundTaskManager, Bound, TaskLineage, live::Live, record, tree::subtree};
use crate::{
    command::{Cancel, Command, Proposal},
    event::{CancelScope, Cause},
    ids::{RunId, TaskId, ThreadId},
    ledger::AppendError,
    metrics,
    state::{LedgerState, Rejection},
    sync::{Instant, Runtime, sleep_until},
    time::Millis,
};
use std::{borrow::Borrow, collections::BTreeSet, sync::Arc, time::Duration};

/// How a task is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancelOptions {
    /// Why; recorded.
    pub reason: Option<String>,
    /// How long it is given. After that it is dropped where it waits, and recorded as Cancelled
    /// with `did not stop within {d}`. Code that never waits cannot be dropped:
    /// [`health`](BackgroundTaskManager::health) names it.
    pub deadline: Option<Duration>,
}

impl BackgroundTaskManager {
    /// Asks a task to stop. `false` if no live task of this process has the id.
    ///
    /// Does not wait for it to stop; that is [`wait`](Self::wait). A task that returns a success
    /// all the same is Completed.
    ///
    /// # Durability
    /// When it returns, the request is recorded. If it could not be, the task was signalled
    /// nevertheless, a warning is logged, and what can pass (a full disk) is tried again.
    ///
    /// # Cancel safety
    /// The task is signalled at the first poll; dropped after that, the request may be recorded.
    ///
    /// # Cost
    /// One append.
    pub async fn cancel(&self, id: &(impl Borrow<str> + ?Sized)) -> bool {
        self.cancel_with(id, CancelOptions::default()).await
    }

    /// As [`cancel`](Self::cancel), with a reason, and a deadline after which it is stopped.
    ///
    /// # Cancel safety
    /// As [`cancel`](Self::cancel). The deadline holds from the first poll on.
    ///
    /// # Cost
    /// One append, and a timer until the task has ended.
    pub async fn cancel_with(
        &self,
        id: &(impl Borrow<str> + ?Sized),
        options: CancelOptions,
    ) -> bool {
        let Some(bound) = self.bound.get() else { return false };
        let Some(live) = self.running(&bound.state(), id.borrow()) else { return false };
        live.token.cancel();
        if let Some(deadline) = options.deadline {
            self.stop_after(&live, deadline);
        }
        let now = bound.ledger.options().clock.now();
        let at = |wait: Duration| {
            Millis(now.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
        };
        let request = Cancel {
            scope: CancelScope::Task,
            task: Some(live.id.clone()),
            thread: None,
            deadline: options.deadline.map(at),
            reason: options.reason.map(Into::into),
        };
        self.record_or_try_again(bound, request).await;
        true
    }

    /// Asks a task and all its descendants to stop, in whatever thread, also those below a task
    /// that has ended. How many live tasks were signalled; 0 if the root is unknown. From then on
    /// nothing can be spawned there.
    ///
    /// # Durability
    /// As [`cancel`](Self::cancel). A request that could not be recorded closes nothing to later
    /// spawns.
    ///
    /// Tasks that another manager of this ledger runs are not signalled: each manager signals its
    /// own. That nothing can be spawned holds for all.
    ///
    /// # Cancel safety
    /// Once polled, it goes on even if it is dropped.
    ///
    /// # Cost
    /// O(subtree), and one append.
    pub async fn cancel_tree(self: &Arc<Self>, id: &(impl Borrow<str> + ?Sized)) -> usize {
        let Some(bound) = self.bound.get() else { return 0 };
        let Ok(root) = TaskId::new(id.borrow()) else { return 0 };
        if bound.state().task(&root).is_none() {
            return 0;
        }
        let request = Cancel {
            scope: CancelScope::Tree,
            task: Some(root.clone()),
            thread: None,
            deadline: None,
            reason: None,
        };
        self.sweep(request, move |state| subtree(state, std::slice::from_ref(&root))).await
    }

    /// Asks the live tasks of a thread to stop. How many were signalled.
    ///
    /// # Cancel safety
    /// They are signalled at the first poll; dropped after that, the request may be recorded. What
    /// is spawned meanwhile is not signalled.
    ///
    /// # Cost
    /// O(live tasks), and one append if there are any in the thread.
    pub async fn cancel_all(&self, thread: &str) -> usize {
        let Some(bound) = self.bound.get() else { return 0 };
        let Ok(thread) = ThreadId::new(thread) else { return 0 };
        let live: Vec<_> = {
            let state = bound.state();
            let all = self.table.all().into_iter();
            all.filter(|live| live.thread == thread && !has_ended(&state, &live.id)).collect()
        };
        for live in &live {
            live.token.cancel();
        }
        if !live.is_empty() {
            self.record_or_try_again(bound, of_thread(thread, None)).await;
        }
        live.len()
    }

    /// Asks every tree to stop whose root was spawned by this run, and not by a task. How many
    /// live tasks were signalled. From then on the run can spawn nothing.
    ///
    /// # Cancel safety
    /// As [`cancel_tree`](Self::cancel_tree).
    ///
    /// # Cost
    /// O(tasks of the run and below), and one append.
    pub async fn cancel_descendants_for_run(self: &Arc<Self>, run: &str) -> usize {
        let Ok(run) = RunId::new(run.trim()) else { return 0 };
        if self.bound.get().is_none() {
            return 0;
        }
        let request = Cancel {
            scope: CancelScope::Run(run.clone()),
            task: None,
            thread: None,
            deadline: None,
            reason: None,
        };
        self.sweep(request, move |state| {
            let roots = state.tasks_of_run(&run).filter(|task| task.record.parent.is_none());
            subtree(state, &roots.map(|task| task.id.clone()).collect::<Vec<_>>())
        })
        .await
    }

    /// Signals, records, and signals again what came between.
    async fn sweep(
        self: &Arc<Self>,
        request: Cancel,
        subtree: impl Fn(&LedgerState) -> Vec<TaskId> + Send + Sync + 'static,
    ) -> usize {
        let manager = Arc::clone(self);
        let work = async move {
            let Some(bound) = manager.bound.get() else { return 0 };
            let mut signalled = BTreeSet::new();
            manager.signal(&subtree, &mut signalled);
            let recorded = manager.record_cancel(bound, request).await;
            manager.signal(&subtree, &mut signalled);
            if let Err(later) = recorded {
                // What is spawned until the mark is there will not be refused.
                let again = Arc::clone(&manager);
                manager.try_again(bound, later, move || {
                    again.signal(&subtree, &mut BTreeSet::new());
                });
            }
            signalled.len()
        };
        self.to_the_end(work).await.unwrap_or(0)
    }

    fn signal(
        &self,
        subtree: impl Fn(&LedgerState) -> Vec<TaskId>,
        signalled: &mut BTreeSet<TaskId>,
    ) {
        let Some(bound) = self.bound.get() else { return };
        let state = bound.state();
        for id in subtree(&state) {
            if let Some(live) = self.running(&state, id.as_str()) {
                live.token.cancel();
                signalled.insert(id);
            }
        }
    }

    /// Whether a task that has its handle by now stands under a mark that was set while it was
    /// on its way.
    pub(super) fn was_cancelled_meanwhile(&self, id: &TaskId) -> bool {
        let Some(bound) = self.bound.get() else { return false };
        let state = bound.state();
        let Some(task) = state.task(id) else { return false };
        let run = task.record.run.as_ref();
        if run.is_some_and(|run| state.run_mark(run).is_some()) {
            return true;
        }
        std::iter::once(task).chain(state.ancestors(id)).any(|above| {
            let root_run = above.record.run.as_ref().filter(|_| above.record.parent.is_none());
            above.tree_cancel_seq.is_some()
                || root_run.is_some_and(|run| state.run_mark(run).is_some())
        })
    }

    /// The handle of a task that has not ended.
    fn running(&self, state: &LedgerState, id: &str) -> Option<Arc<Live>> {
        self.table.get(id).filter(|live| !has_ended(state, &live.id))
    }

    fn stop_after(&self, live: &Arc<Live>, deadline: Duration) {
        // From now on, whenever the timer is polled first. A time past the end of all is no
        // deadline.
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
        drop(live.runtime.spawn(&self.tracker, patience));
    }

    /// Records a request, now or later.
    async fn record_or_try_again(&self, bound: &Bound, request: Cancel) {
        if let Err(later) = self.record_cancel(bound, request).await {
            self.try_again(bound, later, || {});
        }
    }

    /// Records a request. The tasks have been signalled, so a refusal is not the caller's. What
    /// was refused for now comes back, to be tried again.
    async fn record_cancel(&self, bound: &Bound, request: Cancel) -> Result<(), Box<Proposal>> {
        let cause: Cause = TaskLineage::current().cause(bound.ledger_id());
        let proposal = Proposal { cause, ..Proposal::new(Command::Cancel(request)) };
        let Err(error) = record::once(&bound.ledger, proposal.clone()).await else { return Ok(()) };
        if let AppendError::Rejected(Rejection::AlreadyEnded { .. }) = error {
            return Ok(()); // it ended by itself in the meantime
        }
        tell_unrecorded(&error);
        if error.is_retryable() { Err(Box::new(proposal)) } else { Ok(()) }
    }

    /// Records a request that was refused for now, and then does what is to be done.
    fn try_again(
        &self,
        bound: &Bound,
        proposal: Box<Proposal>,
        then: impl FnOnce() + Send + 'static,
    ) {
        let Some(runtime) = Runtime::current() else { return };
        let (ledger, giving_up) = (bound.ledger.clone(), self.giving_up.clone());
        let again = async move {
            match record::persistently(&ledger, &proposal, &giving_up, |_| {}).await {
                Ok(_) => then(),
                Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => {}
                Err(error) => tracing::warn!(%error, "a cancel request stays unrecorded"),
            }
        };
        drop(runtime.spawn(&self.tracker, again));
    }
}

pub(super) fn tell_unrecorded(error: &AppendError) {
    metrics::count(metrics::CANCELS_UNRECORDED);
    tracing::warn!(%error, "a cancel request was signalled, but could not be recorded");
}

pub(super) fn of_thread(thread: ThreadId, reason: Option<&str>) -> Cancel {
    Cancel {
        scope: CancelScope::Thread,
        task: None,
        thread: Some(thread),
        deadline: None,
        reason: reason.map(Into::into),
    }
}

pub(super) fn has_ended(state: &LedgerState, id: &TaskId) -> bool {
    state.task(id).is_none_or(|task| task.status.is_terminal())
}
