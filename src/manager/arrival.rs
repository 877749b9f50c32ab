//! The arrival of a task's handle: the thread that records the spawn enters it, before others see
//! it.
//!
//! So a policy that follows the log can cancel a task that it sees, and write to it, at once. If
//! the spawning code is dropped meanwhile, with its runtime, a recorded task is ended in the log.
//!
//! Start reading at [`Coming`].

use super::{
    guard::end_dropped,
    inbox::InboxSender,
    live::{Live, Slot, Table},
};
use crate::{
    ids::{TaskId, ThreadId},
    ledger::{AppendError, Door, Receipt, Witness},
    sync::{Mutex, MutexGuard, Runtime},
};
use std::sync::{Arc, OnceLock, PoisonError, atomic::AtomicBool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The parts of a task's handle before it has an id.
pub(super) struct Seed {
    pub(super) thread: ThreadId,
    /// The inbox of an agent.
    pub(super) inbox: Option<InboxSender>,
    pub(super) owner_inbox: Option<InboxSender>,
    pub(super) runtime: Runtime,
    pub(super) slot: Slot,
}

impl Seed {
    fn into_live(self, id: TaskId) -> (Arc<Live>, Slot) {
        let Self { thread, inbox, owner_inbox, runtime, slot } = self;
        let live = Live {
            id,
            thread,
            token: CancellationToken::new(),
            abort: CancellationToken::new(),
            overdue: OnceLock::new(),
            ended: AtomicBool::new(false),
            inbox,
            owner_inbox,
            end: watch::Sender::new(None),
            runtime,
        };
        (Arc::new(live), slot)
    }
}

/// The stage of a task on its way.
enum Stage {
    /// Its spawn is not recorded yet.
    Asked(Seed),
    /// The same, and the spawning code is gone.
    Left(Seed),
    /// Its spawn is recorded, and the spawning code is gone: the task must be ended.
    Stranded(Arc<Live>, Slot),
    /// It has its handle.
    Here(Arc<Live>, Slot),
    /// Other code takes care of it.
    Gone,
}

/// A task whose spawn is on its way into the log. Dropping it ends the task, if it is recorded.
pub(super) struct Coming(Arc<Arrival>);

impl Coming {
    pub(super) fn new(seed: Seed, table: &Arc<Table>, door: Door) -> Self {
        let stage = Mutex::new(Stage::Asked(seed));
        Self(Arc::new(Arrival { table: Arc::clone(table), door, stage }))
    }

    /// The witness that sees it recorded.
    pub(super) fn witness(&self) -> Arc<dyn Witness> {
        self.0.clone()
    }

    /// Its handle, once its spawn is acknowledged.
    pub(super) fn arrive(&self) -> Option<(Arc<Live>, Slot)> {
        let mut stage = self.0.stage();
        match std::mem::replace(&mut *stage, Stage::Gone) {
            Stage::Here(live, slot) => Some((live, slot)),
            other @ (Stage::Asked(_) | Stage::Left(_) | Stage::Stranded(..) | Stage::Gone) => {
                *stage = other;
                None
            }
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let left = {
            let mut stage = self.0.stage();
            match std::mem::replace(&mut *stage, Stage::Gone) {
                Stage::Asked(seed) => {
                    *stage = Stage::Left(seed);
                    None
                }
                Stage::Here(live, slot) => Some((live, slot)),
                other @ (Stage::Left(_) | Stage::Stranded(..) | Stage::Gone) => {
                    *stage = other;
                    None
                }
            }
        };
        if let Some((live, slot)) = left {
            self.0.table.leave(&live.id);
            self.0.end(live, slot);
        }
    }
}

/// The state of a task on its way, for the thread that writes. Holds no ledger and no manager.
struct Arrival {
    table: Arc<Table>,
    door: Door,
    stage: Mutex<Stage>,
}

impl Arrival {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, live: Arc<Live>, slot: Slot) {
        end_dropped(&self.table, &self.door, live, Some(slot));
    }
}

impl Witness for Arrival {
    fn recorded(&self, receipts: &[Receipt]) {
        let Some(id) = receipts.first().and_then(|receipt| receipt.task.clone()) else { return };
        let mut stage = self.stage();
        *stage = match std::mem::replace(&mut *stage, Stage::Gone) {
            Stage::Asked(seed) => {
                let (live, slot) = seed.into_live(id);
                self.table.enter(&live);
                Stage::Here(live, slot)
            }
            Stage::Left(seed) => {
                let (live, slot) = seed.into_live(id);
                Stage::Stranded(live, slot)
            }
            other @ (Stage::Stranded(..) | Stage::Here(..) | Stage::Gone) => other,
        };
    }

    fn answered(&self, _outcome: Result<&[Receipt], &AppendError>) {
        let stranded = {
            let mut stage = self.stage();
            match std::mem::replace(&mut *stage, Stage::Gone) {
                Stage::Stranded(live, slot) => Some((live, slot)),
                other @ (Stage::Asked(_) | Stage::Left(_) | Stage::Here(..) | Stage::Gone) => {
                    *stage = other;
                    None
                }
            }
        };
        if let Some((live, slot)) = stranded {
            self.end(live, slot);
        }
    }
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival").finish_non_exhaustive()
    }
}
