//! The places of the task and the thread of an event, found once for several uses.
//!
//! In a large state every search costs several cache misses. Code that first checks an event and
//! then folds it in would otherwise search for the same two rows several times.

use super::{LedgerState, Task, Thread, index::Slot};
use crate::event::Event;
use std::sync::Arc;

/// The places of the task and the thread of an event in the state before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The size of that state.
    pub(super) size: u64,
    /// The place of the task, or the free place for it; `None` if the event names none.
    pub(super) task: Option<Result<usize, Slot>>,
    /// The same for the thread.
    pub(super) thread: Option<Result<usize, Slot>>,
    /// True if the state holds the task and it belongs to the thread.
    pub(super) is_own: bool,
}

impl LedgerState {
    /// Finds the task and the thread of an event. O(1).
    pub(crate) fn locate(&self, event: &Event) -> Place {
        let found = event.task.as_ref().map(|id| self.tasks.probe(id.as_str()));
        let home = match (&found, &event.thread) {
            (Some(Ok((_, task))), Some(thread)) if task.thread == *thread => Some(task.home),
            _ => None,
        };
        let task = found.map(|found| found.map(|(row, _)| row));
        let thread = match (home, &event.thread) {
            (Some(home), _) => Some(Ok(home)),
            (None, Some(id)) => Some(self.threads.probe(id.as_str()).map(|(row, _)| row)),
            (None, None) => None,
        };
        Place { size: self.size, task, thread, is_own: home.is_some() }
    }

    /// The task of an event, by its [place](Self::locate) in this state.
    pub(crate) fn task_at(&self, place: &Place) -> Option<&Arc<Task>> {
        self.tasks.row(place.task?.ok()?)
    }

    /// The thread of an event, by its [place](Self::locate) in this state.
    pub(crate) fn thread_at(&self, place: &Place) -> Option<&Arc<Thread>> {
        self.threads.row(place.thread?.ok()?)
    }
}
