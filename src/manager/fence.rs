//! The end of a manager whose ledger was fenced: another node took over, or is about to.
//!
//! Nothing of what its tasks do can be recorded here any more; the node that takes over ends them on the
//! record. So they are stopped, and code that waits for them gets the error. A task may have had effects
//! elsewhere by then, and may be started again there: at least once, not once.

use super::{cancel::stop_after, live::Table};
use crate::{
    ids::Epoch,
    ledger::{AppendError, FenceWitness},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// The time that a task has to stop.
pub(super) const FENCED_PATIENCE: Duration = Duration::from_secs(5);

/// The watch over the ledger of one manager. Holds neither.
pub(super) struct Fence {
    table: Arc<Table>,
    tracker: TaskTracker,
    /// The epoch that fenced it, once one did.
    by: watch::Sender<Option<Epoch>>,
}

impl Fence {
    pub(super) fn new(table: &Arc<Table>, tracker: &TaskTracker) -> Arc<Self> {
        let (table, tracker) = (Arc::clone(table), tracker.clone());
        Arc::new(Self { table, tracker, by: watch::Sender::new(None) })
    }

    /// Refuses what would begin after the ledger was fenced, also if it takes appends again by now: the
    /// tasks of this manager are orphans to it.
    pub(super) fn check(&self) -> Result<(), AppendError> {
        self.by.borrow().map_or(Ok(()), |by| Err(AppendError::Fenced { by }))
    }

    /// Waits until the ledger is fenced, and returns the error for those that wait for its tasks.
    pub(super) async fn came(&self) -> AppendError {
        let mut by = self.by.subscribe();
        let Ok(Some(by)) = by.wait_for(Option::is_some).await.map(|by| *by) else {
            unreachable!("its sender is here, and it waits for an epoch")
        };
        AppendError::Fenced { by }
    }
}

impl FenceWitness for Fence {
    fn fenced(&self, by: Epoch) {
        self.by.send_replace(Some(by));
        let live = self.table.all();
        if !live.is_empty() {
            tracing::warn!(%by, tasks = live.len(), "the ledger is fenced: its tasks are stopped");
        }
        // All of them first: a timer is less urgent than the last signal.
        for live in &live {
            live.signal();
        }
        for live in &live {
            stop_after(&self.tracker, live, FENCED_PATIENCE);
        }
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("by", &self.by).finish_non_exhaustive()
    }
}
