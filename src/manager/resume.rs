//! Tasks that are running on the record and nowhere else: found when a manager is bound, and
//! ended once.
//!
//! A task is an orphan if the manager that its record names has no seat any more. How long nothing
//! was heard of it says nothing.

use super::{BackgroundTaskManager, FailureReason, TaskEvent};
use crate::{
    command::{Command, Proposal},
    ids::{Seq, TaskId},
    ledger::{AppendError, Ledger},
    metrics,
    state::Rejection,
    sync::{Runtime, yield_now},
};
use std::{
    collections::VecDeque,
    sync::{MutexGuard, PoisonError},
};

/// The error of a task whose manager is gone.
pub const ORPHANED: &str = "task orphaned: runtime restarted while running";

/// Orphans that are recorded at once.
const ORPHANS_AT_ONCE: usize = 256;

/// Orphans that no owner was told of.
pub(super) type Untold = VecDeque<(TaskId, Seq)>;

impl BackgroundTaskManager {
    /// Ends every orphan, and remembers whom to tell of it.
    pub(super) async fn recover(&self, ledger: &Ledger) -> Result<(), AppendError> {
        let reader = ledger.reader();
        loop {
            let orphans: Vec<TaskId> = (reader.state().running_managed())
                .filter(|task| !ledger.is_seated(task.record.host))
                .map(|task| task.id.clone())
                .take(ORPHANS_AT_ONCE)
                .collect();
            if orphans.is_empty() {
                return Ok(());
            }
            let proposals: Vec<Proposal> = orphans
                .iter()
                .map(|task| Command::Orphan { task: task.clone(), error: ORPHANED.into() }.into())
                .collect();
            match ledger.append(proposals).await {
                Ok(receipts) => {
                    for (task, receipt) in orphans.into_iter().zip(receipts) {
                        metrics::count(metrics::ORPHANS);
                        tracing::info!(%task, seq_last = %receipt.seq, "found running without a manager: failed");
                        self.untold().push_back((task, receipt.seq));
                    }
                }
                // Another manager of this process is binding too, and was first.
                Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => yield_now().await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the owner's inbox of orphans, as soon as there is one.
    pub(super) fn tell_orphans(&self) {
        let mut untold = self.untold();
        let Some(inbox) = self.inbox_now() else { return };
        while let Some(slot) = (!untold.is_empty()).then(|| inbox.reserve().ok()).flatten() {
            if let Some((task, seq)) = untold.pop_front() {
                slot.fill(orphaned(task, seq).to_value());
            }
        }
        // What does not fit waits for room, if there is somewhere to wait.
        if let (false, false, Some(runtime)) =
            (untold.is_empty(), inbox.is_closed(), Runtime::current())
        {
            let waiting = std::mem::take(&mut *untold);
            drop(untold);
            let giving_up = self.giving_up.clone();
            let told = async move {
                for (task, seq) in waiting {
                    tokio::select! {
                        _ = inbox.deliver(orphaned(task, seq).to_value()) => {}
                        () = giving_up.cancelled() => return,
                    }
                }
            };
            drop(runtime.spawn(&self.tracker, told));
        }
    }

    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn orphaned(task_id: TaskId, seq: Seq) -> TaskEvent {
    let (error, reason) = (ORPHANED.to_owned(), Some(FailureReason::Orphaned));
    TaskEvent::Failed { task_id, error, reason, seq: Some(seq.get()) }
}
