//! The full record of a task, for tools that need more than a summary.

use super::{BackgroundTaskManager, TaskSummary, past::Past, reads::try_summary};
use crate::{
    event::{Action, CancelScope, Cause, Host, Parent, PartKind, Restored},
    ids::{Seq, TaskId, ThreadId},
    ledger::ReadError,
    time::Millis,
};
use std::{borrow::Borrow, sync::Arc};

/// All recorded facts about one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// The short form.
    pub summary: TaskSummary,
    /// The thread that owns it.
    pub owner_thread_id: ThreadId,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The task that spawned it, and the ledger that holds that task.
    pub parent: Option<Parent>,
    /// The host that runs it.
    pub host: Host,
    /// The cause of its spawn.
    pub cause: Cause,
    /// The first request to stop it: for it alone or, while it ran, for a tree that it is in, for
    /// its run or that of the root above it, or for its thread, as a shutdown does.
    pub cancel: Option<CancelView>,
    /// The cause of its end.
    pub end: Option<EndReason>,
    /// The event that created it.
    pub first_seq: Seq,
    /// Its newest event.
    pub last_seq: Seq,
    /// The event that ended it.
    pub terminal_seq: Option<Seq>,
    /// The time of its last activity.
    pub last_activity: Millis,
    /// The number of events about it.
    pub events: u64,
}

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelView {
    /// The event.
    pub seq: Seq,
    /// The scope that was to stop.
    pub scope: CancelScope,
    /// The cause of the request.
    pub cause: Cause,
    /// The reason, unless none was given or it was erased.
    pub reason: Option<Arc<str>>,
    /// The time of the request.
    pub at: Millis,
    /// The time until which it had to stop.
    pub deadline: Option<Millis>,
}

/// The cause of a task's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its host reported it.
    Finished,
    /// Its manager was gone.
    Orphaned,
    /// It had ended in the snapshot that it was restored from.
    Restored,
}

impl BackgroundTaskManager {
    /// The full record of a task; `None` if it is unknown.
    ///
    /// # Errors
    /// As [`Reader::entry`](crate::ledger::Reader::entry).
    ///
    /// # Cost
    /// O(depth), and up to three events are read from the log, which blocks for some 50 us each.
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
    /// let view = manager.view(&task)?.ok_or("it is on the record")?;
    /// assert_eq!((view.summary.task_id, view.terminal_seq), (task, None));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn view(&self, id: &(impl Borrow<str> + ?Sized)) -> Result<Option<TaskView>, ReadError> {
        let Some(bound) = self.bound.get() else { return Ok(None) };
        let Ok(id) = TaskId::new(id.borrow()) else { return Ok(None) };
        let (state, past) = (bound.state(), &bound.past);
        let Some(task) = state.task(&id) else { return Ok(None) };
        Ok(Some(TaskView {
            summary: try_summary(past, task)?,
            owner_thread_id: task.thread.clone(),
            name: task.record.name.clone(),
            parent: task.record.parent.clone(),
            host: task.record.host,
            cause: past.entry(task.first_seq)?.event.cause,
            cancel: match state.request_to_stop(&id) {
                Some(seq) => cancel(past, seq)?,
                None => None,
            },
            end: task.terminal_seq.map(|seq| end(past, seq)).transpose()?,
            first_seq: task.first_seq,
            last_seq: task.last_seq,
            terminal_seq: task.terminal_seq,
            last_activity: task.last_activity,
            events: task.events,
        }))
    }
}

fn cancel(past: &Past, seq: Seq) -> Result<Option<CancelView>, ReadError> {
    let entry = past.entry(seq)?;
    let reason = entry.text(PartKind::Reason).cloned();
    let Action::CancelRequested { scope, deadline } = entry.event.action else { return Ok(None) };
    let (cause, at) = (entry.event.cause, entry.event.occurred);
    Ok(Some(CancelView { seq, scope, cause, reason, at, deadline }))
}

fn end(past: &Past, seq: Seq) -> Result<EndReason, ReadError> {
    let action = past.entry(seq)?.event.action;
    Ok(match action {
        Action::Restored { why: Restored::Orphaned { .. } } => EndReason::Orphaned,
        Action::Restored { why: Restored::Snapshot { .. } } => EndReason::Restored,
        Action::Upserted { .. }
        | Action::Terminated { .. }
        | Action::CancelRequested { .. }
        | Action::Messaged { .. }
        | Action::Emitted { .. }
        | Action::Redacted { .. }
        | Action::Began { .. } => EndReason::Finished,
    })
}
