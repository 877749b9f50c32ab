//! The tasks of a thread as a forest that can be drawn line by line.

use crate::{
    event::Parent,
    ids::{TaskId, ThreadId},
    state::{LedgerState, Task},
};
use std::{collections::BTreeSet, sync::Arc};

/// The trees of a thread, in the order in which they are drawn: each task before the tasks that it
/// spawned, siblings in the order of creation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Forest {
    /// The tasks.
    pub nodes: Vec<Node>,
}

/// One task in a [`Forest`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// The task.
    pub task: Arc<Task>,
    /// 1 for a root of this forest, one more for each node above.
    pub depth: usize,
    /// The place of its parent in [`Forest::nodes`]; `None` for a root.
    pub parent: Option<usize>,
    /// The number of nodes directly below it.
    pub children: usize,
    /// True for the last of its siblings; among the roots, for the last root.
    pub is_last: bool,
}

impl Forest {
    /// For each node from the root down to this one: is it the last of its siblings? The lines to
    /// the left of a node are drawn from this. Empty past the end. O(depth).
    #[must_use]
    pub fn lasts(&self, place: usize) -> Vec<bool> {
        let mut lasts = Vec::new();
        let mut at = self.nodes.get(place);
        while let Some(node) = at {
            lasts.push(node.is_last);
            // A parent stands before its children, so this ends for any input.
            at = node.parent.filter(|_| lasts.len() <= place).and_then(|p| self.nodes.get(p));
        }
        lasts.reverse();
        lasts
    }

    /// The depth of the deepest node; 0 if there are none. O(nodes).
    #[must_use]
    pub fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth).max().unwrap_or(0)
    }
}

/// The tasks of `thread` as trees.
///
/// A root is a task with no parent, an external parent, or a parent in another thread;
/// `task.record.parent` still names it. Tasks of other threads are left out even where `state`
/// holds them, so that a thread looks the same folded alone or with the whole ledger: see
/// [`tree_across`]. Tasks whose parents form a cycle, which only a forged log can have, are shown
/// once, below the oldest of them.
///
/// O(tasks of the thread, and children of theirs).
///
/// # Example
/// ```
/// use taskledger::query::{tree};
/// # use taskledger::{Ledger, Options, command::{Finish, Spawn}, ids::{TaskId, ThreadId}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ledger = Ledger::in_memory(Options::default())?;
/// # let thread = ThreadId::new("t")?;
/// # let (build, test) = (TaskId::new("build")?, TaskId::new("test")?);
/// # ledger.append_blocking([
/// #     Spawn::new(&thread, "agent").task(&build),
/// #     Spawn::new(&thread, "tool").task(&test).parent(&build),
/// # ])?;
/// # ledger.append_blocking(Finish::failed(&test, "2 of 31"))?;
/// // `test`, below `build`, has failed.
/// let reader = ledger.reader();
/// let forest = tree(&reader.state()?, &thread);
/// assert_eq!((forest.nodes.len(), forest.depth()), (2, 2));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn tree(state: &LedgerState, thread: &ThreadId) -> Forest {
    grow(state, thread, |task| task.thread == *thread)
}

/// The trees of `thread` with all tasks below them, of any thread.
///
/// Needs a state of the whole ledger ([`Scope::All`](super::Scope::All)): a state that was folded
/// from the thread alone does not hold the tasks of other threads.
///
/// O(result).
#[must_use]
pub fn tree_across(state: &LedgerState, thread: &ThreadId) -> Forest {
    grow(state, thread, |_| true)
}

/// Trees below the roots of `thread`, of the tasks that are `wanted`. Not recursive: a chain can be
/// longer than a stack is deep.
fn grow(state: &LedgerState, thread: &ThreadId, wanted: impl Fn(&Task) -> bool) -> Forest {
    let is_root = |task: &Task| match &task.record.parent {
        Some(Parent::Local(parent)) => {
            state.task(parent).is_none_or(|parent| parent.thread != *thread)
        }
        Some(Parent::External { .. }) | None => true,
    };
    let mut forest = Forest::default();
    let mut shown = BTreeSet::new();
    for root in state.tasks_in(thread).filter(|task| is_root(task)) {
        forest.add_tree(state, root, &mut shown, &wanted);
    }
    for left in state.tasks_in(thread) {
        forest.add_tree(state, left, &mut shown, &wanted);
    }
    if let Some(last) = forest.nodes.iter_mut().rfind(|node| node.parent.is_none()) {
        last.is_last = true;
    }
    forest
}

impl Forest {
    /// Adds `root` and all below it that is not in `shown` yet.
    fn add_tree<'s>(
        &mut self,
        state: &'s LedgerState,
        root: &'s Arc<Task>,
        shown: &mut BTreeSet<&'s TaskId>,
        wanted: &impl Fn(&Task) -> bool,
    ) {
        if !shown.insert(&root.id) {
            return;
        }
        let mut waiting = vec![(root, None, 1, false)];
        while let Some((task, parent, depth, is_last)) = waiting.pop() {
            let place = self.nodes.len();
            let below = state.children(&task.id).filter(|child| wanted(child));
            let below: Vec<_> = below.filter(|child| shown.insert(&child.id)).collect();
            let children = below.len();
            let task = Arc::clone(task);
            self.nodes.push(Node { task, depth, parent, children, is_last });
            for (n, child) in below.into_iter().enumerate().rev() {
                waiting.push((child, Some(place), depth + 1, n + 1 == children));
            }
        }
    }
}

#[cfg(test)]
mod tests;
