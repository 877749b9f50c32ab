//! What is on the record, in the shapes that users hold. Every read costs O(result), whatever the
//! number of tasks.

use super::{
    BackgroundTaskManager, FailureReason, TaskEvent, TaskParentContext, TaskSummary, WaitError,
};
use crate::{
    event::{Action, Parent, PartKind, Restored, TaskRecord, TaskStatus},
    ids::{Head, Seq, TaskId, ThreadId},
    ledger::{AppendError, ReadError, Reader},
    state::{Task, Text, TextBody},
};
use serde_json::Value;
use std::{borrow::Borrow, sync::Arc};

impl BackgroundTaskManager {
    /// The tasks of a thread, whatever became of them, in the order of their creation. Empty
    /// without a ledger.
    ///
    /// # Cost
    /// O(result). A text of more than 4 KiB is read from the log, which blocks for some 50 us.
    pub fn list(&self, thread: &str) -> Vec<TaskSummary> {
        let Some(bound) = self.bound.get() else { return Vec::new() };
        let Ok(thread) = ThreadId::new(thread) else { return Vec::new() };
        bound.state().tasks_in(&thread).map(|task| summary(&bound.reader, task)).collect()
    }

    /// One task, of whatever thread.
    ///
    /// # Cost
    /// As [`list`](Self::list) for one task.
    pub fn get(&self, id: &(impl Borrow<str> + ?Sized)) -> Option<TaskSummary> {
        let bound = self.bound.get()?;
        let id = TaskId::new(id.borrow()).ok()?;
        bound.state().task(&id).map(|task| summary(&bound.reader, task))
    }

    /// Whether a task of the thread has not ended.
    ///
    /// # Cost
    /// O(1).
    pub fn has_running(&self, thread: &str) -> bool {
        let Some(bound) = self.bound.get() else { return false };
        let Ok(thread) = ThreadId::new(thread) else { return false };
        bound.state().thread(&thread).is_some_and(|thread| thread.counts.running > 0)
    }

    /// Waits until the end of a task is recorded and, unless its inbox is full, announced.
    ///
    /// # Errors
    /// - [`WaitError::TaskNotFound`], [`WaitError::StoreNotConfigured`].
    /// - [`WaitError::State`] if its end cannot be recorded: the ledger is halted or closed.
    /// - [`WaitError::Read`] if the events of a task that runs elsewhere cannot be read.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    ///
    /// # Cost
    /// Nothing for a task of this manager. For a task that runs elsewhere, every event until its
    /// end is read.
    pub async fn wait(
        &self,
        id: &(impl Borrow<str> + ?Sized + Sync),
    ) -> Result<TaskSummary, WaitError> {
        let bound = self.bound.get().ok_or(WaitError::StoreNotConfigured)?;
        let id = TaskId::new(id.borrow()).map_err(|_| WaitError::TaskNotFound)?;
        let end = self.table.get(id.as_str()).map(|live| live.end.subscribe());
        if let Some(mut end) = end
            && let Ok(ended) = end.wait_for(Option::is_some).await
            && let Some(Err(error)) = &*ended
        {
            return Err(WaitError::State(error.clone()));
        }
        let mut follow = None;
        loop {
            let task = bound.state().task(&id).map(Arc::clone).ok_or(WaitError::TaskNotFound)?;
            if task.status.is_terminal() {
                return Ok(summary(&bound.reader, &task));
            }
            drop(task);
            if let Some(error) = self.table.unrecorded(id.as_str()) {
                return Err(WaitError::State(error));
            }
            let follow = match &mut follow {
                Some(follow) => follow,
                slot @ None => {
                    // From here on, before the state is looked at again.
                    let head: Head = bound.reader.head();
                    *slot = Some(bound.ledger.follow(head).map_err(WaitError::Read)?);
                    continue;
                }
            };
            if follow.next().await.map_err(WaitError::Read)?.is_none() {
                return Err(WaitError::State(AppendError::Halted));
            }
        }
    }

    /// What is told of a task that has ended.
    pub(super) fn terminal_event(&self, id: &TaskId) -> Option<TaskEvent> {
        let bound = self.bound.get()?;
        let state = bound.state();
        let task = state.task(id)?;
        let (task_id, seq) = (id.clone(), task.terminal_seq?);
        let TaskSummary { error, result, .. } = summary(&bound.reader, task);
        let error = error.unwrap_or_default();
        let at = Some(seq.get());
        match task.status {
            TaskStatus::Running => None,
            TaskStatus::Completed => {
                Some(TaskEvent::Completed { task_id, result: result.unwrap_or_default(), seq: at })
            }
            TaskStatus::Failed => {
                let reason = is_orphan(&bound.reader, seq).then_some(FailureReason::Orphaned);
                Some(TaskEvent::Failed { task_id, error, reason, seq: at })
            }
            TaskStatus::Cancelled => Some(TaskEvent::Cancelled { task_id, seq: at }),
        }
    }
}

fn is_orphan(reader: &Reader, seq: Seq) -> bool {
    reader.entry(seq).is_ok_and(|entry| {
        matches!(entry.event.action, Action::Restored { why: Restored::Orphaned { .. } })
    })
}

/// A task as users see it. A text that was erased, or cannot be read, is left out.
pub(super) fn summary(reader: &Reader, task: &Task) -> TaskSummary {
    let result = task.result.as_ref().and_then(|text| read(reader, text, PartKind::Result));
    TaskSummary {
        task_id: task.id.clone(),
        task_type: task.record.task_type.to_string(),
        description: read(reader, &task.description, PartKind::Description)
            .map(|text| text.to_string())
            .unwrap_or_default(),
        status: task.status,
        error: task
            .error
            .as_ref()
            .and_then(|text| read(reader, text, PartKind::Error))
            .map(|text| text.to_string()),
        result: result.map(|text| value(&text)),
        created_at_ms: task.record.created.0,
        completed_at_ms: task.completed.map(|at| at.0),
        parent_context: lineage(&task.record),
    }
}

/// Where a task comes from.
pub(super) fn lineage(record: &TaskRecord) -> TaskParentContext {
    TaskParentContext {
        task_id: record.parent.as_ref().map(Parent::id).map(ToString::to_string),
        run_id: record.run.as_ref().map(ToString::to_string),
        call_id: record.call.as_ref().map(ToString::to_string),
        agent_id: record.agent.as_ref().map(ToString::to_string),
    }
}

fn read(reader: &Reader, text: &Text, kind: PartKind) -> Option<Arc<str>> {
    match &text.body {
        TextBody::Kept(text) => Some(Arc::clone(text)),
        TextBody::Erased => None,
        TextBody::Stored => match reader.entry(text.seq) {
            Ok(entry) => entry.text(kind).cloned(),
            Err(error) => {
                log_unreadable(text.seq, &error);
                None
            }
        },
    }
}

fn log_unreadable(seq: Seq, error: &ReadError) {
    tracing::warn!(%seq, %error, "a text could not be read");
}

/// The value that a result is the JSON of. What others recorded need not be JSON.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
