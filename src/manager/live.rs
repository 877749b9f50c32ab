//! The handles of the tasks that run in this process.
//!
//! A handle is in the table from the moment that its spawn is acknowledged until its end is; then
//! all of it goes, so that memory does not grow with the tasks that were. Every lock here is held
//! for one look-up and never across an await.

use super::inbox::InboxSender;
use crate::{
    ids::{TaskId, ThreadId},
    ledger::AppendError,
    sync::{Mutex, MutexGuard, Runtime},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, PoisonError,
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
    pub(super) runtime: Runtime,
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
    /// Tasks on their way, running, or whose end waits to be told.
    slots: usize,
    /// Tasks whose recorded end waits for room in an inbox.
    untold: usize,
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

/// An end that waits to be told, until this is dropped.
#[derive(Debug)]
pub(super) struct Untold<'t>(&'t Table);

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        let mut rows = self.0.rows();
        rows.untold = rows.untold.saturating_sub(1);
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

    /// Gives no more slots. Every task that is live, or comes to be, is to be asked to stop.
    pub(super) fn close(&self) -> Vec<Arc<Live>> {
        let mut rows = self.rows();
        rows.closed = true;
        rows.live.values().cloned().collect()
    }

    /// Takes a handle in. One that was on its way while the table was closed is asked to stop,
    /// since whoever closed it did not see it.
    pub(super) fn enter(&self, live: &Arc<Live>) {
        let mut rows = self.rows();
        rows.live.insert(live.id.clone(), Arc::clone(live));
        let closed = rows.closed;
        drop(rows);
        if closed {
            live.token.cancel();
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

    /// Counts an end that waits to be told.
    pub(super) fn wait_to_tell(&self) -> Untold<'_> {
        self.rows().untold += 1;
        Untold(self)
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
