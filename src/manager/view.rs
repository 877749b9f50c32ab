//! The full record of a task, for tools that need more than a summary.

use super::{BackgroundTaskManager, TaskSummary, past::Past, reads::try_summary};
use crate::{
    event::{Action, CancelScope, Cause, Host, Parent, PartKind, Restored},
    ids::{Seq, TaskId, ThreadId},
    ledger::ReadError,
    time::Millis,
};
use std::{borrow::Borrow, sync::Arc};

/// Everything that is on the record of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// The same in short.
    pub summary: TaskSummary,
    /// The thread that owns it.
    pub owner_thread_id: ThreadId,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The task that spawned it, and which ledger holds that.
    pub parent: Option<Parent>,
    /// Who runs it.
    pub host: Host,
    /// Who recorded it.
    pub cause: Cause,
    /// The first request to stop it: it alone, or, while it ran, a tree that it is in, its run or
    /// that of the root above it, or its thread, as a shutdown does.
    pub cancel: Option<CancelView>,
    /// What ended it.
    pub end: Option<EndReason>,
    /// The event that brought it here.
    pub first_seq: Seq,
    /// Its newest event.
    pub last_seq: Seq,
    /// The event that ended it.
    pub terminal_seq: Option<Seq>,
    /// When it last did something.
    pub last_activity: Millis,
    /// How many events are about it.
    pub events: u64,
}

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelView {
    /// The event.
    pub seq: Seq,
    /// What was to stop.
    pub scope: CancelScope,
    /// Who asked.
    pub cause: Cause,
    /// Why, unless nobody said or it was erased.
    pub reason: Option<Arc<str>>,
    /// When it was asked.
    pub at: Millis,
    /// Until when it was given time.
    pub deadline: Option<Millis>,
}

/// What ended a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Whoever runs it said so.
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
