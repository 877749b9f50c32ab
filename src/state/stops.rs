//! Which request to stop covers a task: its own, or one of what it is part of.

use super::{LedgerState, Task};
use crate::ids::{Seq, TaskId, ThreadId};

impl LedgerState {
    /// The first request to stop this whole thread after event `after`. O(log requests).
    #[must_use]
    pub fn thread_request(&self, thread: &ThreadId, after: Seq) -> Option<Seq> {
        let requests = &self.threads.get(thread.as_str())?.cancels;
        let place = match requests.binary_search(&after) {
            Ok(place) => place + 1,
            Err(place) => place,
        };
        requests.get(place).copied()
    }

    /// The first request that covers this task: to stop the task itself, or, made while it ran, to
    /// stop a tree above it, its run or that of the root above it, or its thread. O(depth).
    #[must_use]
    pub fn request_to_stop(&self, id: &TaskId) -> Option<Seq> {
        let task = self.task(id)?;
        let ancestors = self.ancestors(id);
        let above = || std::iter::once(task).chain(ancestors.iter().copied());
        let trees = ancestors.iter().filter_map(|above| above.tree_cancel_seq);
        let covers = |above: &Task| above.id == task.id || above.record.is_root();
        let runs = above().filter(|above| covers(above));
        let runs = runs.filter_map(|above| self.run_mark(above.record.run.as_ref()?));
        let thread = self.thread_request(&task.thread, task.first_seq);
        let inherited = trees.chain(runs).chain(thread);
        let ran = |seq: &Seq| {
            *seq > task.first_seq && task.terminal_seq.is_none_or(|terminal| *seq < terminal)
        };
        inherited.filter(ran).chain(task.cancel_seq).min()
    }
}
