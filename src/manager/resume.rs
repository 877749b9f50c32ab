//! Tasks that are running on the record and nowhere else: found when a manager is bound, and
//! ended once.
//!
//! A task is an orphan if the manager that its record names has no seat any more. How long nothing
//! was heard of it says nothing.

use super::{BackgroundTaskManager, FailureReason, TaskEvent};
use crate::{
    ids::{Seq, TaskId},
    ledger::{AppendError, Ledger},
    metrics,
    state::{
        Rejection,
        command::{Command, Proposal},
    },
};
use std::{collections::VecDeque, sync::PoisonError};
use tokio::runtime::Handle;

/// The error of a task whose manager is gone.
pub const ORPHANED: &str = "task orphaned: runtime restarted while running";

/// Orphans that are recorded at once.
const ORPHANS_AT_ONCE: usize = 256;

/// Orphans that no owner was told of.
pub(super) type Untold = VecDeque<(TaskId, Seq)>;

/// Ends every orphan, and says which event did.
pub(super) async fn recover(ledger: &Ledger) -> Result<Untold, AppendError> {
    let reader = ledger.reader();
    let mut ended = Untold::new();
    loop {
        let orphans: Vec<TaskId> = (reader.state().running_managed())
            .filter(|task| !ledger.is_seated(task.record.host))
            .map(|task| task.id.clone())
            .take(ORPHANS_AT_ONCE)
            .collect();
        if orphans.is_empty() {
            return Ok(ended);
        }
        let proposals: Vec<Proposal> = orphans
            .iter()
            .map(|task| Command::Orphan { task: task.clone(), error: ORPHANED.into() }.into())
            .collect();
        match ledger.append(proposals).await {
            Ok(receipts) => {
                for (task, receipt) in orphans.into_iter().zip(receipts) {
                    metrics::count(metrics::ORPHANS);
                    tracing::info!(%task, "found running without a manager: failed");
                    ended.push_back((task, receipt.seq));
                }
            }
            // Another manager of this process is binding too, and was first.
            Err(AppendError::Rejected(Rejection::AlreadyEnded { .. })) => {}
            Err(error) => return Err(error),
        }
    }
}

impl BackgroundTaskManager {
    /// Tells the owner's inbox of orphans, as soon as there is one.
    pub(super) fn tell_orphans(&self, orphans: Untold) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.extend(orphans);
        let Some(inbox) = self.inbox_now() else { return };
        while let Some(slot) = (!untold.is_empty()).then(|| inbox.reserve().ok()).flatten() {
            if let Some((task, seq)) = untold.pop_front() {
                slot.fill(orphaned(task, seq).to_value());
            }
        }
        // What does not fit waits for room, if there is somewhere to wait.
        if let (false, false, Ok(runtime)) =
            (untold.is_empty(), inbox.is_closed(), Handle::try_current())
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
            drop(self.tracker.spawn_on(told, &runtime));
        }
    }
}

fn orphaned(task_id: TaskId, seq: Seq) -> TaskEvent {
    let (error, reason) = (ORPHANED.to_owned(), Some(FailureReason::Orphaned));
    TaskEvent::Failed { task_id, error, reason, seq: Some(seq.get()) }
}
