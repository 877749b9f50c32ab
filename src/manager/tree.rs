//! Walks over the trees of tasks. Each is linear in the tasks that it visits, and in creation
//! order.

use super::BackgroundTaskManager;
use crate::{
    event::TaskStatus,
    ids::{RunId, TaskId},
    state::{LedgerState, Task},
};
use std::{borrow::Borrow, collections::BTreeSet, sync::Arc};

impl BackgroundTaskManager {
    /// A task and all its descendants, in any thread: each once, parents before children, siblings
    /// in the order of their creation. `None` if it is unknown.
    ///
    /// # Cost
    /// O(result).
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
    /// assert_eq!(manager.task_tree_ids(&task), Some(vec![task]));
    /// # drop(manager);
    /// # Ok(())
    /// # }
    /// ```
    pub fn task_tree_ids(&self, id: &(impl Borrow<str> + ?Sized)) -> Option<Vec<TaskId>> {
        let state = self.bound.get()?.state();
        let root = TaskId::new(id.borrow()).ok()?;
        state.task(&root)?;
        Some(subtree(&state, &[root]))
    }

    /// The running child of `parent` with this id or, if there is none, with this name; of several
    /// with the name, the one that was created first.
    ///
    /// # Cost
    /// O(children).
    pub fn resolve_live_child_task(
        &self,
        parent: &(impl Borrow<str> + ?Sized),
        wanted: &str,
    ) -> Option<TaskId> {
        let state = self.bound.get()?.state();
        let parent = TaskId::new(parent.borrow()).ok()?;
        pick(state.children(&parent), wanted)
    }

    /// The same among the tasks that a run spawned, and no task.
    ///
    /// # Cost
    /// O(tasks of the run).
    pub fn resolve_live_child_run(&self, run: &str, wanted: &str) -> Option<TaskId> {
        let state = self.bound.get()?.state();
        let run = RunId::new(run).ok()?;
        pick(state.tasks_of_run(&run).filter(|task| task.record.parent.is_none()), wanted)
    }
}

/// Picks by id before name.
fn pick<'s>(tasks: impl Iterator<Item = &'s Arc<Task>>, wanted: &str) -> Option<TaskId> {
    let mut named = None;
    for task in tasks.filter(|task| task.status == TaskStatus::Running) {
        if task.id.as_str() == wanted {
            return Some(task.id.clone());
        }
        if named.is_none() && task.record.name.as_deref() == Some(wanted) {
            named = Some(task.id.clone());
        }
    }
    named
}

/// The tasks `roots` and all tasks below them, each once, in pre-order.
pub(super) fn subtree(state: &LedgerState, roots: &[TaskId]) -> Vec<TaskId> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut stack: Vec<TaskId> = roots.iter().rev().cloned().collect();
    while let Some(id) = stack.pop() {
        if seen.insert(id.clone()) {
            let below = stack.len();
            stack.extend(state.children(&id).map(|task| task.id.clone()));
            if let Some(children) = stack.get_mut(below..) {
                children.reverse();
            }
            found.push(id);
        }
    }
    found
}
