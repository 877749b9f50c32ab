//! Recorded tasks in the shapes that users hold. Every read costs O(result), for any number of
//! tasks.

use super::{
    BackgroundTaskManager, FailureReason, TaskEvent, TaskParentContext, TaskSummary, WaitError,
    json::{LEVELS_MAX, value_of},
    past::Past,
};
use crate::{
    event::{Action, Parent, PartKind, Restored, TaskRecord, TaskStatus},
    ids::{Head, Seq, TaskId, ThreadId},
    ledger::{AppendError, ReadError},
    state::{Task, Text, TextBody},
};
use serde_json::Value;
use std::{borrow::Borrow, convert::Infallible, sync::Arc};

impl BackgroundTaskManager {
    /// The tasks of a thread, in any status, in the order of their creation. Empty without a ledger.
    ///
    /// A text that cannot be read is missing, and the error of the summary says so, unless the task
    /// has one; [`try_list`](Self::try_list) gives the cause. A result from another recorder that is
    /// no JSON, or has more than 512 levels, is given as its text.
    ///
    /// # Cost
    /// O(result). A text of more than 4 KiB is read from the log, which blocks for some 50 us.
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
    /// assert_eq!(manager.list("session-1")[0].task_id, task);
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, thread: &str) -> Vec<TaskSummary> {
        let Some(bound) = self.bound.get() else { return Vec::new() };
        let Ok(thread) = ThreadId::new(thread) else { return Vec::new() };
        bound.state().tasks_in(&thread).map(|task| summary(&bound.past, task)).collect()
    }

    /// Like [`list`](Self::list), but returns the error of a text that could not be read.
    ///
    /// # Errors
    /// As [`Reader::entry`](crate::ledger::Reader::entry).
    ///
    /// # Cost
    /// As [`list`](Self::list).
    pub fn try_list(&self, thread: &str) -> Result<Vec<TaskSummary>, ReadError> {
        let Some(bound) = self.bound.get() else { return Ok(Vec::new()) };
        let Ok(thread) = ThreadId::new(thread) else { return Ok(Vec::new()) };
        bound.state().tasks_in(&thread).map(|task| try_summary(&bound.past, task)).collect()
    }

    /// One task, of any thread. A text that cannot be read is missing, as in [`list`](Self::list).
    ///
    /// # Cost
    /// As [`list`](Self::list) for one task.
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
    /// assert!(manager.get(&task).is_some_and(|task| task.task_type == "watch"));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, id: &(impl Borrow<str> + ?Sized)) -> Option<TaskSummary> {
        let bound = self.bound.get()?;
        let id = TaskId::new(id.borrow()).ok()?;
        bound.state().task(&id).map(|task| summary(&bound.past, task))
    }

    /// Like [`get`](Self::get), but returns the error of a text that could not be read.
    ///
    /// # Errors
    /// As [`Reader::entry`](crate::ledger::Reader::entry).
    ///
    /// # Cost
    /// As [`get`](Self::get).
    pub fn try_get(
        &self,
        id: &(impl Borrow<str> + ?Sized),
    ) -> Result<Option<TaskSummary>, ReadError> {
        let Some(bound) = self.bound.get() else { return Ok(None) };
        let Ok(id) = TaskId::new(id.borrow()) else { return Ok(None) };
        bound.state().task(&id).map(|task| try_summary(&bound.past, task)).transpose()
    }

    /// Says whether a task of the thread has not ended.
    ///
    /// # Cost
    /// O(1).
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
    /// assert!(manager.has_running("session-1") && !manager.has_running("session-2"));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
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
    /// - [`WaitError::Read`] if the events of a task that runs elsewhere, or its result, cannot be
    ///   read.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    ///
    /// # Cost
    /// Nothing for a task of this manager. For a task that runs elsewhere, it reads every event
    /// until the end of the task.
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
    /// let slow = tokio::time::timeout(std::time::Duration::from_millis(1), manager.wait(&task)).await;
    /// assert!(slow.is_err(), "it still runs; waiting for it changed nothing");
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
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
                return try_summary(&bound.past, &task).map_err(WaitError::Read);
            }
            drop(task);
            if let Some(error) = self.table.unrecorded(id.as_str()) {
                return Err(WaitError::State(error));
            }
            let follow = match &mut follow {
                Some(follow) => follow,
                slot @ None => {
                    // From this head on, taken before the state is read again.
                    let head: Head = bound.past.reader().head();
                    *slot = Some(bound.ledger.follow(head).map_err(WaitError::Read)?);
                    continue;
                }
            };
            let news = tokio::select! {
                biased;
                news = follow.next() => news,
                fenced = bound.fence.came() => return Err(WaitError::State(fenced)),
            };
            if news.map_err(WaitError::Read)?.is_none() {
                return Err(WaitError::State(AppendError::Halted));
            }
        }
    }

    /// The news of an ended task, and the event that ended it.
    pub(super) fn terminal_event(&self, id: &TaskId) -> Option<(TaskEvent, Seq)> {
        let bound = self.bound.get()?;
        let state = bound.state();
        let task = state.task(id)?;
        let (task_id, terminal) = (id.clone(), task.terminal_seq?);
        let TaskSummary { error, result, .. } = summary(&bound.past, task);
        let (error, seq) = (error.unwrap_or_default(), None);
        let event = match task.status {
            TaskStatus::Running => return None,
            TaskStatus::Completed => {
                TaskEvent::Completed { task_id, result: result.unwrap_or_default(), seq }
            }
            TaskStatus::Failed => {
                let reason = is_orphan(&bound.past, terminal).then_some(FailureReason::Orphaned);
                TaskEvent::Failed { task_id, error, reason, seq }
            }
            TaskStatus::Cancelled => TaskEvent::Cancelled { task_id, seq },
        };
        Some((event, terminal))
    }
}

fn is_orphan(past: &Past, seq: Seq) -> bool {
    past.entry(seq).is_ok_and(|entry| {
        matches!(entry.event.action, Action::Restored { why: Restored::Orphaned { .. } })
    })
}

/// A task as users see it. An erased text is left out. If a text cannot be read, the error says so,
/// unless the task has one.
pub(super) fn summary(past: &Past, task: &Task) -> TaskSummary {
    let mut unread = None;
    let mut summary = read_summary(past, task, |seq, what, error| {
        tracing::warn!(%seq, %error, "a {what} could not be read");
        unread.get_or_insert_with(|| format!("the {what} could not be read: {}", chain(&error)));
        Ok::<(), Infallible>(())
    })
    .unwrap_or_else(|never| match never {});
    summary.error = summary.error.or(unread);
    summary
}

/// The same, or the error of a text that could not be read.
pub(super) fn try_summary(past: &Past, task: &Task) -> Result<TaskSummary, ReadError> {
    read_summary(past, task, |_, _, error| Err(error))
}

fn read_summary<E>(
    past: &Past,
    task: &Task,
    mut unreadable: impl FnMut(Seq, &'static str, ReadError) -> Result<(), E>,
) -> Result<TaskSummary, E> {
    let mut text = |text: Option<&Text>, kind: PartKind| -> Result<Option<Arc<str>>, E> {
        let Some(text) = text else { return Ok(None) };
        match read(past, text, kind) {
            Ok(read) => Ok(read),
            Err(error) => unreadable(text.seq, kind.as_str(), error).map(|()| None),
        }
    };
    let description = text(Some(&task.description), PartKind::Description)?;
    let error = text(task.error.as_ref(), PartKind::Error)?;
    let result = text(task.result.as_ref(), PartKind::Result)?;
    let mut error = error.map(|text| text.to_string());
    let result = result.map(|text| {
        value_of(&text).unwrap_or_else(|levels| {
            // Recorded by others: the manager refuses such a result when its task ends.
            let said = || format!("result of {levels} levels; the limit is {LEVELS_MAX} levels");
            error.get_or_insert_with(said);
            Value::String(text.to_string())
        })
    });
    Ok(TaskSummary {
        task_id: task.id.clone(),
        task_type: task.record.task_type.to_string(),
        description: description.map(|text| text.to_string()).unwrap_or_default(),
        status: task.status,
        error,
        result,
        created_at_ms: task.record.created.0,
        completed_at_ms: task.completed.map(|at| at.0),
        parent_context: lineage(&task.record),
    })
}

/// The lineage of a task.
pub(super) fn lineage(record: &TaskRecord) -> TaskParentContext {
    TaskParentContext {
        task_id: record.parent.as_ref().map(Parent::id).map(ToString::to_string),
        run_id: record.run.as_ref().map(ToString::to_string),
        call_id: record.call.as_ref().map(ToString::to_string),
        agent_id: record.agent.as_ref().map(ToString::to_string),
    }
}

fn read(past: &Past, text: &Text, kind: PartKind) -> Result<Option<Arc<str>>, ReadError> {
    match &text.body {
        TextBody::Kept(text) => Ok(Some(Arc::clone(text))),
        TextBody::Erased => Ok(None),
        TextBody::Withheld => Err(ReadError::forged(text.seq, kind)),
        TextBody::Stored | TextBody::Saved(_) => Ok(past.entry(text.seq)?.text(kind).cloned()),
    }
}

/// An error and its causes.
fn chain(error: &ReadError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
