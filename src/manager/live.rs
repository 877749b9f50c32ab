//! The handles of the tasks that run in this process.
//!
//! A handle is in the table from the acknowledgement of its spawn until that of its end. Then all
//! of it is dropped, so that memory does not grow with ended tasks. Every lock here is held for one
//! look-up and never across an await.

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

/// The handle of one running task.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: TaskId,
    pub(super) thread: ThreadId,
    /// Asks the task to stop.
    pub(super) token: CancellationToken,
    /// Stops the task.
    pub(super) abort: CancellationToken,
    /// The time that it had to stop, once that has passed.
    pub(super) overdue: OnceLock<Duration>,
    /// True if its code has ended, recorded or not.
    pub(super) ended: AtomicBool,
    /// The inbox of an agent; `None` for another task.
    pub(super) inbox: Option<InboxSender>,
    /// The inbox for its news: the owner's inbox at the time of its spawn.
    pub(super) owner_inbox: Option<InboxSender>,
    /// The result of recording its end.
    pub(super) end: watch::Sender<Option<Result<(), AppendError>>>,
    /// The runtime for its timers.
    pub(super) runtime: Runtime,
}

impl Live {
    /// Asks the task to stop. Its code may continue at once, on this thread.
    pub(super) fn signal(&self) {
        assert_no_lock_held();
        self.token.cancel();
    }

    /// Stops the task, since it did not stop by itself.
    pub(super) fn abort_after(&self, waited: Duration) {
        let _ = self.overdue.set(waited);
        assert_no_lock_held();
        self.abort.cancel();
    }

    /// Tells code that waits for the end how it was recorded.
    pub(super) fn tell_end(&self, ended: Result<(), AppendError>) {
        assert_no_lock_held();
        self.end.send_replace(Some(ended));
    }

    /// Says whether it should have been dropped, but its code never waits.
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
    /// The places taken by tasks on their way, running, or with an end that waits to be sent; and
    /// the number of the last kind.
    slots: usize,
    parked: usize,
    /// The number of news that wait to be sent, or never will be.
    untold: usize,
    closed: bool,
    /// Notified when a place is free again.
    freed: Arc<Notify>,
}

/// The reason that there is no place for a task.
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
    /// Its task has ended in the log, and only its news keeps the place.
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

/// Counts news that waits to be sent, until this is dropped.
pub(super) struct Untold {
    table: Arc<Table>,
    for_good: bool,
}

impl Untold {
    /// Keeps the count: the news will never be sent.
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

    /// Gives no more places, and returns the live tasks, which the caller asks to stop. A later
    /// handle finds the table closed.
    pub(super) fn close(&self) -> Vec<Arc<Live>> {
        let mut rows = self.rows();
        rows.closed = true;
        rows.live.values().cloned().collect()
    }

    /// Takes a handle in. Calls no foreign code.
    pub(super) fn enter(&self, live: &Arc<Live>) {
        self.rows().live.insert(live.id.clone(), Arc::clone(live));
    }

    /// Says whether no more places are given.
    pub(super) fn is_closed(&self) -> bool {
        self.rows().closed
    }

    /// Waits until tasks that run or are on their way take at most so many places.
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

    /// Counts news that waits to be sent.
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

    /// Tasks whose end is not recorded. `recorded` says for each whether it is recorded by now: by
    /// other code, or by an append whose answer was not awaited.
    pub(super) fn all_unrecorded(&self, recorded: impl Fn(&TaskId) -> bool) -> Vec<TaskId> {
        let mut rows = self.rows();
        rows.unrecorded.retain(|id, _| !recorded(id));
        rows.unrecorded.keys().cloned().collect()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
