//! The handles of the tasks that run in this process.
//!
//! A handle is in the table from the moment that its spawn is acknowledged until its end is; then
//! all of it goes, so that memory does not grow with the tasks that were. Every lock here is held
//! for one look-up and never across an await.

use super::inbox::InboxSender;
use crate::{
    ids::{TaskId, ThreadId},
    ledger::AppendError,
    sync::{Mutex, MutexGuard, Runtime, assert_no_lock_held},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What is held of one running task.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: TaskId,
    pub(super) thread: ThreadId,
    /// Asks it to stop.
    pub(super) token: CancellationToken,
    /// Stops it.
    pub(super) abort: CancellationToken,
    /// How long it was given to stop, once that has passed.
    pub(super) overdue: OnceLock<Duration>,
    /// Whether its code has come to an end, recorded or not.
    pub(super) ended: AtomicBool,
    /// What was asked of it goes here; `None` for a task that is not an agent.
    pub(super) inbox: Option<InboxSender>,
    /// Where its news goes: what was set when it was spawned.
    pub(super) owner_inbox: Option<InboxSender>,
    /// How its end was recorded.
    pub(super) end: watch::Sender<Option<Result<(), AppendError>>>,
    /// Where timers for it can run.
    pub(super) runtime: Runtime,
}

impl Live {
    /// Asks it to stop. Its code may go on at once, on this thread.
    pub(super) fn signal(&self) {
        assert_no_lock_held();
        self.token.cancel();
    }

    /// Stops it because it did not stop by itself.
    pub(super) fn abort_after(&self, waited: Duration) {
        let _ = self.overdue.set(waited);
        assert_no_lock_held();
        self.abort.cancel();
    }

    /// Tells those who wait for its end how it was recorded.
    pub(super) fn tell_end(&self, ended: Result<(), AppendError>) {
        assert_no_lock_held();
        self.end.send_replace(Some(ended));
    }

    /// Whether it was to be dropped, but its code never waits.
    pub(super) fn is_deaf(&self) -> bool {
        self.overdue.get().is_some() && !self.ended.load(Ordering::Acquire)
    }
}

/// The running tasks, and the ends that wait to be recorded.
#[derive(Debug, Default)]
pub(super) struct Table {
    inner: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    live: BTreeMap<TaskId, Arc<Live>>,
    /// Tasks whose end could not be recorded so far, or at all.
    unrecorded: BTreeMap<TaskId, AppendError>,
    /// Tasks on their way, running, or whose end waits to be told; and how many of the last kind.
    slots: usize,
    parked: usize,
    /// News that waits to be told, or never will be.
    untold: usize,
    closed: bool,
    /// Called when a place is free again.
    freed: Arc<Notify>,
}

/// Why there is no room for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSlot {
    Full,
    Closed,
}

/// A place for one task; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    table: Arc<Table>,
    parked: bool,
}

impl Slot {
    /// Its task has ended on the record, and only its news keeps the place.
    pub(super) fn park(mut self) -> Self {
        self.parked = true;
        self.table.rows().parked += 1;
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let freed = {
            let mut rows = self.table.rows();
            rows.slots = rows.slots.saturating_sub(1);
            rows.parked = rows.parked.saturating_sub(usize::from(self.parked));
            Arc::clone(&rows.freed)
        };
        assert_no_lock_held();
        freed.notify_waiters();
    }
}

/// News that waits to be told, until this is dropped.
pub(super) struct Untold {
    table: Arc<Table>,
    for_good: bool,
}

impl Untold {
    /// It will never be told, and stays counted.
    pub(super) fn for_good(mut self) {
        self.for_good = true;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if !self.for_good {
            let mut rows = self.table.rows();
            rows.untold = rows.untold.saturating_sub(1);
        }
    }
}

impl Table {
    pub(super) fn slot(self: &Arc<Self>, tasks_max: usize) -> Result<Slot, NoSlot> {
        let mut rows = self.rows();
        if rows.closed {
            return Err(NoSlot::Closed);
        }
        if rows.slots >= tasks_max {
            return Err(NoSlot::Full);
        }
        rows.slots += 1;
        drop(rows);
        Ok(Slot { table: Arc::clone(self), parked: false })
    }

    /// Gives no more slots. Every task that is live, or comes to be, is to be asked to stop: a handle
    /// that comes later finds the table closed.
    pub(super) fn close(&self) -> Vec<Arc<Live>> {
        let mut rows = self.rows();
        rows.closed = true;
        rows.live.values().cloned().collect()
    }

    /// Takes a handle in. Calls nobody.
    pub(super) fn enter(&self, live: &Arc<Live>) {
        self.rows().live.insert(live.id.clone(), Arc::clone(live));
    }

    /// Whether no more slots are given.
    pub(super) fn is_closed(&self) -> bool {
        self.rows().closed
    }

    /// Waits until at most so many places are taken by tasks that run or are on their way.
    pub(super) async fn quiet(&self, tasks_max: usize) {
        loop {
            let freed = Arc::clone(&self.rows().freed);
            let freed = freed.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            let running = {
                let rows = self.rows();
                rows.slots.saturating_sub(rows.parked)
            };
            if running <= tasks_max {
                return;
            }
            freed.await;
        }
    }

    pub(super) fn leave(&self, id: &TaskId) {
        let gone = self.rows().live.remove(id);
        drop(gone); // outside of the lock: senders and tokens go with it
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Live>> {
        self.rows().live.get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.rows().live.values().cloned().collect()
    }

    /// Counts news that waits to be told.
    pub(super) fn wait_to_tell(self: &Arc<Self>) -> Untold {
        self.rows().untold += 1;
        Untold { table: Arc::clone(self), for_good: false }
    }

    pub(super) fn untold(&self) -> usize {
        self.rows().untold
    }

    pub(super) fn note_unrecorded(&self, id: &TaskId, error: AppendError) {
        self.rows().unrecorded.insert(id.clone(), error);
    }

    pub(super) fn note_recorded(&self, id: &TaskId) {
        self.rows().unrecorded.remove(id);
    }

    pub(super) fn unrecorded(&self, id: &str) -> Option<AppendError> {
        self.rows().unrecorded.get(id).cloned()
    }

    /// Tasks whose end is not on the record. `recorded` says of which it is by now: somebody else
    /// may have recorded one, or an append whose answer nobody waited for.
    pub(super) fn all_unrecorded(&self, recorded: impl Fn(&TaskId) -> bool) -> Vec<TaskId> {
        let mut rows = self.rows();
        rows.unrecorded.retain(|id, _| !recorded(id));
        rows.unrecorded.keys().cloned().collect()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
