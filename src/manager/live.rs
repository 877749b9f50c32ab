//! The handles of the tasks that run in this process.
//!
//! A handle is in the table from the moment that its spawn is acknowledged until its end is; then
//! all of it goes, so that memory does not grow with the tasks that were. Every lock here is held
//! for one look-up and never across an await.

use super::inbox::InboxSender;
use crate::{
    ids::{TaskId, ThreadId},
    ledger::AppendError,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
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
    /// How its end was recorded.
    pub(super) end: watch::Sender<Option<Result<(), AppendError>>>,
    /// Where timers for it can run.
    pub(super) runtime: tokio::runtime::Handle,
}

impl Live {
    /// Stops it because it did not stop by itself.
    pub(super) fn abort_after(&self, waited: Duration) {
        let _ = self.overdue.set(waited);
        self.abort.cancel();
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
    /// Tasks that run or whose end waits to be told.
    slots: usize,
    closed: bool,
}

/// Why there is no room for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSlot {
    Full,
    Closed,
}

/// A place for one task; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Table>);

impl Drop for Slot {
    fn drop(&mut self) {
        let mut rows = self.0.rows();
        rows.slots = rows.slots.saturating_sub(1);
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
        Ok(Slot(Arc::clone(self)))
    }

    /// Gives no more slots.
    pub(super) fn close(&self) {
        self.rows().closed = true;
    }

    pub(super) fn enter(&self, live: &Arc<Live>) {
        self.rows().live.insert(live.id.clone(), Arc::clone(live));
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

    pub(super) fn slots(&self) -> usize {
        self.rows().slots
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

    pub(super) fn all_unrecorded(&self) -> Vec<TaskId> {
        self.rows().unrecorded.keys().cloned().collect()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
